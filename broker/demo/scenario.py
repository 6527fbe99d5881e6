"""The demo's acts, top-down; what came of them is read from the topics, never assumed.

agree ▸ register files ▸ publish everyone ▸ people move house ▸ revoke while they do ▸ more of the same ▸ look
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapters.sdk import Adapter
from adapters.summary import Summary
from broker.api.services import Revoked
from broker.control import keys
from broker.delivery.streams import Message
from broker.demo.cast import ELSEWHERE, HOME, THIRD, Cast
from broker.demo.changes import PRODUCT, SOURCE, Changes
from broker.demo.logs import Decoder, after_last_barrier, scan
from broker.demo.report import Move, Outcome, Revocation
from broker.demo.rules import PARKING, REVOKED, YOUTH, Findings, Rules, residents
from broker.demo.stage import Stage
from broker.demo.tally import Tally
from broker.demo.watch import Watch
from broker.errors import BrokerUnavailable
from broker.model import keyed, topics
from broker.model.decision import Kind
from broker.routing.told import have_told

TOPIC = topics.source(SOURCE, PRODUCT)
_LIVE, _MEANWHILE, _AFTER = 60, 20, 20
_BURST, _PAUSE_S = 10, 1.0
_LOOK_S, _TOLD_S = 0.1, 60.0

Publish = Callable[[Adapter], Awaitable[Summary]]
"""Runs one adapter once, to its end."""


@dataclass(slots=True)
class Scenario:
    """Plays on `stage`; `announce` hears the name of each act."""

    stage: Stage
    cast: Cast
    rules: Rules
    publish: Publish
    now: Callable[[], datetime]
    announce: Callable[[str], None] = lambda _act: None
    published: int = field(default=0, init=False)
    duplicates: int = field(default=0, init=False)
    live_since_ms: float = field(default=0.0, init=False)

    def stated(self) -> str:
        """The present instant as sources state it."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def watch(self) -> Watch:
        """What follows every topic of the scenario; to be entered once `prepare` is done, before `play`."""
        site = self.stage.site
        return Watch(
            site.clients,
            Decoder(site.control.state),
            sources=[topics.source(owner, product) for product, owner in self.cast.sources("").sources.items()],
            deliveries={self.rules.topic(agreement.id): agreement.id for agreement in self.rules.delivering},
            lanes=site.lanes,
        )

    async def prepare(self) -> Findings:
        """Agreements in force and files registered; returns why one request was refused."""
        services = self.stage.services
        self.announce("agreements: requested, approved, advised on, signed by both sides (dev signatures), published")
        refusal = await self.rules.refusal(services)
        await self.rules.in_force(services, self.now())
        self.announce("files: the parking company and the youth service register theirs")
        await self.rules.on_file(services, PARKING, "schuldenaar", self.cast.parking)
        await self.rules.on_file(services, YOUTH, "deelnemer", self.cast.youth)
        await self._told()
        return refusal

    async def play(self, watch: Watch, refusal: Findings, warm_start_s: float) -> Outcome:
        """Everything after that; raises `BrokerUnavailable` where an act's effect is not seen within a minute."""
        self.announce("the sources publish everyone and everything they hold")
        await self._publish(self.cast.sources(self.stated()))
        await self._seen(watch)

        self.announce(f"people move house; one of them from {HOME.name} to {ELSEWHERE.name}")
        self.live_since_ms, marks = self.now().timestamp() * 1000, await self._marks()
        moved = self.cast.moved(self.stated())
        values = list(self.cast.changes(_LIVE, self.stated()))
        await self._publish(Changes([*values[: _LIVE // 2], moved, *values[_LIVE // 2 :]], _BURST, _PAUSE_S))
        await self._seen(watch)
        move = await self._look_at_move(marks, moved)

        self.announce(f"{REVOKED} is revoked while people move house")
        stopped = await self._revoked_meanwhile(list(self.cast.changes(_MEANWHILE, self.stated())))
        self.announce(f"people of {THIRD.name} go on moving house after the revocation")
        await self._publish(Changes(list(self.cast.changes(_AFTER, self.stated(), within=THIRD))))
        await self._seen(watch)

        self.announce("looking: every figure is read from the topics")
        on_file = [keyed.lane_key(self._key(keys.LANE), file.subject.encode()) for file in self.cast.parking]
        return Outcome(
            tally=watch.tally,
            agreements=tuple(self.rules.agreements),
            persons=TOPIC,
            counted=await self._counted(watch),
            published=self.published,
            duplicates=self.duplicates,
            refusal=refusal,
            on_file=sum(watch.tally.about[key] for key in on_file),
            move=move,
            revocation=await self._look_at_revocation(stopped),
            latency=watch.tally.latency(self.live_since_ms),
            warm_start_s=warm_start_s,
        )

    async def _told(self) -> None:
        """Return once agreements that came into force anew have been told of whom an earlier run left behind."""
        site = self.stage.site
        try:
            async with site.clients.consumer(topics.ROUTER_GROUP) as consumer, asyncio.timeout(_TOLD_S):
                while not await have_told(consumer, site.control.state, TOPIC, range(site.lanes)):
                    await site.control.wait_for_change(site.control.state.epoch, timeout=_LOOK_S)
        except TimeoutError as error:
            raise BrokerUnavailable("the routers did not tell of whom an earlier run left behind") from error

    async def _publish(self, adapter: Adapter) -> None:
        done = await self.publish(adapter)
        self.published += done.published
        self.duplicates += done.duplicate

    async def _seen(self, watch: Watch) -> None:
        """Return once everything published is decided, and what was released is delivered."""
        live = [agreement.id for agreement in self.rules.delivering if agreement.id != REVOKED]

        def seen(tally: Tally) -> bool:
            decided = tally.receipts[TOPIC] >= tally.records[TOPIC]
            return tally.records.total() >= self.published and decided and tally.settled(live)

        await watch.until(seen, "a receipt on every person's record, and every delivery")

    async def _revoked_meanwhile(self, values: Sequence[Mapping[str, Any]]) -> Revoked:
        moving = asyncio.create_task(self._publish(Changes(values, _BURST, _PAUSE_S)))
        try:
            return await self.stage.services.agreements.revoke(REVOKED, SOURCE)
        finally:
            await moving

    async def _marks(self) -> dict[str, int]:
        """Next offset of the municipalities' delivery topics."""
        names = [residents(place) for place in (HOME, ELSEWHERE, THIRD)]
        return {name: (await self.stage.site.admin.end_offsets(self.rules.topic(name)))[0] for name in names}

    async def _look_at_move(self, marks: Mapping[str, int], moved: Mapping[str, Any]) -> Move:
        """What the municipalities got about the one who moved, since `marks`."""
        lane_key = keyed.lane_key(self._key(keys.LANE), moved["insz"].encode())
        got: dict[str, list[Message]] = {}
        for name, since in marks.items():
            own = keyed.delivery_key(self._key(keys.agreement_key(name)), lane_key)
            messages = await scan(self.stage.site.clients, self.rules.topic(name), since=since)
            got[name] = [message for message in messages if message.key == own]
        old, new = got[residents(HOME)], got[residents(ELSEWHERE)]
        street = moved["verblijfplaats"]["straatnaam"]
        left, entered = _of_kind(old, Kind.LEFT_POPULATION), _of_kind(new, Kind.INITIAL)
        return Move(
            left=len(left),
            told_old=any(message.value is not None or street in repr(message.headers) for message in old),
            entered=len(entered),
            told_new=all(street.encode() in (message.value or b"") for message in entered),
            others=sum(map(len, got.values())) - len(left) - len(entered),
            delivery=entered[0].text("ce_id") if entered else "",
        )

    async def _look_at_revocation(self, stopped: Revoked) -> Revocation:
        barriers, after = after_last_barrier(await scan(self.stage.site.clients, self.rules.topic(REVOKED)))
        return Revocation(round(stopped.duration_ms, 1), len(stopped.barriers), barriers, after)

    async def _counted(self, watch: Watch) -> Mapping[str, Any]:
        """The routers' own counts, once they cover all that is on the topics."""

        def covered(tally: Tally) -> bool:
            return bool(self.stage.counts()["records"] >= tally.records.total())

        await watch.until(covered, "the routers' own counts")
        return self.stage.counts()

    def _key(self, name: str) -> bytes:
        return self.stage.site.keys.get(name)


def _of_kind(messages: Sequence[Message], kind: Kind) -> list[Message]:
    return [message for message in messages if message.text("ce_kind") == kind]
