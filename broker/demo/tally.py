"""What topics say: counts of one run, taken from the records of sources, receipts and deliveries themselves. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from broker.delivery.streams import Message
from broker.delivery.trail import TracedDecision
from broker.model.decision import Kind

Place = tuple[str, int, int]
"""Topic, lane and offset of a source record."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from a source record's append to the moment a reader of the delivery topic holds what came of it."""

    p50: float
    p99: float
    deliveries: int


@dataclass(slots=True)
class Tally:
    """Counts by source topic and by agreement; it grows with every record that is read."""

    records: Counter[str] = field(default_factory=Counter)
    about: Counter[bytes] = field(default_factory=Counter, repr=False)
    receipts: Counter[str] = field(default_factory=Counter)
    released: Counter[str] = field(default_factory=Counter)
    withheld: Counter[tuple[str, str]] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    departed: Counter[str] = field(default_factory=Counter)
    _appended: dict[Place, int] = field(default_factory=dict)
    _origin: dict[str, Place] = field(default_factory=dict)
    _arrived: dict[str, float] = field(default_factory=dict)
    _undelivered: dict[str, set[str]] = field(default_factory=dict)
    _unreceipted: dict[str, set[str]] = field(default_factory=dict)

    def source(self, place: Place, key: bytes, at_ms: int) -> None:
        """A record of a source about the subject with this lane key, appended at `at_ms`."""
        self.records[place[0]] += 1
        self.about[key] += 1
        self._appended[place] = at_ms

    def receipt(self, place: Place, decisions: Iterable[TracedDecision]) -> None:
        """A receipt on the record at `place`."""
        self.receipts[place[0]] += 1
        for decision in decisions:
            if decision.delivery is None:
                self.withheld[decision.agreement, decision.reason or ""] += 1
            else:
                self.released[decision.agreement] += 1
                self._origin[decision.delivery] = place
                _pair(decision.agreement, decision.delivery, self._unreceipted, self._undelivered)

    def delivery(self, agreement: str, message: Message, at_ms: float) -> None:
        """A record of the agreement's delivery topic, held by a reader at `at_ms`."""
        if message.is_life_cycle:
            return
        self.delivered[agreement] += 1
        self.departed[agreement] += message.text("ce_kind") == Kind.LEFT_POPULATION
        identifier = message.text("ce_id")
        self._arrived[identifier] = at_ms
        _pair(agreement, identifier, self._undelivered, self._unreceipted)

    def unmatched(self, agreement: str) -> tuple[int, int]:
        """Deliveries without a receipt, and receipted releases without their delivery (R5: none, once all is read)."""
        return len(self._unreceipted.get(agreement, ())), len(self._undelivered.get(agreement, ()))

    def settled(self, agreements: Iterable[str]) -> bool:
        """Whether every release of these agreements that has a receipt was delivered, and the reverse."""
        return all(self.unmatched(agreement) == (0, 0) for agreement in agreements)

    def withheld_under(self, agreement: str) -> dict[str, int]:
        """Receipted withholds of an agreement by reason."""
        return {reason: number for (of, reason), number in sorted(self.withheld.items()) if of == agreement and number}

    def latency(self, since_ms: float = 0) -> Latency | None:
        """Latency of what came of records appended since then; None before the first. Percentiles by nearest rank."""
        spans = sorted(
            at_ms - self._appended[place]
            for identifier, at_ms in self._arrived.items()
            if (place := self._origin.get(identifier)) and self._appended.get(place, 0) >= since_ms
        )
        return Latency(_rank(spans, 50), _rank(spans, 99), len(spans)) if spans else None


def _pair(agreement: str, identifier: str, waiting: dict[str, set[str]], alone: dict[str, set[str]]) -> None:
    """Match an id with its counterpart where that waits already; otherwise it waits for it."""
    if identifier in waiting.get(agreement, ()):
        waiting[agreement].remove(identifier)
    else:
        alone.setdefault(agreement, set()).add(identifier)


def _rank(ordered: list[float], percent: int) -> float:
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 1)
