"""While one of two routers is stopped, or cut off from the control log: a revocation that returned holds at every exit."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, count
from typing import Any

import httpx
import pytest

from adapters.synthetic import OOSTENDE
from broker.control.log import FRESH_S
from broker.model import topics
from broker.model.barrier import lane_barred
from broker.model.record import WIRE_HEADER_BYTES
from broker.schema.reference import decode
from broker.testing import wait_until
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd, living_in
from tests.faults.followers import Followers, follow
from tests.faults.oracle import is_barrier
from tests.faults.partition import Way, way_to
from tests.stage import ROOT, Router, Stage

pytestmark = pytest.mark.timeout(1500)

_AGENCY, _TEMPLATE = "stad-oostende", "inwoners-oostende"
_RECEIPT = (ROOT / "schemas" / "receipt.v1.avsc").read_text()
_NOTICED_MS = (FRESH_S + 1) * 1000
"""A batch may have been checked when the worker just was fresh still."""

_PAUSE_S = 0.1
"""Between two pieces: the broker's HTTP interface, the followers and the load share one process here."""

_GONE_WITHIN_S = 25
"""It notices (3 s), its last question to the log waits (3 s), lanes finish a batch (5 s), clients that nobody answers are given
up (6 s): on a busy machine not much longer than all of these."""


@dataclass
class Revocations:
    """Revokes one agreement after another over HTTP, and keeps what each took, and when it was answered."""

    stage: Stage
    agreements: list[str]
    since: dict[int, int]
    took_ms: dict[str, float] = field(default_factory=dict)
    fenced: dict[str, list[int]] = field(default_factory=dict)
    answered_ms: dict[str, float] = field(default_factory=dict)
    followed: list[Followers] = field(default_factory=list)
    asked_again: int = 0

    async def revoke(self, followers: Followers) -> None:
        """As the source does; from the answer on nothing may come anywhere."""
        agreement, token = followers.agreement, self.stage.stack.home.credential_of(SOURCE).token
        url = self.stage.stack.connection.api
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
            began = time.perf_counter()
            bearer = {"Authorization": f"Bearer {token}"}
            answer = await http.post(f"/v1/agreements/{agreement}/revoke", headers=bearer)
            while (
                answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            ):  # a busy machine: it did not return, asked again
                self.asked_again += 1
                answer = await http.post(f"/v1/agreements/{agreement}/revoke", headers=bearer)
            followers.over()
        self.took_ms[agreement] = (time.perf_counter() - began) * 1000
        self.answered_ms[agreement] = time.time() * 1000
        assert answer.is_success, answer.text
        assert set(answer.json()["barriers"]) == {str(lane) for lane in range(self.stage.lanes)}
        self.fenced[agreement] = answer.json()["fencedLanes"]
        self.followed.append(followers)

    async def check(self) -> str:
        """Raise `AssertionError` unless logs and exits hold nothing that follows; returns the figures."""
        await self.stage.drained(TOPIC)
        for followers in self.followed:
            assert followers.late == {}, followers.agreement
        for agreement in self.answered_ms:
            topic = topics.delivery(_AGENCY, agreement)
            left = await self.stage.read(topic)
            assert [message for message in left if not is_barrier(message)] == []
            barred = {lane_barred(message.key, message.headers, epoch=0) for message in left}
            assert barred <= set(range(self.stage.lanes))
            assert await self.stage.stack.site.admin.grants(topic=topic) == []
        await self._check_receipts()
        ordered = sorted(self.took_ms.values())
        p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        lanes = [len(lanes) for lanes in self.fenced.values()]
        return (
            f"{len(ordered)} revocations: p50 {ordered[len(ordered) // 2]:.0f} ms, p99 {p99:.0f} ms; "
            f"{sum(lanes)} lanes fenced in {sum(map(bool, lanes))} of them; {self.asked_again} calls asked again"
        )

    async def _check_receipts(self) -> None:
        """The topics were emptied up to the barriers: the receipts still tell when each release was written."""
        late, released = [], set()
        for message in await self.stage.read(topics.RECEIPTS, self.since):
            for leaf in decode(_RECEIPT, message.value[WIRE_HEADER_BYTES:])["decisions"]:
                if leaf["outcome"] == "release" and leaf["agreement"] in self.answered_ms:
                    released.add(leaf["agreement"])
                    if message.timestamp > self.answered_ms[leaf["agreement"]]:
                        late.append(leaf["agreement"])
        assert late == []
        assert released == set(self.answered_ms), "nothing was released of some: that proves nothing"


@asynccontextmanager
async def under_load(stage: Stage, crowd: Crowd, number: int) -> AsyncIterator[Revocations]:
    """So many agreements, all of which get everybody that is published, some hundred a second, until the block ends."""
    since = await stage.ends(topics.RECEIPTS)
    made = Revocations(stage, [await stage.agreement(_TEMPLATE) for _ in range(number)], since)
    stop = asyncio.Event()

    async def load() -> None:
        for _ in count():
            if stop.is_set():
                return
            await stage.publish(SOURCE, PRODUCT, living_in(OOSTENDE, crowd.people(40)))
            await asyncio.sleep(_PAUSE_S)

    async with stage.router(command="webhooks"):
        loading = asyncio.create_task(load())
        try:
            yield made
            assert not loading.done()
        finally:
            stop.set()
            await loading


@pytest.mark.parametrize("number", [2, pytest.param(20, marks=pytest.mark.long)])
async def test_nothing_comes_by_any_exit_after_a_revocation_while_a_router_is_stopped(
    stage: Stage, crowd: Crowd, number: int
) -> None:
    """A router that was stopped for longer than it may be stale ends by itself, as it must, and another takes its place."""
    rng, ended = random.Random(number), list[Router]()
    async with under_load(stage, crowd, number) as revocations, AsyncExitStack() as held:
        routers = [await held.enter_async_context(stage.router()) for _ in range(2)]
        await wait_until(lambda: sum(len(each.lines("lane.opened")) for each in routers) >= stage.lanes, timeout=60)
        for agreement in revocations.agreements:
            followers = await held.enter_async_context(follow(stage, agreement))
            await followers.flowing()
            await asyncio.sleep(rng.random() / 2)
            await replaced(stage, held, routers, ended)
            stopped = rng.choice(routers)
            stopped.send(signal.SIGSTOP)
            await wait_until(lambda stopped=stopped: stopped.stopped, timeout=10)  # type: ignore[misc]
            await revocations.revoke(followers)
            assert stopped.stopped
            stopped.send(signal.SIGCONT)
            await followers.gone()
        figures = await revocations.check()
    assert any(revocations.fenced.values()), "no lane was fenced: those that were stopped owned none"
    assert all("POLICY_STALE" in each.log.read_text() for each in ended)
    for router in (*routers, *ended):
        assert "never retrieved" not in router.log.read_text(), "a lane's end was lost"
    print(f"one of two routers stopped, {len(ended)} of these stale after that;", figures)  # noqa: T201 - a figure, shown with -s


@pytest.mark.parametrize("number", [1, pytest.param(20, marks=pytest.mark.long)])
async def test_nothing_comes_by_any_exit_after_a_revocation_while_a_router_cannot_see_the_control_log(
    stage: Stage, crowd: Crowd, number: int
) -> None:
    """Its requests about the log stay without an answer; its transactions go on, until it is fenced or stops by itself."""
    rng, gone_s, taken_s = random.Random(number), list[float](), list[float]()
    stretches: list[tuple[int, float, float]] = []
    async with (
        way_to(stage.stack.site.access.bootstrap, topics.CONTROL_LOG) as way,
        under_load(stage, crowd, number) as revocations,
        AsyncExitStack() as held,
    ):
        others, ended = [await held.enter_async_context(stage.router())], list[Router]()
        for agreement in revocations.agreements:
            followers = await held.enter_async_context(follow(stage, agreement))
            async with stage.router(**_through(way, stage)) as blind:
                await wait_until(lambda blind=blind: blind.lines("lane.opened"), timeout=60)  # type: ignore[misc]
                await followers.flowing()
                await asyncio.sleep(rng.random() / 2)
                way.cut()
                began, cut_ms = time.monotonic(), time.time() * 1000
                await revocations.revoke(followers)
                await followers.gone()
                assert await blind.ended(within=30) != 0
                gone_s.append(time.monotonic() - began)
                assert "POLICY_STALE" in blind.log.read_text(), "it ended for another reason"

                async def taken(blind: Router = blind, cut_ms: float = cut_ms) -> list[tuple[int, float, float]] | None:
                    await replaced(stage, held, others, ended)
                    return blind_until(blind, [*others, *ended], cut_ms)

                stretches += await wait_until(taken, timeout=60) or []
                taken_s.append((max(until for _, _, until in stretches) - cut_ms) / 1000)
            way.heal()
        figures = await revocations.check()
        receipts = [(each.partition, each.timestamp) for each in await stage.read(topics.RECEIPTS, revocations.since)]
    stale = [
        (lane, at) for lane, since, until in stretches for where, at in receipts if where == lane and since < at < until
    ]
    assert stale == [], "a router released something on policies that it could not know to be those of now"
    assert all("POLICY_STALE" in each.log.read_text() for each in ended)
    assert max(gone_s) < _GONE_WITHIN_S
    late = f"its lanes are another's after {max(taken_s):.1f} s, its process is gone after {max(gone_s):.1f} s at most"
    print(f"one of two routers blind, {late};", figures)  # noqa: T201 - as above


async def replaced(stage: Stage, held: AsyncExitStack, routers: list[Router], ended: list[Router]) -> None:
    """Start another in the place of each that has ended, as its supervisor would."""
    for gone in [each for each in routers if each.process.returncode is not None]:
        ended.append(gone)
        routers[routers.index(gone)] = await held.enter_async_context(stage.router())


def blind_until(blind: Router, others: Iterable[Router], cut_ms: float) -> list[tuple[int, float, float]] | None:
    """Lane, begin and end (ms) of the stretches in which the blind router held a lane and had to know that it was stale.

    None while no other router has taken over all of them.
    """
    found = []
    for mine in blind.lines("lane.opened"):
        opened = _at_ms(mine)
        lines = chain.from_iterable(each.lines("lane.opened") for each in others)
        theirs = [_at_ms(line) for line in lines if line["lane"] == mine["lane"]]
        until = min((at for at in theirs if at > opened), default=None)
        if until is None:
            return None
        found.append((mine["lane"], max(opened, cut_ms + _NOTICED_MS), until))
    return found


def _at_ms(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(line["at"]).timestamp() * 1000


def _through(way: Way, stage: Stage) -> dict[str, Any]:
    access = stage.stack.site.access
    return {
        "DATANUTS_KAFKA_BOOTSTRAP": way.address,
        "DATANUTS_KAFKA_USERNAME": access.username,
        "DATANUTS_KAFKA_PASSWORD": access.password,
        "DATANUTS_KAFKA_PROTOCOL": access.protocol,
        "DATANUTS_SINGLE_NODE": "true",
    }
