"""A good adapter, and many that are good but for one fault each: what the kit must tell apart."""

import asyncio
import io
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

from adapters import csv_rows
from adapters.csv_form import CsvSource
from adapters.file_rows import FileBroken
from adapters.sdk import Broken, Change, Item, SnapshotBegins, SnapshotEnds
from adapters.sources import Document, fetch, from_cursor, is_feed, local_path, whole_seconds
from broker.errors import Invalid, Retriable
from broker.model.identifiers import make_test_insz

COLUMNS = ("nummer", "straat", "postcode", "omschrijving", "begin", "einde", "gewijzigd")
PRODUCT = "hinder.v1"
REPORTER = make_test_insz("1985-07-01", 123)
_TLS = ssl.create_default_context()  # made once: it reads all authorities
Row = dict[str, str]


class Good:
    """Roadworks from a CSV file, on disk or over HTTP."""

    name, sources = "goed", {PRODUCT: "stad-gent"}

    def __init__(self, source: str) -> None:
        self.source = source

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        items = [self.item(number, row) for number, row in enumerate(self.rows(await self.body()), 1)]
        async for pair in self.after(items, cursor):
            yield pair

    def after(self, items: Sequence[Item], cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        return from_cursor(items, cursor)

    async def body(self) -> bytes:
        if not is_feed(self.source):
            return local_path(self.source).read_bytes()
        async with httpx.AsyncClient(verify=_TLS) as client:
            return self.received(await fetch(client, self.source))

    def received(self, document: Document) -> bytes:
        if document.body is None:
            raise Invalid("the answer is too large")
        return document.body

    def rows(self, body: bytes) -> Iterator[Row]:
        try:
            table = csv_rows.table(io.BytesIO(body), "werken.csv", CsvSource(kind="csv", encoding="utf-8-sig"))
            if lacking := sorted(set(COLUMNS) - set(table.columns)):
                raise Invalid(f"columns are missing: {lacking}")
            for _, row in table.rows:
                if isinstance(row, str):
                    raise self.ragged(row)
                yield dict(zip(table.columns, row, strict=True))
        except FileBroken as broken:
            raise Invalid(broken.reason) from None

    def ragged(self, reason: str) -> Exception:
        return Invalid(reason)

    def item(self, number: int, row: Row) -> Item:
        del number
        return Change(self.id(row), PRODUCT, self.value(row))

    def id(self, row: Row) -> str:
        return f"https://gent.example/id/hinder/{row['nummer']}"

    def value(self, row: Row) -> dict[str, object]:
        iri = f"https://gent.example/id/hinder/{row['nummer']}"
        return {
            "kind": "changed",
            "recordedAt": row["gewijzigd"],
            "identificator": iri,
            "versie": f"{iri}/1",
            "omschrijving": row["omschrijving"],
            "locatie": {
                "straatnaam": row["straat"],
                "postcode": row["postcode"],
                "gemeente": {"nis": "44021", "naam": "Gent"},
            },
            "contactorganisaties": [],
            "perioden": [{"begin": row["begin"], "einde": row["einde"]}],
            "zones": [],
            "oorzaken": [],
        }


class DrawsItsIds(Good):
    """STABLE_SOURCE_ID."""

    def id(self, row: Row) -> str:
        del row
        return secrets.token_hex(8)


class NumbersItsRows(Good):
    """SOURCE_ID_NOT_BY_POSITION."""

    def item(self, number: int, row: Row) -> Item:
        return Change(f"rij-{number}", PRODUCT, self.value(row))


class TellsTwoStories(Good):
    """SOURCE_ID_STATES_ONE_THING."""

    def after(self, items: Sequence[Item], cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        second = [Change(each.source_id, PRODUCT, {**each.value, "status": {"iri": None}}) for each in items]
        return from_cursor([item for pair in zip(items, second, strict=True) for item in pair], cursor)


class LooksAtTheClock(Good):
    """SECOND_RUN_PUBLISHES_NOTHING."""

    def value(self, row: Row) -> dict[str, object]:
        return super().value(row) | {"omschrijving": datetime.now(UTC).isoformat()}


class LooksAtTheFile(Good):
    """CLOCK_SKEW."""

    def value(self, row: Row) -> dict[str, object]:
        changed = datetime.fromtimestamp(Path(self.source).stat().st_mtime, UTC)
        return super().value(row) | {"recordedAt": whole_seconds(changed)}


class NamesSomebody(Good):
    """NO_PERSONAL_DATA_IN_CURSOR."""

    async def after(self, items: Sequence[Item], cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        async for item, after in from_cursor(items, (cursor or "").partition("?")[0] or None):
            yield item, f"{after}?melder={REPORTER}" if after else ""


class SkipsOne(Good):
    """CURSOR_RESUMES."""

    async def after(self, items: Sequence[Item], cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        resumed = bool(cursor)
        async for pair in from_cursor(items, cursor):
            if not resumed:
                yield pair
            resumed = False


class CountsOnly(Good):
    """CURSOR_SURVIVES_REMOVAL."""

    async def after(self, items: Sequence[Item], cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        start = int(cursor) if cursor and cursor.isdecimal() else 0
        for index in range(start, len(items)):
            yield items[index], str(index + 1) if index + 1 < len(items) else ""


class Remembers(Good):
    """CRASH_AT_EVERY_COMMIT."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.done: set[str] = set()

    async def after(self, items: Sequence[Item], cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        async for item, after in from_cursor(items, cursor):
            if item.source_id not in self.done:
                self.done.add(item.source_id)
                yield item, after


class ReplacesLetters(Good):
    """WRONG_ENCODING_IS_TOLD."""

    async def body(self) -> bytes:
        return (await super().body()).decode("utf-8-sig", "replace").encode()


class MakesDo(Good):
    """DRIFT_IS_TOLD."""

    def rows(self, body: bytes) -> Iterator[Row]:
        head, _, rest = body.decode("utf-8-sig", "strict" if b"\0" not in body else "ascii").partition("\n")
        names = [name if name in COLUMNS else "" for name in head.strip().split(",")]
        for row in super().rows(f"{','.join(COLUMNS)}\n{rest}".encode()):
            cells = dict(zip(names, row.values(), strict=False))
            yield {name: cells.get(name, "") for name in COLUMNS}

    async def body(self) -> bytes:
        found = await super().body()
        try:
            found.decode()
        except UnicodeDecodeError:
            raise Invalid("not UTF-8") from None
        if b"\0" in found:
            raise Invalid("not UTF-8")
        return found


class WillNotStop(Good):
    """CANCEL_IS_HEEDED."""

    async def body(self) -> bytes:
        for _ in range(3):
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                return b"nummer,straat,postcode,omschrijving,begin,einde,gewijzigd\n"
        return await super().body()


class LeavesATask(Good):
    """LEAVES_NOTHING_OPEN."""

    async def body(self) -> bytes:
        asyncio.current_task().mate = asyncio.create_task(asyncio.sleep(3600))
        return await super().body()


class MarksAsRead(Good):
    """LEAVES_THE_SOURCE_ALONE."""

    async def body(self) -> bytes:
        found = await super().body()
        if not is_feed(self.source):
            Path(f"{self.source}.gelezen").touch()  # noqa: ASYNC240 - the fault is another one
        return found


class QuotesErrors(Good):
    """REASONS_ARE_CODES."""

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        try:
            items = [self.item(number, row) for number, row in enumerate(self.rows(await self.body()), 1)]
        except Invalid as error:
            if "folder" in str(error):
                raise
            items = [Broken("werken.csv", f"could not read: {error}")]
        async for pair in self.after(items, cursor):
            yield pair


class TakesGoneForEmpty(Good):
    """MISSING_SOURCE_IS_TOLD."""

    async def body(self) -> bytes:
        if not is_feed(self.source) and not Path(self.source).exists():  # noqa: ASYNC240 - as above
            return (",".join(COLUMNS) + "\n").encode()
        return await super().body()


class PassesNul(Good):
    """NUL_IS_TOLD."""

    def rows(self, body: bytes) -> Iterator[Row]:
        place = body.count(b"\0")
        for row in super().rows(body.replace(b"\0", b"\x02") if place == 1 else body):
            yield {name: cell.replace("\x02", "\0") for name, cell in row.items()}


class ChokesOnLongValues(Good):
    """HUGE_VALUE_IS_TOLD."""

    def rows(self, body: bytes) -> Iterator[Row]:
        for row in super().rows(body):
            if max(map(len, row.values())) > 1000:
                raise MemoryError
            yield row


class ChokesOnHalves(Good):
    """TRUNCATED_SOURCE_IS_TOLD."""

    def ragged(self, reason: str) -> Exception:
        return IndexError(reason) if reason == "ROW_RAGGED" else Invalid(reason)


class DeletesAll(Good):
    """EMPTY_SOURCE_DELETES_NOTHING."""

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        del cursor
        body = await self.body()
        items = [self.item(number, row) for number, row in enumerate(self.rows(body), 1)] if body else []
        yield SnapshotBegins(PRODUCT), ""
        for item in items:
            yield item, ""
        yield SnapshotEnds(PRODUCT, shrink=True), ""


class ComparesNeighbours(Good):
    """ORDER_DOES_NOT_MATTER."""

    def rows(self, body: bytes) -> Iterator[Row]:
        before = ""
        for row in super().rows(body):
            yield row if row["nummer"] >= before else row | {"omschrijving": "achteruit"}
            before = row["nummer"]


class CountsOccurrences(Good):
    """DOUBLED_RECORD_IS_HARMLESS."""

    def rows(self, body: bytes) -> Iterator[Row]:
        self.seen: list[str] = []
        yield from super().rows(body)

    def id(self, row: Row) -> str:
        self.seen.append(row["nummer"])
        return f"{row['nummer']}#{self.seen.count(row['nummer'])}"


class ChokesOnTheFuture(Good):
    """FUTURE_DATES_END_NOTHING."""

    def value(self, row: Row) -> dict[str, object]:
        if row["begin"][:4].isdecimal():
            assert datetime.fromisoformat(row["begin"]).year < 2900
        return super().value(row)


class BelievesCursors(Good):
    """STRANGE_CURSOR_IS_NO_CRASH."""

    def after(self, items: Sequence[Item], cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        if cursor:
            int(cursor.partition("/")[0])
        return from_cursor(items, cursor)


class _Web(Good):
    """What differs over HTTP only."""

    async def body(self) -> bytes:
        try:
            return await super().body()
        except Retriable as error:
            return self.failed(str(error))

    def failed(self, told: str) -> bytes:
        raise Retriable(told)


class GivesUp(_Web):
    """SERVER_ERROR_IS_RETRIABLE."""

    def failed(self, told: str) -> bytes:
        raise Invalid(told) if "503" in told else Retriable(told)


class GivesUpWhenBusy(_Web):
    """TOO_MANY_REQUESTS_IS_RETRIABLE."""

    def failed(self, told: str) -> bytes:
        raise Invalid(told) if "429" in told else Retriable(told)


class TakesHalfAnAnswer(_Web):
    """CUT_OFF_ANSWER_IS_RETRIABLE."""

    def failed(self, told: str) -> bytes:
        if "RemoteProtocolError" in told:
            return (",".join(COLUMNS) + "\n").encode()
        raise Retriable(told)


class ReadsOn(Good):
    """ENDLESS_ANSWER_IS_BOUNDED."""

    def received(self, document: Document) -> bytes:
        return document.body or (",".join(COLUMNS) + "\n").encode()


class GoesAnywhere(Good):
    """OTHER_HOST_IS_NOT_CALLED."""

    async def body(self) -> bytes:
        try:
            return await super().body()
        except Invalid as error:
            if "another host" not in str(error):
                raise
        async with httpx.AsyncClient(verify=_TLS, follow_redirects=True) as client:
            return (await client.get(self.source)).content


ON_DISK = (
    DrawsItsIds,
    NumbersItsRows,
    TellsTwoStories,
    LooksAtTheClock,
    LooksAtTheFile,
    NamesSomebody,
    SkipsOne,
    CountsOnly,
    Remembers,
    ReplacesLetters,
    MakesDo,
    WillNotStop,
    LeavesATask,
    MarksAsRead,
    QuotesErrors,
    TakesGoneForEmpty,
    PassesNul,
    ChokesOnLongValues,
    ChokesOnHalves,
    DeletesAll,
    ComparesNeighbours,
    CountsOccurrences,
    ChokesOnTheFuture,
    BelievesCursors,
)
ON_THE_WEB = (GivesUp, GivesUpWhenBusy, TakesHalfAnAnswer, ReadsOn, GoesAnywhere)
