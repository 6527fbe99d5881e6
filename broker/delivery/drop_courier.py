"""Puts one agreement's stream onto its agency's SFTP server, as files that are whole under their name or not there.

A file is written as a part, noted with its end and its size beside the position, renamed, and only then committed. So
whoever dies in between puts the same records under the same name again, and a file that is there already is left.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from broker.control import keys
from broker.delivery import push_circuit
from broker.delivery.courier import GONE, NEWS_S, Courier, Held, Late, version_of
from broker.delivery.drop_server import NotTaken, Writing
from broker.delivery.file_forms import FileForm, pages
from broker.delivery.formats import Page
from broker.delivery.pull import Slice
from broker.delivery.push_kinds import DROPS
from broker.delivery.push_note import Note, Written
from broker.delivery.push_rooms import Rooms
from broker.delivery.streams import Message
from broker.errors import PositionExpired
from broker.model.drop_book import Destination, Drop
from broker.model.lifecycle import AgreementEntry
from broker.telemetry import record_spans

MOST_ITEMS = 50_000
"""Items of one file."""

_PIECE = 500
"""Records read, asked about and written at once; a courier holds no more."""

_ASKED = 20
_WIDTH = 15  # digits of a position in a name, so that names sort


class Server(Protocol):
    """One connection to the agency's server; every method raises `NotTaken`."""

    async def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""

    async def remove(self, name: str) -> None:
        """Have no such file any more."""

    def writing(self, part: str) -> AbstractAsyncContextManager[Writing]:
        """A new part; removed if the block fails."""

    async def publish(self, part: str, name: str) -> None:
        """Give a part its name."""


OpenServer = Callable[[Destination, bytes], AbstractAsyncContextManager[Server]]
"""Logs in with the key of a seed; raises `NotTaken`."""


class DropCourier(Courier[Drop]):
    """One run of one drop."""

    def __init__(self, rooms: Rooms, drop: Drop, open_server: OpenServer, *, most: int = MOST_ITEMS) -> None:
        super().__init__(rooms, DROPS, drop)
        self._open_server = open_server
        self._most = most
        self._part = ""
        self._written: Written | None = None
        self._due = rooms.now()
        self._until = 0

    def _recall(self, note: Note, *, changed: bool) -> None:
        self._part, last = note.part, note.health.last_success
        if changed:  # the next file may go elsewhere, or be of another form
            return
        self._written = note.written
        if last is not None and note.written is None:
            self._due = last + self._registration.to.every

    def _note(self) -> Note:
        drop = self._registration
        return Note(drop.series, drop.epoch, health=self._health, part=self._part, written=self._written)

    async def _step(self) -> None:
        """Write one file, or wait for the next look."""
        control = self._rooms.control
        epoch = await control.read_to_head()
        if self._part:
            await self._tidy()
        entry = self._entry()
        if self._waits(entry):
            await control.wait_for_change(epoch, timeout=NEWS_S)
            return
        if self._written is None and self._position >= self._until:
            pause = (self._due - self._rooms.now()).total_seconds()
            if pause > 0:
                await asyncio.sleep(min(pause, NEWS_S))
                return
            self._due = self._rooms.now() + self._registration.to.every
            self._until = await self._rooms.deliveries.head(self._stream.topic)
        if self._written is not None or self._until != self._position:  # below it, too: `_read` knows what that means
            await self._file(entry)
        await self._renew()

    async def _file(self, entry: AgreementEntry) -> None:
        """Write the file that begins at the position, and go past it."""
        until = self._until if self._written is None else self._written.end
        page = self._shown(await self._read(entry, self._position, _PIECE)).before(until)
        if not page.messages:  # nothing but markers of transactions
            self._position, self._written = page.position, None
            return
        try:
            async with self._opened() as server:
                self._position = await self._there(server) or await self._put(server, entry, page, until)
        except NotTaken as refused:
            await self._failed(refused.failure)
        self._part, self._written = "", None
        self._health = push_circuit.succeeded(self._health, self._rooms.now())
        await self._commit()

    async def _there(self, server: Server) -> int | None:
        """The end of the file that got its name before whoever wrote it could commit; None where it did not."""
        if self._written is None:
            return None
        there = await server.size(self._name(self._written.end)) == self._written.size
        return self._written.end if there else None

    async def _put(self, server: Server, entry: AgreementEntry, page: Page, until: int) -> int:
        """Write a file from `page` on, at most up to `until`; returns the position after it."""
        self._part = f"{self._begin}.{int(self._rooms.random() * 2**32):08x}.part"
        await self._commit()
        oldest: Message | None = None
        end, version, form = self._position, entry.version, FileForm.of(self._registration.to.format, page)
        async with server.writing(self._part) as file:
            await file.write(form.opening)
            async for held in pages(form, page, until, self._more, most=self._most):
                about = [each for each in held.messages if not each.is_life_cycle]
                if about:
                    oldest, version = oldest or about[0], min(version, *map(version_of, about))
                piece = form.piece(held)
                await self._ask(next(iter(about), None), version)
                began = time.time_ns()
                await file.write(piece)
                end = held.position
                record_spans(
                    "deliver.drop",
                    [each.text("traceparent").encode() for each in about],
                    start_ns=began,
                    end_ns=time.time_ns(),
                    attributes={"agreement": self._stream.agreement, "records": len(held.messages)},
                )
            await file.finish()
            self._written = Written(end, file.size)
            await self._commit()
            await self._ask(oldest, version)
            await server.publish(self._part, self._name(end))
        return end

    async def _ask(self, first: Message | None, version: int) -> None:
        """As `_may_begin`, with some patience: a file would have to begin anew."""
        for _ in range(_ASKED):
            try:
                return await self._may_begin(first, version)
            except Late:
                continue
        raise Held

    async def _tidy(self) -> None:
        """Remove the part that somebody left: it holds what nobody may have meant to be read."""
        try:
            async with self._opened() as server:
                await server.remove(self._part)
        except NotTaken as refused:
            await self._failed(refused.failure)
        self._part = ""
        await self._commit()

    def _opened(self) -> AbstractAsyncContextManager[Server]:
        drop = self._registration
        return self._open_server(drop.to, self._rooms.keys.get(keys.drop_key(drop.agency)))

    async def _more(self, position: int) -> Page:
        """What follows in the middle of a file; raises `Held` where that is gone: then the file is another one."""
        try:
            return self._shown(await self._rooms.deliveries.read(self._stream.topic, position, limit=_PIECE))
        except PositionExpired:
            raise Held from None

    def _shown(self, found: Slice) -> Page:
        """What may be put there of some records: of an agreement that is over, what is about itself only."""
        state = self._rooms.control.state
        entry = self._entry()
        return Page.of(
            self._stream,
            tuple(each for each in found.messages if each.is_life_cycle or entry.state not in GONE),
            found.position,
            schemas=state.schemas,
            in_force=entry.egress_schema_id,
            egress=self._rooms.egress,
        )

    @property
    def _begin(self) -> str:
        return f"{self._stream.agreement}.{self._position:0{_WIDTH}}"

    def _name(self, end: int) -> str:
        return f"{self._begin}-{end:0{_WIDTH}}.{self._registration.to.format.value}"
