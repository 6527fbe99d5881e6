"""What a router did, as counts per agreement: for operators and the live view, never per subject."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from broker.model.decision import Decision, Reason, Release
from broker.policy import engine
from broker.routing.plans import TopicPlan


@dataclass(slots=True)
class Counts:
    """Additive counters; a batch fills its own and adds it to the router's once committed."""

    records: int = 0
    delivered: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    """Delivered of records that were read again: backfills and replays."""
    withheld: Counter[tuple[str, str]] = field(default_factory=Counter)
    quarantine: Counter[tuple[str, str]] = field(default_factory=Counter)

    def decided(self, decision: Decision, times: int = 1) -> None:
        """Count a receipted decision, on so many records."""
        if isinstance(decision, Release):
            self.delivered[decision.agreement] += times
        else:
            self.withheld[decision.agreement, decision.reason.value] += times

    def told_again(self, agreement: str) -> None:
        """Count one delivery of a record that was read again."""
        self.again[agreement] += 1

    def quarantined(self, topic: str, reason: str) -> None:
        """Count one poison record."""
        self.quarantine[topic, reason] += 1

    def agreements(self) -> frozenset[str]:
        """Agreements under which something was decided."""
        return frozenset({*self.delivered, *self.again, *(name for name, _ in self.withheld)})

    def routed(self, plan: TopicPlan, counted: engine.Counts) -> None:
        """Count one topic's share of a batch, with what is counted but never receipted."""
        self.records += counted.records
        for index, number in counted.no_dossier.items():
            self.withheld[plan.outlets[index].agreement, Reason.NO_DOSSIER.value] += number

    def add(self, other: "Counts") -> None:
        """Add another's counts to this one's."""
        self.records += other.records
        self.delivered.update(other.delivered)
        self.again.update(other.again)
        self.withheld.update(other.withheld)
        self.quarantine.update(other.quarantine)

    def as_json(self) -> dict[str, Any]:
        """JSON object: `{records, agreements: {id: {delivered, again, withheld: {reason: n}}}, quarantined: {topic: {code: n}}}`."""
        agreements: dict[str, Any] = {
            name: {"delivered": self.delivered[name], "again": self.again[name], "withheld": {}}
            for name in sorted(self.agreements())
        }
        for (agreement, reason), number in self.withheld.items():
            agreements[agreement]["withheld"][reason] = number
        quarantined: dict[str, dict[str, int]] = {}
        for (topic, code), number in self.quarantine.items():
            quarantined.setdefault(topic, {})[code] = number
        return {"records": self.records, "agreements": agreements, "quarantined": quarantined}
