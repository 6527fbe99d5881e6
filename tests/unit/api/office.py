"""The application over the real use-cases on a control log in memory: policies, organisations and requests as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from broker.api.app import create_app
from broker.api.services import Services
from broker.control.agreements import Agreements
from broker.control.limits import Policies
from broker.errors import Conflict
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.policy import documents

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ROLES = {
    "operator": ("operator",),
    "rijksregister": ("source-owner",),
    "kbo": ("source-owner",),
    "stad-gent": ("agency", "source-owner"),
    "statistiek-vlaanderen": ("agency",),
}


def token(organisation: str) -> str:
    return f"dn_c-{organisation}_geheim"


def bearer(organisation: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(organisation)}"}


def agreement_document(name: str = "inwoners-gent", **changes: Any) -> dict[str, Any]:
    text = (ROOT / "policies" / "agreements" / f"{name}.yaml").read_text()
    return documents.agreement_document(documents.agreement(text)) | changes


@dataclass
class Log:
    """The fold, without a log behind it; `written` are the facts of the test itself."""

    state: ControlState = field(default_factory=ControlState)
    written: list[tuple[FactType, str, str]] = field(default_factory=list)

    async def read_to_head(self) -> int:
        return self.state.epoch

    def fresh(self) -> bool:
        return True

    async def append(self, kind: FactType, aggregate: str, data: Mapping[str, Any], *, by: str) -> int:
        fact = Fact(f"f{self.state.epoch}", kind, aggregate, self.state.version(aggregate), NOW, by, data)
        if not self.state.apply(self.state.epoch + 1, fact):
            raise Conflict(aggregate)
        self.written.append((kind, aggregate, by))
        return self.state.epoch


@dataclass
class Office:
    """A control log with organisations, their credentials and the product `persoon.v1` of two sources."""

    log: Log = field(default_factory=Log)

    async def open(self, roles: Mapping[str, tuple[str, ...]] = ROLES) -> None:
        """Everything that is there before anyone sets a policy."""
        for name, held in roles.items():
            await self.log.append(FactType.ORGANISATION, f"organisation/{name}", {"id": name, "name": name}, by="t")
            digest = sha256(token(name).encode()).hexdigest()
            data = {"id": f"c-{name}", "organisation": name, "sha256": digest, "roles": list(held)}
            await self.log.append(FactType.CREDENTIAL, f"credential/{name}", data, by="t")
        schema = (ROOT / "schemas" / "persoon.v1.avsc").read_text()
        for source in ("rijksregister", "kbo"):
            data = {"id": "persoon.v1", "source": source, "schema": schema}
            await self.log.append(FactType.PRODUCT, f"product/{source}/persoon.v1", data, by="t")
        self.log.written.clear()

    def app(self, **others: Any) -> Any:
        """The HTTP application; nothing behind deliveries, dossiers, receipts and the rest but `others`, by service."""
        unused: dict[str, Any] = dict.fromkeys(each.name for each in fields(Services))
        used = {
            "control": self.log,
            "agreements": Agreements(self.log, unused["agreements"]),
            "policies": Policies(self.log),
        }
        return create_app(Services(**unused | used | others))

    def http(self, **others: Any) -> httpx.AsyncClient:
        """A client of the application."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app(**others)), base_url="http://broker.test")
