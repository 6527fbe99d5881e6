"""What is told of a subject whose last record is read again: of which agreements, and with what notices around it."""

from collections.abc import Callable, Sequence

from broker.model.decision import Kind, Release
from broker.model.notice import Notice, NoticeReason, notice
from broker.policy.calendar import milliseconds
from broker.policy.engine import Batch, Previous
from broker.policy.papers import Papers
from broker.routing.backfill import Slice
from broker.routing.plans import TopicPlan

Tells = Callable[[Batch, Previous, Papers, int], Sequence[tuple[int, Release]]]
"""Releases by plan index: of a subject as it is known, with its papers and the instant (ms) at which its record was appended."""


def retelling(plan: TopicPlan, slice_: Slice) -> Tells:
    """What a slice tells: a replay's agreement of everybody, or those that came into force before the backfill of whom they missed."""
    replay = slice_.replay
    if replay is None:
        return _introducing(plan.engine.newest, slice_.before.reach.at_ms)
    since_ms = 0 if replay.since is None else milliseconds(replay.since)
    return _repeating(plan.index_of(replay.agreement), since_ms)


def notices(plan: TopicPlan, slice_: Slice, lane: int, reason: NoticeReason) -> list[Notice]:
    """What the agency that asked for a replay is told at its first and after its last record in a lane."""
    replay = slice_.replay
    due = slice_.begins if reason is NoticeReason.REPLAY_BEGINS else slice_.ends
    index = None if replay is None else plan.index_of(replay.agreement)
    if replay is None or index is None or not due:
        return []
    return [notice(plan.outlets[index].topic, lane, replay.epoch, reason)]


def _introducing(newest: int, upto: int) -> Tells:
    """What came into force after `upto` waits for the next backfill: else it would be told twice of whom this one has left."""

    def tells(batch: Batch, known: Previous, papers: Papers, appended: int) -> Sequence[tuple[int, Release]]:
        return batch.introduce(known, papers, appended, upto) if known.at < newest else ()

    return tells


def _repeating(index: int | None, since_ms: int) -> Tells:
    def tells(batch: Batch, known: Previous, papers: Papers, appended: int) -> Sequence[tuple[int, Release]]:
        if appended < since_ms:
            return ()
        # As if the agency had never been told: its full state, by today's version and papers.
        found = batch.decide(None, known.values, Kind.CHANGED, papers, appended)
        return [(each, decision) for each, decision in found if each == index and isinstance(decision, Release)]

    return tells
