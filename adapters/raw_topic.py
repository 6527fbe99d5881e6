"""A raw topic of a source through a mapping file: every message once, in the order in which they were written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from adapters import raw_debezium
from adapters.change_row import ChangeRow
from adapters.json_body import parsed
from adapters.mapping import ProductMapping
from adapters.mapping_errors import Finding, MappingRefused
from adapters.raw_cursor import Cursor
from adapters.raw_form import RawSource
from adapters.sdk import Broken, Ignored, Item
from adapters.sources import local_path, whole_seconds
from broker.errors import Invalid, PoisonRecord, Skip
from broker.model import topics
from broker.model.raw_messages import RawGap, RawMessage

RECEIVED = "@received"
"""Column of when Kafka took a message of `form: json` in, RFC 3339 in UTC."""


class Messages(Protocol):
    """The log that is read; `broker.kafka.raw_log` behind it, or a file."""

    def read(self, start: int | None) -> AsyncGenerator[RawMessage | RawGap, None]:
        """Messages from an offset on (None: the oldest), up to the log's present end; a `RawGap` where it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class RawTopic:
    """Messages of one raw source, each as the mapping says; `messages` None until a program reaches Kafka.

    The cursor is an offset: where it is committed with what was published, each message counts once, and what Kafka
    Connect writes again is told by the database's own positions. A changed mapping goes on where the last one stopped.
    """

    mapping: ProductMapping
    form: RawSource
    messages: Messages | None
    origin: str

    @property
    def name(self) -> str:
        """As the mapping calls it."""
        return self.mapping.adapter

    @property
    def sources(self) -> Mapping[str, str]:
        """The mapping's product and its owner."""
        return {self.mapping.product: self.mapping.organisation}

    @property
    def topic(self) -> str:
        """The raw topic; it is of the mapping's organisation."""
        return topics.raw(self.mapping.organisation, self.form.name)

    def over(self, messages: Messages) -> "RawTopic":
        """The same over the topic itself, unless it reads a file."""
        return replace(self, messages=messages) if self.messages is None else self

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Messages behind `cursor`. One that is no longer there, or cannot be read, is `Broken`; raises as `messages` does."""
        at = Cursor.of(cursor, self.origin)
        async with aclosing(self._log().read(at.offset)) as found:
            async for message in found:
                for item, after in self._steps(message, at):
                    at = after
                    yield item, at.text()

    async def rows(self) -> AsyncIterator[Any]:
        """Rows of all messages that can be read, for whoever wants to see what the mapping makes of them."""
        async with aclosing(self._log().read(None)) as found:
            async for message in found:
                with suppress(PoisonRecord, Skip):
                    if isinstance(message, RawMessage):
                        yield self._row(self._value(message), message)

    def findings(self) -> list[Finding]:
        """None: a message may lack what others have."""
        return []

    def _log(self) -> Messages:
        if self.messages is None:
            raise Invalid(
                f"without Kafka there are no messages of {self.topic}: give --source FILE, one message of JSON per line"
            )
        return self.messages

    def _steps(self, message: RawMessage | RawGap, at: Cursor) -> Iterator[tuple[Item, Cursor]]:
        """What a message becomes, each with the cursor behind it. Its place in the log names it where the row does not."""
        product, before, at = self.mapping.product, at, at.behind(message.behind)
        if isinstance(message, RawGap):
            yield Broken(f"gap@{message.behind}", "RAW_EXPIRED", "", product), at
            return
        place = f"0@{message.offset}"
        try:
            stated = self._value(message)
            if self.form.form == "json":
                yield self.mapping.item(self._row(stated, message), place), at
                return
            found = raw_debezium.event(stated)
        except PoisonRecord as poison:
            yield Broken(place, poison.reason, poison.path, product), at
            return
        except Skip as skip:
            yield Ignored(place, skip.reason), at
            return
        if found.snapshot:
            at = at.anew(found.database)
            if before.knows(found.database):  # who was deleted since is in neither
                yield Broken(f"snapshot@{message.offset}", "SNAPSHOT_AGAIN", "", product), before.anew(found.database)
        elif found.position is not None:
            if at.repeats(found.database, found.position):
                yield Ignored(place, "RAW_REPEATED"), at
                return
            at = at.read(found.database, found.position)
        yield self.mapping.item(found.row, place), at

    def _value(self, message: RawMessage) -> Any:
        """The JSON in a message; raises `Skip` for a tombstone, and `PoisonRecord` as `parsed`."""
        if message.value is None:
            raise Skip("TOMBSTONE")
        body = message.value if len(message.value) <= self.form.most_bytes else None
        return parsed(body, self.form.most_depth)

    def _row(self, stated: Any, message: RawMessage) -> ChangeRow:
        """The row that a mapping gets."""
        if self.form.form == "debezium":
            return raw_debezium.event(stated).row
        if not isinstance(stated, dict):
            raise PoisonRecord("VALUE_NOT_OBJECT")
        received = datetime.fromtimestamp(message.received_ms / 1000, UTC)
        return ChangeRow(stated | {RECEIVED: whole_seconds(received)})


@dataclass(frozen=True, slots=True)
class MessageFile:
    """Messages in a file, one of JSON per line, instead of a topic: to try a mapping without Kafka, and to have it certified.

    A file's lines have no places of their own. So it is read whole until its end was reached, and again when it has another
    number of lines.
    """

    path: Path
    most_bytes: int

    async def read(self, start: int | None) -> AsyncGenerator[RawMessage | RawGap, None]:
        """All lines, or none where all of them were read; one that is too long is cut, and is no JSON then."""
        lines = await asyncio.to_thread(self._lines)
        if start == len(lines):
            return
        written = int(self.path.stat().st_mtime * 1000)
        for number, line in enumerate(lines, 1):
            yield RawMessage(number, line, written, number if number == len(lines) else 0)

    def _lines(self) -> list[bytes]:
        with self.path.open("rb") as file:
            return [line for line in iter(lambda: file.readline(self.most_bytes + 2), b"") if line.strip()]


def build(made: ProductMapping, form: RawSource, given: str | None) -> RawTopic:
    """The reader of a mapping with `kind: raw`: of its topic, or of the file `given`; raises `MappingRefused`."""
    if made.snapshot:
        told = "a raw topic is a log of changes, and nobody is gone who is not in it: drop `snapshot`"
        raise MappingRefused(str(made.file), (Finding(made.text.line(("snapshot",)), "snapshot", told),))
    if given is None:
        return RawTopic(made, form, None, topics.raw(made.organisation, form.name))
    path = local_path(given)
    return RawTopic(made, form, MessageFile(path, form.most_bytes), str(path.resolve()))
