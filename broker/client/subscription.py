"""An agency's subscription to one agreement: its deliveries in order, each at least once, across failures and restarts.

    fetch a page ▸ drop what was seen ▸ hand over ▸ the consumer goes on ▸ keep the position

The position is kept after the consumer's body went on to the next item (or said so), never before.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypedDict, TypeVar, Unpack, overload

import httpx

from broker.client.api import Api, Token
from broker.client.delivery import LIFE_CYCLE, Delivery, Item, LifeCycle, delivery, identity, life_cycle
from broker.client.exits import Exit, HttpExit, Kafka, Page
from broker.client.patience import Patience, patiently
from broker.client.positions import FilePositions, Positions
from broker.client.progress import Progress
from broker.client.typed import reader
from broker.errors import Invalid, PositionExpired, Retriable
from broker.model import topics

T = TypeVar("T")
Event = TypeVar("Event")

WAIT_S = 20.0
"""How long a long poll lasts."""

END_WAIT_S = 1.0
"""How long to look for what is there where nothing is waited for: a broker needs a moment to see a position that is none."""

KEEP_EVERY_S = 1.0
"""The position is kept at least this often while items are worked through, and whenever a page is done."""

_GONE = frozenset({"revoked", "ended"})
_EXPIRED = (
    "what lies behind the kept position is no longer retained, so deliveries were missed: ask for a "
    'replay (docs/backfill.md), then go on from the oldest retained with on_expired="restart"'
)
_log = logging.getLogger("datanuts.client")


class Options(TypedDict, total=False):
    """What a subscription may be told beside its agreement, address and credential."""

    kafka: Kafka | None
    positions: Positions | None
    autocommit: bool
    follow: bool
    on_expired: Literal["raise", "restart"]
    window: int
    page: int
    patience: Patience | None
    transport: httpx.AsyncBaseTransport | None


class Subscription(Generic[Event]):
    """Iterate it inside `async with`; outside of it nothing is open and nothing runs.

    `token`: as it was issued, or a coroutine function that gives one that still lasts, asked before every request; or a
    `Certificate`.
    `model`: a pydantic model or dataclass that every delivery's data is made into. `life_cycle`: hand over the agreement's
    own events too. `kafka`: read the agency's topic instead of the HTTP pull; the same deliveries, ids and cursors.
    `positions`: where the position is kept; default: a file beside the program. `autocommit=False`: only `commit` keeps
    it. `follow=False`: stop at the end of what is there. `on_expired="restart"`: go on at the oldest retained delivery
    where some were missed. `window`: how many ids are remembered, also across restarts, to drop repetitions.

    Iteration ends by itself where the agreement was revoked or ended: `ended` says by what. It goes on, after pauses,
    where broker or Kafka do not answer. It raises `Unauthenticated`, `Forbidden`, `NotFound` and any other `Refused` at
    once, `PositionExpired` where deliveries were missed, `Invalid` where data does not fit the model (nothing is
    skipped), `Retriable` where `patience` ended, and what `positions` raise.
    """

    @overload
    def __init__(
        self: "Subscription[Delivery[Any]]", agreement: str, *, url: str, token: Token, **options: Unpack[Options]
    ) -> None: ...

    @overload
    def __init__(
        self: "Subscription[Delivery[T]]",
        agreement: str,
        *,
        url: str,
        token: Token,
        model: type[T],
        **options: Unpack[Options],
    ) -> None: ...

    @overload
    def __init__(
        self: "Subscription[Delivery[Any] | LifeCycle]",
        agreement: str,
        *,
        url: str,
        token: Token,
        life_cycle: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...

    @overload
    def __init__(
        self: "Subscription[Delivery[T] | LifeCycle]",
        agreement: str,
        *,
        url: str,
        token: Token,
        model: type[T],
        life_cycle: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...

    def __init__(
        self,
        agreement: str,
        *,
        url: str,
        token: Token,
        model: type[Any] | None = None,
        life_cycle: bool = False,
        kafka: Kafka | None = None,
        positions: Positions | None = None,
        autocommit: bool = True,
        follow: bool = True,
        on_expired: Literal["raise", "restart"] = "raise",
        window: int = 1000,
        page: int = 500,
        patience: Patience | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.agreement = topics.slug(agreement, "agreement")
        self.ended: LifeCycle | None = None
        self._connect: Callable[[], Api] = lambda: Api(url, token, transport)
        self._kafka = kafka
        self._typed = reader(agreement, model)
        self._life_cycle = life_cycle
        self._positions = FilePositions() if positions is None else positions
        self._autocommit = autocommit
        self._follow = follow
        self._restarts = on_expired == "restart"
        self._window, self._page = window, page
        self._patience = patience or Patience()
        self._queue: deque[tuple[Item, str | None]] = deque()
        self._over = False
        self._idle = 0
        self._kept_at = 0.0
        self._open: tuple[Api, Exit] | None = None

    async def __aenter__(self) -> Self:
        """Learn how far it came; the broker is first asked when the first item is."""
        self._kept = await self._positions.load(self.agreement)
        self._progress = Progress(self._kept, self._window)
        self._queue.clear()
        self._over, self.ended = False, None
        api = self._connect()
        self._open = api, _exit(api, self.agreement, self._kafka)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Keep what is done, not the item in hand, and close everything."""
        (api, way), self._open = self._opened(), None
        try:
            if self._autocommit:
                await self._keep()
        finally:
            try:
                await way.close()
            finally:
                await api.close()

    def __aiter__(self) -> Self:
        """One reader: two loops over it would share the items between them."""
        return self

    async def __anext__(self) -> Event:
        """The next item. Asking for it tells that the one before is done."""
        self._opened()
        if self._autocommit:
            self._progress.settle()
            if self._patience.clock() - self._kept_at >= KEEP_EVERY_S:
                await self._keep()
        while True:
            while self._queue:
                event: Event | None = self._next_of_page()
                if event is not None:
                    return event
            if self._autocommit:
                await self.commit()
            if self._over:
                raise StopAsyncIteration
            await self._fetch()

    async def commit(self) -> None:
        """Keep the position after the item in hand: everything that was handed over so far is done."""
        self._progress.settle()
        await self._keep()

    def _opened(self) -> tuple[Api, Exit]:
        if self._open is None:
            raise Invalid("a subscription is open inside its `async with` only")
        return self._open

    def _next_of_page(self) -> Any:
        """The item in front; None where it is not handed over. It leaves the queue only when it can be handed over."""
        item, after = self._queue[0]
        known, is_event = self._progress.knows(identity(item)), item["kind"] == LIFE_CYCLE
        if known or (is_event and not self._life_cycle):
            self._progress.pass_over(after)
            event = None
        else:
            event = life_cycle(self.agreement, item) if is_event else delivery(self.agreement, item, self._typed)
            self._progress.give(identity(item), after)
        self._queue.popleft()
        return event

    async def _keep(self) -> None:
        """Save what is settled, if that is more than was saved."""
        position = self._progress.position()
        if position is not None and position != self._kept:
            await self._positions.save(self.agreement, position)
            self._kept = position
        self._kept_at = self._patience.clock()

    async def _fetch(self) -> None:
        """Put what comes next into the queue, or learn that nothing will."""
        began, stood = self._patience.clock(), self._progress.at
        page = await self._read()
        if page.items:
            # Behind the last item may lie what is nothing to show, and expires all the same: its cursor is the page's.
            cursors = [*(item["cursor"] for item in page.items[:-1]), page.next]
            self._queue.extend(zip(page.items, cursors, strict=True))
            self._idle = 0
            return
        self._progress.pass_over(page.next)
        if page.next != stood:
            return
        told = await self._standing()
        if told.get("state") in _GONE:
            self._end(told)
        elif not self._follow:
            self._over = True
        elif self._patience.clock() - began < WAIT_S / 2:
            # Something answers without waiting: ask it less often.
            await self._patience.sleep(self._patience.pause_s(self._idle))
            self._idle += 1

    async def _read(self) -> Page:
        """The next page, tried until there is one."""
        _, way = self._opened()
        wait_s = WAIT_S if self._follow else END_WAIT_S
        while True:
            read = partial(way.read, self._progress.at, limit=self._page, wait_s=wait_s)
            try:
                return await patiently(self.agreement, read, self._patience)
            except PositionExpired:
                if not self._restarts or self._progress.at is None:
                    raise PositionExpired(_EXPIRED) from None
            _log.warning("%s: deliveries were missed, going on at the oldest retained", self.agreement)
            self._progress.restart()

    async def _standing(self) -> Mapping[str, Any]:
        """The agreement as the broker has it; nothing where it cannot tell now."""
        api, _ = self._opened()
        try:
            return await api.get(f"/v1/agreements/{self.agreement}")
        except Retriable:
            return {}

    def _end(self, told: Mapping[str, Any]) -> None:
        """The agreement is over and everything before was read; who asked for its events and missed this one gets it."""
        reason, at = str(told["state"]).upper(), self._progress.at
        item = {"kind": LIFE_CYCLE, "reason": reason, "epoch": told["epoch"], "key": "", "cursor": at}
        self.ended = life_cycle(self.agreement, item)
        self._queue.append((item, at))
        self._over = True
        _log.warning("%s: %s", self.agreement, reason)


def _exit(api: Api, agreement: str, kafka: Kafka | None) -> Exit:
    if kafka is None:
        return HttpExit(api, agreement)
    from broker.client.kafka import KafkaExit  # noqa: PLC0415 - Kafka's client, for those who use it

    return KafkaExit(api, agreement, kafka)
