"""Certifies adapters: the source's owner hands in a report of the conformance kit, the operator countersigns, either withdraws.

The report is the word of who hands it in. The operator, before countersigning, runs the kit on the same package: that is
why the report names its digest.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from aiokafka.errors import KafkaError

from broker.control.views import Control
from broker.errors import Conflict, Forbidden, Invalid, KafkaUnavailable, NotFound
from broker.model import topics
from broker.model.adapter_certificates import AdapterCertificate, Standing
from broker.model.facts import FactType
from broker.stopping import stop_quietly

FRESH = timedelta(days=30)
"""How old a report may be when it is handed in."""

_AHEAD = timedelta(hours=1)
_FENCING_S = 10.0
_GOOD = frozenset({"passed", "not-applicable"})


class Clients(Protocol):
    """Makes Kafka clients; `broker.kafka.clients` behind it."""

    def transactional_producer(self, transactional_id: str) -> Any:
        """Idempotent transactional producer, not started; its start fences the holder of the id."""


@dataclass(frozen=True, slots=True)
class Kit:
    """Which conformance kit reports are of: its version, and the codes of all its checks."""

    version: str
    checks: frozenset[str]


@dataclass(frozen=True, slots=True)
class AdapterCertificates:
    """Who may is the caller's to check, but for the two signatures, which are of two organisations."""

    control: Control
    clients: Clients
    kit: Kit
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_id: Callable[[], str] = lambda: secrets.token_hex(8)

    async def certify(self, report: Mapping[str, Any], *, by: str) -> AdapterCertificate:
        """The owner `by` of the report's source answers for it; it is valid once the operator countersigned.

        Raises `Invalid` for a report that is too old, of another kit, incomplete, or not all of whose checks passed.
        """
        self._sound(report)
        await self.control.read_to_head()
        if by != report["source"]:
            raise Forbidden("only the owner of the source certifies an adapter for it")
        topics.cursors(str(report["adapter"]))
        topics.source(str(report["source"]), str(report["product"]))
        identifier = self.new_id()
        data = {"id": identifier, "report": dict(report)}
        await self.control.append(FactType.ADAPTER_CERTIFIED, _aggregate(identifier), data, by=by)
        return self._held(identifier)

    async def countersign(self, certificate: str, *, by: str) -> AdapterCertificate:
        """The operator's signature: valid from now on, for twelve months. Raises `NotFound`, `Conflict`, `Forbidden`."""
        await self.control.read_to_head()
        held = self._held(certificate)
        if by == held.binding.source:
            raise Forbidden("somebody else than the source's owner countersigns")
        if held.standing(self.now()) is not Standing.PENDING:
            raise Conflict("it was countersigned or withdrawn before")
        await self.control.append(FactType.ADAPTER_COUNTERSIGNED, _aggregate(certificate), {"id": certificate}, by=by)
        return self._held(certificate)

    async def withdraw(self, certificate: str, *, by: str, why: str = "") -> AdapterCertificate:
        """End it; returns when whoever runs the adapter is fenced: no transaction of it is committed any more.

        It does not start again unless another certificate is valid for it. Asked again, it only completes what an
        interrupted call left undone. Raises `NotFound`, and `KafkaUnavailable` where Kafka does not confirm.
        """
        await self.control.read_to_head()
        if self._held(certificate).withdrawn is None:
            data = {"id": certificate, "why": why}
            await self.control.append(FactType.ADAPTER_WITHDRAWN, _aggregate(certificate), data, by=by)
        held = self._held(certificate)
        if held.countersigned is not None:
            await self._fence(held.adapter)
        return held

    async def _fence(self, adapter: str) -> None:
        producer = self.clients.transactional_producer(topics.adapter_transactional_id(adapter))
        try:
            async with asyncio.timeout(_FENCING_S):
                await producer.start()
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable(
                "it is withdrawn, but its runner was not fenced: ask again", operator=type(error).__name__
            ) from error
        finally:
            await stop_quietly(producer)

    def _held(self, certificate: str) -> AdapterCertificate:
        held = self.control.state.adapter_certificates.held.get(certificate)
        if held is None:
            raise NotFound("no such certificate")
        return held

    def _sound(self, report: Mapping[str, Any]) -> None:
        if report["kit"] != self.kit.version:
            raise Invalid(f"kit: this report is of kit {report['kit']}, here it is {self.kit.version}: run it again")
        at, now = datetime.fromisoformat(report["at"]), self.now()
        if not now - FRESH <= at <= now + _AHEAD:
            raise Invalid(f"at: a report is at most {FRESH.days} days old when it is handed in: run the kit again")
        outcomes = {each["code"]: each["outcome"] for each in report["checks"]}
        if outcomes.keys() != self.kit.checks or len(outcomes) != len(report["checks"]):
            raise Invalid("checks: each check of the kit once, and no other")
        failed = sorted(code for code, outcome in outcomes.items() if outcome not in _GOOD)
        if failed:
            raise Invalid(f"checks: {', '.join(failed)} did not pass: mend the adapter and run the kit again")


def _aggregate(certificate: str) -> str:
    return f"adapter-certificate/{certificate}"
