"""What an agency's program may count on: order, at least once, no repetition, and an end where there is one."""

import asyncio
import itertools
import logging
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from broker import errors
from broker.client import LifeCycle, MemoryPositions, Patience, Position, Subscription
from tests.unit.client.conftest import AGREEMENT, TOKEN, Broker, problem


def ids(items: list[Any]) -> list[str]:
    return [item.id for item in items]


async def test_a_delivery_holds_the_item_and_keeps_its_data_out_of_its_representation(broker: Broker) -> None:
    broker.deliver("Peeters")
    broker.leave("d2")
    first, left = await broker.read()
    assert (first.kind, first.key, first.data) == ("changed", "k1", {"naam": "Peeters", "huisnummer": None})
    assert (first.agreement, first.agreement_version, first.cursor) == (AGREEMENT, 2, "1")
    assert first.time == datetime(2026, 11, 26, 8, tzinfo=UTC)
    assert first.traceparent.startswith("00-111")
    assert (left.kind, left.reason, left.data) == ("left-population", "DELETED", None)
    assert "naam" not in repr(first)
    assert broker.tokens == {f"Bearer {TOKEN}"}


async def test_pages_follow_each_other_in_order(broker: Broker) -> None:
    broker.deliver(*"abcdefgh")
    assert ids(await broker.read()) == list("abcdefgh")


async def test_a_new_program_goes_on_where_the_last_one_ended(broker: Broker) -> None:
    broker.deliver(*"abcd", marker=True)
    assert ids(await broker.read()) == list("abcd")
    assert broker.positions.kept[AGREEMENT].cursor == "5"
    broker.deliver("e")
    assert ids(await broker.read()) == ["e"]


async def test_a_repeated_delivery_is_dropped_in_one_run_and_across_a_restart(broker: Broker) -> None:
    broker.deliver(*"abab")
    assert ids(await broker.read()) == ["a", "b"]
    broker.deliver(*"bca")
    assert ids(await broker.read()) == ["c"]


async def test_only_so_many_deliveries_are_remembered(broker: Broker) -> None:
    broker.deliver(*"abcda")
    assert ids(await broker.read(window=3)) == list("abcda")
    assert broker.positions.kept[AGREEMENT].recent == ("c", "d", "a")


async def test_the_item_in_hand_is_not_done_until_the_next_is_asked_for(broker: Broker) -> None:
    broker.deliver(*"abc")
    with suppress(ZeroDivisionError):
        async with broker.subscription() as deliveries:
            async for delivery in deliveries:
                if delivery.id == "b":
                    raise ZeroDivisionError
    assert broker.positions.kept[AGREEMENT] == Position("1", ("a",))
    assert ids(await broker.read()) == ["b", "c"]


async def test_while_a_page_is_worked_through_the_position_is_kept_every_second(broker: Broker) -> None:
    broker.deliver(*"abc")
    kept = []
    async with broker.subscription(follow=False) as deliveries:
        async for _ in deliveries:
            kept.append(broker.positions.kept.get(AGREEMENT))
            broker.clock.now += 0.6
    assert kept == [None, None, Position("2", ("a", "b"))]


async def test_without_autocommit_only_commit_keeps_what_was_handed_over(broker: Broker) -> None:
    broker.deliver(*"abcde")
    async with broker.subscription(autocommit=False, follow=False) as deliveries:
        seen = [(await anext(deliveries)).id for _ in range(2)]
        assert broker.positions.kept == {}
        await deliveries.commit()
        assert broker.positions.kept[AGREEMENT] == Position("2", ("a", "b"))
        seen += ids([delivery async for delivery in deliveries])
    assert seen == list("abcde")
    assert ids(await broker.read()) == ["c", "d", "e"]


async def test_commit_before_a_break_keeps_the_item_in_hand(broker: Broker) -> None:
    broker.deliver(*"abc")
    async with broker.subscription() as deliveries:
        async for _ in deliveries:
            await deliveries.commit()
            break
    assert ids(await broker.read()) == ["b", "c"]


async def test_positions_that_fail_end_the_iteration(broker: Broker) -> None:
    class Full(MemoryPositions):
        async def save(self, agreement: str, position: Position) -> None:
            raise errors.ConfigError(f"no room for {agreement} at {position.cursor}")

    broker.deliver(*"abcd")
    async with AsyncExitStack() as held:
        deliveries = await held.enter_async_context(broker.subscription(positions=Full()))
        assert [(await anext(deliveries)).id for _ in "abc"] == ["a", "b", "c"]
        with pytest.raises(errors.ConfigError):
            await anext(deliveries)
        held.pop_all()


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        problem(503, "POLICY_STALE"),
        problem(503, "KAFKA_UNAVAILABLE"),
        problem(500, "INTERNAL"),
        problem(429, "TOO_MANY_REQUESTS"),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(200, text="<html>maintenance</html>"),
        httpx.Response(200, json={"hello": "there"}),
    ],
    ids=repr,
)
async def test_what_passes_is_waited_for(broker: Broker, fault: Any) -> None:
    broker.deliver(*"abcd")
    broker.faults.extend([fault, fault])
    assert ids(await broker.read()) == list("abcd")
    assert broker.clock.pauses == [0.5, 1.0]


@pytest.mark.parametrize(
    "headers",
    [{"retry-after": "7"}, {"retry-after": "Thu, 26 Nov 2026 08:00:07 GMT", "date": "Thu, 26 Nov 2026 08:00:00 GMT"}],
)
async def test_a_pause_that_the_broker_asks_for_is_kept(broker: Broker, headers: dict[str, str]) -> None:
    broker.deliver("a")
    broker.faults.append(problem(503, "KAFKA_UNAVAILABLE", **headers))
    assert ids(await broker.read()) == ["a"]
    assert broker.clock.pauses == [7.0]


@pytest.mark.parametrize("asked", ["soon", "-5", "Thu, 26 Nov 2026 08:00:07 GMT", "٣"])
async def test_a_retry_after_that_says_nothing_is_not_looked_at(broker: Broker, asked: str) -> None:
    broker.deliver("a")
    broker.faults.append(
        httpx.Response(503, json={"code": "KAFKA_UNAVAILABLE"}, headers=[(b"retry-after", asked.encode())])
    )
    assert ids(await broker.read()) == ["a"]
    assert broker.clock.pauses == [0.5]


async def test_patience_may_end(broker: Broker) -> None:
    broker.faults.extend([httpx.ConnectError("refused")] * 10)
    clock = broker.clock
    patience = Patience(give_up_after_s=3, sleep=clock.sleep, random=lambda: 0.0, clock=lambda: clock.now)
    with pytest.raises(errors.BrokerUnavailable):
        await broker.read(patience=patience)
    assert clock.pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (problem(401, "UNAUTHENTICATED"), errors.Unauthenticated),
        (problem(403, "FORBIDDEN"), errors.Forbidden),
        (problem(404, "NOT_FOUND"), errors.NotFound),
        (problem(409, "CONFLICT"), errors.Conflict),
        (problem(400, "INVALID"), errors.Invalid),
        (httpx.Response(404, text="nothing here"), errors.NotFound),
        (httpx.Response(401, text="no"), errors.Unauthenticated),
        (httpx.Response(307, headers={"location": "https://elsewhere.test"}), errors.Refused),
    ],
)
async def test_a_refusal_is_raised_at_once(broker: Broker, answer: httpx.Response, expected: type[Exception]) -> None:
    broker.faults.append(answer)
    with pytest.raises(expected):
        await broker.read()
    assert len(broker.reads) == 1
    assert broker.clock.pauses == []


async def test_missed_deliveries_are_told_with_what_to_do(broker: Broker) -> None:
    broker.deliver(*"abcdef")
    broker.positions.kept[AGREEMENT] = Position("1", ("a",))
    broker.first = 3
    with pytest.raises(errors.PositionExpired, match=r'replay.*on_expired="restart"'):
        await broker.read()
    assert broker.positions.kept[AGREEMENT].cursor == "1"
    assert ids(await broker.read(on_expired="restart")) == ["d", "e", "f"]


async def test_a_broker_that_always_says_expired_is_not_asked_for_ever(broker: Broker) -> None:
    broker.faults.extend(problem(410, "POSITION_EXPIRED") for _ in range(10))
    broker.positions.kept[AGREEMENT] = Position("1")
    with pytest.raises(errors.PositionExpired):
        await broker.read(on_expired="restart")
    assert broker.reads == ["1", None]


async def test_a_following_reader_gets_what_comes_later_and_ends_when_the_agreement_does(broker: Broker) -> None:
    broker.deliver("a")

    def happen() -> None:
        if len(broker.log) == 1:
            broker.deliver("b")
            return
        broker.state = "revoked"
        broker.barrier("REVOKED", 0)
        broker.barrier("REVOKED", 1)

    broker.idle = happen
    async with broker.subscription() as deliveries:
        assert ids([delivery async for delivery in deliveries]) == ["a", "b"]
        assert deliveries.ended == LifeCycle("life-cycle/40/REVOKED", AGREEMENT, "REVOKED", 40, "", None, "4")
        assert deliveries.ended.final


async def test_events_of_the_agreement_are_handed_over_once_where_asked_for(broker: Broker) -> None:
    broker.deliver("a")
    for lane in range(3):
        broker.barrier("SUSPENDED", lane)
    broker.deliver("b")
    assert ids(await broker.read()) == ["a", "b"]
    broker.positions.kept.clear()
    _, event, _ = await broker.read(life_cycle=True)
    assert (event.reason, event.epoch, event.final) == ("SUSPENDED", 40, False)


async def test_notices_of_a_replay_come_from_every_lane(broker: Broker) -> None:
    for reason in ("REPLAY_BEGINS", "REPLAY_ENDS"):
        for lane in range(2):
            broker.barrier(reason, lane)
    events = await broker.read(life_cycle=True)
    told = [(event.reason, event.key) for event in events]
    assert told == [(reason, f"barrier/{lane}") for reason in ("REPLAY_BEGINS", "REPLAY_ENDS") for lane in range(2)]


@pytest.mark.parametrize("barriers", [True, False])
async def test_a_stream_emptied_by_its_end_ends_with_one_event(broker: Broker, *, barriers: bool) -> None:
    broker.deliver(*"abc")
    broker.state, broker.first = "ended", 3
    if barriers:
        broker.barrier("ENDED", 0)
        broker.barrier("ENDED", 1)
    (event,) = await broker.read(life_cycle=True, follow=True)
    assert (event.id, event.reason) == ("life-cycle/40/ENDED", "ENDED")
    assert await broker.read(life_cycle=True, follow=True) == []


async def test_an_old_end_does_not_end_an_agreement_that_was_made_again(broker: Broker) -> None:
    broker.deliver("a")
    broker.barrier("ENDED", 0)
    broker.deliver("b")
    assert ids(await broker.read()) == ["a", "b"]


async def test_what_answers_without_waiting_is_asked_less_and_less(broker: Broker) -> None:
    broker.waits = False

    def happen() -> None:
        if len(broker.reads) == 6:
            broker.state = "revoked"

    broker.idle = happen
    assert await broker.read(follow=True) == []
    assert broker.clock.pauses == [0.5, 1.0, 2.0, 4.0]


async def test_offsets_that_hold_nothing_are_passed_and_kept(broker: Broker) -> None:
    broker.log += [None] * 7
    assert await broker.read() == []
    assert broker.positions.kept[AGREEMENT].cursor == "7"


async def test_a_secret_is_in_no_message_and_no_log(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    broker.faults.extend([httpx.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'")])
    broker.deliver("a")
    with caplog.at_level(logging.DEBUG):
        assert await broker.read()
    assert "does not answer" in caplog.text
    assert TOKEN not in caplog.text
    for url, token in (("broker.test:80", TOKEN), ("http://broker.test", f"{TOKEN} x"), ("http://broker.test", "")):
        with pytest.raises(errors.ConfigError) as refused:
            await Subscription(AGREEMENT, url=url, token=token, positions=MemoryPositions()).__aenter__()
        assert TOKEN not in str(refused.value)


async def test_a_token_that_does_not_last_is_asked_for_again(broker: Broker) -> None:
    numbers = itertools.count()

    async def fresh() -> str:
        return f"jwt-{next(numbers)}"

    broker.deliver(*"abcd")
    async with Subscription(
        AGREEMENT,
        url="http://broker.test",
        token=fresh,
        positions=broker.positions,
        transport=broker.transport,
        follow=False,
    ) as deliveries:
        assert ids([delivery async for delivery in deliveries]) == list("abcd")
    assert {"Bearer jwt-0", "Bearer jwt-1"} <= broker.tokens


async def test_cancelled_while_waiting_it_leaves_nothing_running(broker: Broker) -> None:
    asked = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("after") is None:
            return broker._answer(request)
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    before = asyncio.all_tasks()
    broker.deliver(*"ab")

    async def consume() -> None:
        async with broker.subscription(transport=httpx.MockTransport(hang)) as deliveries:
            async for _ in deliveries:
                pass

    running = asyncio.create_task(consume())
    await asked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == before
    assert broker.positions.kept[AGREEMENT].cursor == "2"


async def test_it_is_read_inside_its_block_only_and_may_be_opened_again(broker: Broker) -> None:
    broker.deliver(*"abc")
    subscription = broker.subscription(follow=False)
    async with subscription:
        assert (await anext(subscription)).id == "a"
    async with subscription:
        assert ids([delivery async for delivery in subscription]) == ["a", "b", "c"]
    with pytest.raises(errors.Invalid, match="async with"):
        await anext(subscription)


def test_an_agreement_is_named_by_its_slug() -> None:
    with pytest.raises(errors.Invalid):
        Subscription("../etc/passwd", url="http://broker.test", token=TOKEN)
