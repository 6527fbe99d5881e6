"""An adapter runs where its certificates allow it: looked at when its writer is opened, and before every commit.

Withdrawal is a fact first, and fences the writer then. A runner that opens after the fence reads the fact; one that opened
before is fenced.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from adapters import registry
from adapters.conformance.report import mapping_documents, package_digest
from adapters.mapped import Mapped
from adapters.runner import Journal
from adapters.sdk import Adapter
from broker.batches import Row
from broker.errors import NotCertified
from broker.model.adapter_certificates import Binding, Standing
from broker.model.control_state import ControlState


class Control(Protocol):
    """The replayed control log."""

    @property
    def state(self) -> ControlState:
        """Everything known up to the last fact applied."""

    async def read_to_head(self) -> int:
        """Apply all facts up to the log's present head."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What an installation asks of an adapter: `real` persons need a certificate, others only that none was withdrawn."""

    bindings: Sequence[Binding]
    real: bool

    def missing(self, state: ControlState, at: datetime) -> tuple[Binding, Standing] | None:
        """The first product for which there is no valid certificate, and what there is instead."""
        for each in self.bindings:
            standing = state.adapter_certificates.standing(each, at)
            if standing is not Standing.VALID:
                return each, standing
        return None

    def require(self, state: ControlState, at: datetime) -> None:
        """Raise `NotCertified` where the adapter may not publish."""
        missing = self.missing(state, at)
        if missing is not None and (self.real or missing[1] is Standing.WITHDRAWN):
            raise NotCertified(told(*missing))


@dataclass(frozen=True, slots=True)
class CertifiedJournal:
    """The journal of an adapter to which `rule` applies."""

    journal: Journal
    control: Control
    rule: Rule
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def open(self) -> Mapping[bytes, bytes]:
        """As the journal; raises `NotCertified` besides."""
        state = await self.journal.open()
        await self.control.read_to_head()
        self.rule.require(self.control.state, self.now())
        return state

    async def commit(self, outputs: Mapping[tuple[str, int], Sequence[Row]]) -> None:
        """As the journal; raises `NotCertified` besides, and nothing was written then."""
        self.rule.require(self.control.state, self.now())
        await self.journal.commit(outputs)

    async def close(self) -> None:
        """As the journal."""
        await self.journal.close()


def bindings_of(adapter: Adapter, name: str | None) -> tuple[Binding, ...]:
    """What certificates of an adapter must be about: `name` as it was given to `datanuts adapter run`, or a mapping."""
    documents: tuple[Path, ...] = ()
    if isinstance(adapter, Mapped):
        module, documents = "adapters.mapped", mapping_documents(adapter.mapping.file)
    else:
        module = f"adapters.{name}" if name in registry.NAMES else str(name)
    package = package_digest(module, documents)
    return tuple(Binding(module, package, source, product) for product, source in adapter.sources.items())


def told(binding: Binding, standing: Standing) -> str:
    """What is missing, and which commands help."""
    has = {
        Standing.NONE: "has no certificate",
        Standing.PENDING: "has a certificate that the operator did not countersign yet",
        Standing.EXPIRED: "has a certificate that expired",
        Standing.WITHDRAWN: "has a certificate that was withdrawn",
    }.get(standing, "has a certificate")
    last = "the operator: `datanuts adapter countersign ID`"
    steps = f"`pytest --adapter {binding.module} --source SAMPLE --product {binding.product} --report report.json`, "
    steps += f"`datanuts adapter certify --report report.json --as {binding.source}`, then {last}"
    steps = last if standing is Standing.PENDING else steps
    if binding.module == "adapters.mapped":
        steps = steps.replace("--adapter adapters.mapped", "--mapping FILE")
    about = f"{binding.module} for {binding.product} of {binding.source}, as it is installed ({binding.package[:19]}…),"
    return f"{about} {has}: {steps} (docs/conformance.md)"
