"""Facts of the control log: what may be said in it, and how a line of it is written and read (design §8).

A fact names the version of the aggregate it expects; `control_state` folds facts into what every process knows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from sys import intern
from typing import Any

from pydantic_core import from_json

from broker.errors import Invalid
from broker.model.instants import stated_instant


class FactType(StrEnum):
    """What a fact says; the value is the `type` in the log."""

    ORGANISATION = "organisation.registered"
    CREDENTIAL = "credential.issued"
    CREDENTIAL_REVOKED = "credential.revoked"
    CLIENT_BOUND = "client.bound"
    CLIENT_UNBOUND = "client.unbound"
    ISSUER_ROTATED = "issuer.rotated"
    SCHEMA = "schema.registered"
    PRODUCT = "product.declared"
    PRODUCT_LAUNCHED = "product.launched"
    PRODUCT_DEPRECATED = "product.deprecated"
    PRODUCT_ENDED = "product.ended"
    PURPOSES = "purposes.set"
    CEILING = "ceiling.set"
    AGREEMENT_DRAFTED = "agreement.drafted"
    AGREEMENT_REQUESTED = "agreement.requested"
    AGREEMENT_APPROVED = "agreement.approved"
    AGREEMENT_ADVISED = "agreement.advised"
    AGREEMENT_SIGNED = "agreement.signed"
    AGREEMENT_PUBLISHED = "agreement.published"
    AGREEMENT_ACTIVE = "agreement.activated"
    AGREEMENT_SUSPENDED = "agreement.suspended"
    AGREEMENT_REVOKED = "agreement.revoked"
    AGREEMENT_ENDED = "agreement.ended"
    PSEUDONYM_ROTATED = "pseudonym.rotated"
    REPLAY_REQUESTED = "replay.requested"
    PRODUCT_HALTED = "product.halted"
    PRODUCT_RESUMED = "product.resumed"
    ANNOUNCED = "agencies.told"
    QUARANTINE_OPENED = "quarantine.opened"
    QUARANTINE_RETRIED = "quarantine.retried"
    MANDATE_GIVEN = "mandate.given"
    MANDATE_ENDED = "mandate.ended"
    WEBHOOK_SET = "webhook.set"
    WEBHOOK_REMOVED = "webhook.removed"
    WEBHOOK_SUSPENDED = "webhook.suspended"
    WEBHOOK_RESUMED = "webhook.resumed"
    DROP_SET = "drop.set"
    DROP_REMOVED = "drop.removed"
    DROP_SUSPENDED = "drop.suspended"
    DROP_RESUMED = "drop.resumed"
    ADAPTER_CERTIFIED = "adapter.certified"
    ADAPTER_COUNTERSIGNED = "adapter.countersigned"
    ADAPTER_WITHDRAWN = "adapter.withdrawn"
    SEAL_KEY = "seal_key.introduced"
    SEAL_KEY_DISTRUSTED = "seal_key.distrusted"
    RAW_DECLARED = "raw.declared"


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the control log. `id` is unique (the writer's); `expects` is the aggregate's version before it."""

    id: str
    type: FactType
    aggregate: str
    expects: int
    at: datetime
    by: str
    data: Mapping[str, Any]

    def encode(self) -> bytes:
        """UTF-8 JSON of the fact."""
        return json.dumps(
            {
                "id": self.id,
                "type": self.type.value,
                "aggregate": self.aggregate,
                "expects": self.expects,
                "at": self.at.isoformat(),
                "by": self.by,
                "data": self.data,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()


_TYPES = {kind.value: kind for kind in FactType}


def decode_fact(raw: bytes) -> Fact:
    """Fact of one control log value; raises `Invalid` if it is not one."""
    try:
        line = from_json(raw, cache_strings="keys")
        return Fact(
            id=str(line["id"]),
            type=_TYPES[line["type"]],
            aggregate=str(line["aggregate"]),
            expects=int(line["expects"]),
            at=stated_instant(line["at"]),
            by=intern(str(line["by"])),
            data=dict(line["data"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Invalid("not a fact of the control log") from error
