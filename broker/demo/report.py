"""What the scenario came to, as figures and as checks that fail where the figures do not add up. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from broker.demo.rules import EXPIRED, PARKING, REFUSED, REVOKED, Findings
from broker.demo.tally import Latency, Tally
from broker.model.decision import Reason


@dataclass(frozen=True, slots=True)
class Move:
    """What was delivered about the person who moved, between two offsets of three municipalities' topics.

    `told_old`: the old one got any value or the new street; `told_new`: the new one got the new street; `others`:
    deliveries beside departures and arrivals; `delivery`: id of the arrival.
    """

    left: int
    told_old: bool
    entered: int
    told_new: bool
    others: int
    delivery: str


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation's duration in ms, the barriers it reported, those in the topic, and the records after the last."""

    duration_ms: float
    reported: int
    barriers: int
    after: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. `tally` is read from topics, `counted` is what the routers say; `on_file` records are about parking files.

    `published` and `duplicates` are what the adapter says it did.
    """

    tally: Tally
    agreements: tuple[str, ...]
    persons: str
    counted: Mapping[str, Any]
    published: int
    duplicates: int
    refusal: Findings
    on_file: int
    move: Move
    revocation: Revocation
    latency: Latency | None
    warm_start_s: float

    @property
    def not_on_file(self) -> dict[str, int]:
        """Records about nobody whom the agency holds a file on: counted by the routers, never receipted."""
        own = {name: counts["withheld"] for name, counts in self.counted["agreements"].items()}
        return {name: held[Reason.NO_DOSSIER] for name, held in sorted(own.items()) if Reason.NO_DOSSIER in held}


def summary(outcome: Outcome) -> dict[str, Any]:
    """The run as one JSON object; every count is of records read from topics since the run began.

    `agreements` holds what was receipted; `not_on_file` what was only counted. `latency_ms` spans a source record's
    append to a reader of the delivery topic having it, over the changes that were published live. `after_revocation` is
    the number of records behind the last barrier of the revoked agreement's topic; `failed` names broken checks.
    """
    tally, latency = outcome.tally, outcome.latency
    agreements = {
        name: {"delivered": tally.delivered[name], "withheld": tally.withheld_under(name)}
        for name in outcome.agreements
        if name != REFUSED
    }
    return {
        "records": tally.records.total(),
        "delivered": tally.delivered.total(),
        "withheld": tally.withheld.total(),
        "agreements": agreements,
        "latency_ms": {"p50": latency and latency.p50, "p99": latency and latency.p99},
        "revocation_ms": outcome.revocation.duration_ms,
        "warm_start_s": outcome.warm_start_s,
        "not_on_file": outcome.not_on_file,
        "duplicates": outcome.duplicates,
        "refused": {REFUSED: [{"code": code, "path": path, "text": text} for code, path, text in outcome.refusal]},
        "move": {"left": outcome.move.left, "entered": outcome.move.entered, "others": outcome.move.others},
        "after_revocation": outcome.revocation.after,
        "failed": list(failures(outcome)),
    }


def failures(outcome: Outcome) -> Iterator[str]:
    """The checks of the run that do not hold, as sentences."""
    tally, move, revocation = outcome.tally, outcome.move, outcome.revocation
    if tally.records.total() != outcome.published:
        yield "the sources' topics do not hold what the adapter says it published"
    if tally.receipts[outcome.persons] != tally.records[outcome.persons]:
        yield "a person's record has no receipt"
    for name in outcome.agreements:
        unreceipted, undelivered = tally.unmatched(name)
        if unreceipted or (undelivered and name != REVOKED):  # its topic may have been emptied before it was read
            yield f"{name}: deliveries and receipts differ"
    yield from _router(outcome)
    if [(code, path) for code, path, _ in outcome.refusal] != [("ABOVE_CEILING", "nationaliteiten.code")]:
        yield f"{REFUSED} was not refused for what it asks above the ceiling"
    if tally.delivered[EXPIRED] or tally.withheld_under(EXPIRED) != {"NOT_IN_TERM": tally.records[outcome.persons]}:
        yield f"{EXPIRED} is over, yet it is not all withheld as such"
    if tally.released[PARKING] != outcome.on_file:
        yield f"{PARKING} did not get exactly the records about the people it holds a file on"
    if (move.left, move.entered, move.others) != (1, 1, 0) or move.told_old or not move.told_new:
        yield "the move: one departure without the address, one arrival with it, and nothing else were expected"
    if revocation.after or not revocation.barriers or not tally.withheld_under(REVOKED).get(Reason.REVOKED):
        yield f"{REVOKED}: after its revocation something was delivered, or nothing was withheld"


def _router(outcome: Outcome) -> Iterator[str]:
    """Whether the routers' own counts are those of the topics."""
    tally, counted = outcome.tally, outcome.counted
    if counted["records"] != tally.records.total() or counted["quarantined"]:
        yield "the routers counted other records than the topics hold, or quarantined some"
    for name in outcome.agreements:
        own = counted["agreements"].get(name, {"delivered": 0, "withheld": {}})
        withheld = {reason: number for reason, number in own["withheld"].items() if reason != Reason.NO_DOSSIER}
        if (own["delivered"], withheld) != (tally.released[name], tally.withheld_under(name)):
            yield f"{name}: the routers counted other decisions than the receipts hold"
    if outcome.not_on_file.get(PARKING, 0) != tally.records[outcome.persons] - outcome.on_file:
        yield f"{PARKING}: the routers counted other people without a file than the topics hold"
