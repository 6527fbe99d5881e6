"""What a lane reads again and in what order, and when a replay may not be said to have ended."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from broker.model.facts import FactType
from broker.routing.backfill import Slice, read_progress
from broker.routing.rereading import Rereading

TOPIC = "source.rijksregister.persoon.v1"
NOW_MS = 1_795_600_000_000
GENT, STATISTICS = "inwoners-gent", "statistiek-vlaanderen"


class Consumer:
    """A lane's part of the topic with 25 records, ten at a time."""

    def __init__(self) -> None:
        self.at = 0

    async def start(self) -> None:
        """Nothing."""

    stop = start

    def assign(self, targets: Any) -> None:
        """Nothing."""

    def seek(self, _target: Any, offset: int) -> None:
        self.at = offset

    async def beginning_offsets(self, targets: list[Any]) -> Mapping[Any, int]:
        return dict.fromkeys(targets, 0)

    async def position(self, _target: Any) -> int:
        return self.at

    async def getmany(self, target: Any, **_limits: Any) -> Mapping[Any, list[Any]]:
        first, self.at = self.at, min(25, self.at + 10)
        return {target: [SimpleNamespace(offset=offset) for offset in range(first, self.at)]}


@pytest.fixture
def rereading() -> Rereading:
    return Rereading(Consumer, 1)


@pytest.fixture
def step(rereading, log, plans) -> Any:
    """One slice of what there is by now; told and committed."""

    async def step() -> Slice | None:
        found = await rereading.next_slice(plans.at(log.state), log.state.replays, {TOPIC: 25}, NOW_MS, wait=False)
        if found is not None:
            rereading.settle(rereading.progress | {found.topic: found.after})
        return found

    return step


def ask(log: Any, agreement: str) -> int:
    assert log.fact(FactType.REPLAY_REQUESTED, f"replay/{agreement}", {"agreement": agreement, "since": None})
    return int(log.state.replays[agreement].epoch)


async def told(step: Any) -> list[tuple[str | None, int]]:
    """Of whom each slice was, until there is none: a replay's agreement or None, and its number of records."""
    found = []
    while (slice_ := await step()) is not None:
        found.append((slice_.replay and slice_.replay.agreement, len(slice_.records)))
    return found


async def test_agreements_that_came_into_force_are_told_first_and_replays_in_the_order_they_were_asked(
    step, log, rereading
) -> None:
    ask(log, STATISTICS)
    epoch = ask(log, GENT)
    thrice = (10, 10, 5)
    assert await told(step) == [(whose, records) for whose in (None, STATISTICS, GENT) for records in thrice]
    assert not rereading.under_way
    assert rereading.progress[TOPIC].replayed.done == epoch
    assert await told(step) == []


async def test_the_same_slice_is_given_until_it_is_committed(rereading, log, plans) -> None:
    arguments = (plans.at(log.state), {}, {TOPIC: 25}, NOW_MS)
    first = await rereading.next_slice(*arguments, wait=False)
    assert first is not None
    assert await rereading.next_slice(*arguments, wait=False) is first
    rereading.settle({TOPIC: first.after})
    second = await rereading.next_slice(*arguments, wait=False)
    assert [record.offset for record in second.records] == list(range(10, 20))


async def test_another_owner_goes_on_where_the_progress_says(step, log, rereading) -> None:
    await told(step)
    ask(log, GENT)
    await step()
    committed = rereading.progress[TOPIC].encode()
    await rereading.close()
    rereading.progress[TOPIC] = read_progress(committed)
    slices = [await step(), await step()]
    assert [(each.begins, each.ends, len(each.records)) for each in slices] == [(False, False, 10), (False, True, 5)]
    assert await step() is None


@pytest.mark.parametrize("stop", ["suspended", "revoked", "halted", "ceiling", "asked-anew"])
async def test_a_replay_that_is_not_whole_never_ends(step, log, stop) -> None:
    """An agency removes whoever was not told of between the beginning and the end."""
    await told(step)
    epoch = ask(log, GENT)
    first = await step()
    assert (first.begins, first.ends) == (True, False)
    if stop == "halted":
        data = {"source": "rijksregister", "product": "persoon.v1"}
        assert log.fact(FactType.PRODUCT_HALTED, "halt/rijksregister/persoon.v1", data)
    elif stop == "ceiling":
        entry = log.state.agreements[GENT]
        nothing = {
            "source": "rijksregister",
            "product": "persoon.v1",
            "purpose": entry.document["purpose"],
            "fields": [],
        }
        assert log.fact(FactType.CEILING, "ceiling/own", nothing)
    elif stop == "asked-anew":
        assert ask(log, GENT) > epoch
    else:
        log.move(GENT, FactType.AGREEMENT_SUSPENDED if stop == "suspended" else FactType.AGREEMENT_REVOKED)
    rest = []
    while (slice_ := await step()) is not None:
        rest.append(slice_)
    assert [each.replay.epoch for each in rest if each.replay and each.replay.epoch == epoch] == []
    assert [each.ends for each in rest] == ([False, False, True] if stop == "asked-anew" else [])


def test_only_an_active_agreement_may_be_told_again(log) -> None:
    asked = {"agreement": GENT, "since": None}
    log.move(GENT, FactType.AGREEMENT_SUSPENDED)
    assert not log.fact(FactType.REPLAY_REQUESTED, f"replay/{GENT}", asked)
    assert not log.fact(FactType.REPLAY_REQUESTED, "replay/niemand", asked | {"agreement": "niemand"})
    assert log.state.replays == {}
