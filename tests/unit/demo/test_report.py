"""The summary has its promised form, and every check can fail."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from broker.delivery.streams import Message
from broker.delivery.trail import TracedDecision
from broker.demo.report import Move, Outcome, Revocation, failures, summary
from broker.demo.rules import EXPIRED, PARKING, REFUSED, REVOKED
from broker.demo.tally import Latency, Tally

PERSONS = "source.rijksregister.persoon.v1"
ABOVE = (("ABOVE_CEILING", "nationaliteiten.code", "default deny"),)


def tally() -> Tally:
    """Two people: the first was delivered under REVOKED before its end, the second withheld after; one is on file."""
    read = Tally()
    for lane, delivery in ((0, "d1"), (1, None)):
        place = (PERSONS, lane, 0)
        read.source(place, b"k%d" % lane, 0)
        own = TracedDecision(REVOKED, 1, "release", "initial", None, delivery) if delivery else revoked()
        over = TracedDecision(EXPIRED, 1, "withhold", "snapshot", "NOT_IN_TERM", None)
        filed = [TracedDecision(PARKING, 1, "release", "initial", None, "p1")] if delivery else []
        read.receipt(place, [own, over, *filed])
    read.delivery(REVOKED, arrived("d1"), 0)
    read.delivery(PARKING, arrived("p1"), 0)
    return read


def revoked() -> TracedDecision:
    return TracedDecision(REVOKED, 1, "withhold", "snapshot", "REVOKED", None)


def arrived(identifier: str) -> Message:
    return Message(0, b"k", b"v", (("ce_id", identifier.encode()), ("ce_kind", b"initial")))


COUNTED = {
    "records": 2,
    "agreements": {
        REVOKED: {"delivered": 1, "withheld": {"REVOKED": 1}},
        EXPIRED: {"delivered": 0, "withheld": {"NOT_IN_TERM": 2}},
        PARKING: {"delivered": 1, "withheld": {"NO_DOSSIER": 1}},
    },
    "quarantined": {},
}
MOVE = Move(left=1, told_old=False, entered=1, told_new=True, others=0, delivery="d")


def outcome() -> Outcome:
    return Outcome(
        tally=tally(),
        agreements=(REVOKED, EXPIRED, PARKING, REFUSED),
        persons=PERSONS,
        counted=COUNTED,
        published=2,
        duplicates=0,
        refusal=ABOVE,
        on_file=1,
        move=MOVE,
        revocation=Revocation(duration_ms=12.5, reported=8, barriers=1, after=0),
        latency=Latency(5.0, 9.0, 2),
        warm_start_s=3.1,
    )


def test_the_summary_holds_what_is_promised_and_adds_up() -> None:
    told = summary(outcome())
    promised = {"records", "delivered", "withheld", "agreements", "latency_ms", "revocation_ms", "warm_start_s"}
    assert promised <= told.keys()
    assert (told["records"], told["delivered"], told["withheld"]) == (2, 2, 3)
    assert told["agreements"] == {
        REVOKED: {"delivered": 1, "withheld": {"REVOKED": 1}},
        EXPIRED: {"delivered": 0, "withheld": {"NOT_IN_TERM": 2}},
        PARKING: {"delivered": 1, "withheld": {}},
    }
    assert told["latency_ms"] == {"p50": 5.0, "p99": 9.0}
    assert told["not_on_file"] == {PARKING: 1}
    assert told["failed"] == []


def counted(**changed: object) -> dict[str, object]:
    return COUNTED | changed


def read(change: Callable[[Tally], object]) -> Tally:
    changed = tally()
    change(changed)
    return changed


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"published": 3}, "publish"),
        ({"tally": read(lambda seen: seen.receipts.clear())}, "receipt"),
        ({"tally": read(lambda seen: seen.delivery(PARKING, arrived("x"), 0))}, PARKING),
        ({"tally": read(lambda seen: seen.delivery(REVOKED, arrived("x"), 0))}, REVOKED),
        ({"counted": counted(records=3)}, "routers"),
        ({"counted": counted(quarantined={PERSONS: {"WRONG_LANE": 1}})}, "quarantined"),
        ({"counted": counted(agreements=COUNTED["agreements"] | {EXPIRED: {"delivered": 1, "withheld": {}}})}, EXPIRED),
        ({"refusal": ()}, REFUSED),
        ({"tally": read(lambda seen: seen.delivery(EXPIRED, arrived("x"), 0))}, EXPIRED),
        ({"on_file": 2}, PARKING),
        ({"move": replace(MOVE, left=2)}, "move"),
        ({"move": replace(MOVE, told_old=True)}, "move"),
        ({"move": replace(MOVE, told_new=False)}, "move"),
        ({"move": replace(MOVE, others=1)}, "move"),
        ({"revocation": Revocation(12.5, 8, 1, 1)}, REVOKED),
        ({"revocation": Revocation(12.5, 8, 0, 0)}, REVOKED),
    ],
)
def test_every_check_can_fail(change: dict[str, object], named: str) -> None:
    assert any(named in failure for failure in failures(replace(outcome(), **change)))


def test_what_was_emptied_before_it_was_read_is_no_failure_but_only_where_it_was_revoked() -> None:
    unread = tally()
    unread.receipt((PERSONS, 0, 5), [TracedDecision(REVOKED, 1, "release", "changed", None, "gone")])
    assert not any("differ" in failure for failure in failures(replace(outcome(), tally=unread)))
