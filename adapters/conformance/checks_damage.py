"""What becomes of a damaged, reordered or shrunken source: never a crash, never a record that the source did not state."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from adapters.conformance.bench import Bench, Reading, Statement
from adapters.conformance.journals import Log
from adapters.conformance.kit import Finding, NotHere, check, raised_at
from adapters.conformance.samples import Sample, later, spread, text_of
from adapters.sdk import Change
from broker.errors import BrokerError

_CUTS, _WORDS, _COLUMNS = 12, 4, 20
_LONG = 1 << 20
_SINGLE_BYTES = ("latin-1", "cp1252")
_NO_ROWS = NotHere("the sample has no rows that the kit can tell apart: give it a .csv, .tsv, .json, .ndjson or .jsonl")
_NO_TEXT = NotHere("the sample is no text in UTF-8")
_NO_WORDS = NotHere("the sample has no values between quotes, tags or delimiters")


@check("SECOND_RUN_PUBLISHES_NOTHING")
async def source_id_not_by_position(bench: Bench) -> Finding:
    """When the first record of a source is removed, the others keep their source ids and are not published again.

    Mend: make the id of a number in the record, not of its place in the file.
    """
    copy = bench.copy()
    before = await bench.read(copy)
    with copy.without_first() as there:
        if not there:
            return NotHere("no row and no file of the sample can be taken away")
        after = await bench.read(copy)
    if after.crashed is not None:
        return f"it ended with {raised_at(after.crashed)}"
    invented = _invented(before, after)
    return f"{len(invented)} records became others when another one was removed" if invented else None


@check("SOURCE_ID_NOT_BY_POSITION")
async def order_does_not_matter(bench: Bench) -> Finding:
    """The same records in the opposite order are the same records.

    Mend: as SOURCE_ID_NOT_BY_POSITION; and carry no value over from one row to the next.
    """
    copy = bench.copy()
    table = copy.rows()
    if table is None:
        return _NO_ROWS
    before = await bench.read(copy)
    with copy.written(table.file, table.bytes_of(table.rows[::-1])):
        after = await bench.read(copy)
    if after.crashed is not None:
        return f"it ended with {raised_at(after.crashed)}"
    if set(after.statements) != set(before.statements):
        return f"{len(set(after.statements) ^ set(before.statements))} records differ when rows are reversed"
    return None


@check("SOURCE_ID_NOT_BY_POSITION")
async def doubled_record_is_harmless(bench: Bench) -> Finding:
    """A record that occurs twice in the source is published once, and stops nothing.

    Mend: give both occurrences one source id; a count of occurrences in it makes the second a record of its own.
    """
    copy, log = bench.copy(), Log()
    table = copy.rows()
    if table is None:
        return _NO_ROWS
    await bench.run(copy, log)
    with copy.written(table.file, table.bytes_of([table.rows[0], *table.rows])):
        try:
            again = await bench.run(copy, log)
        except BrokerError as error:
            return f"the run ended with {error.code}"
    if again.published or again.deleted:
        return f"the second run published {again.published} and deleted {again.deleted}"
    return None


@check("SECOND_RUN_PUBLISHES_NOTHING")
async def truncated_source_is_told(bench: Bench) -> Finding:
    """Of a file cut off anywhere at most the last record can be wrong.

    The others are as they were, and nothing ends the process but an error of the SDK. Mend: catch what your parser
    raises, and yield `Broken` or raise `Invalid`.
    """
    copy = bench.copy()
    before, raw = await bench.read(copy), copy.largest.read_bytes()
    for cut in spread(range(1, len(raw)), _CUTS):
        with copy.written(copy.largest, raw[:cut]):
            after = await bench.read(copy)
        if after.crashed is not None:
            return f"cut after {cut} of {len(raw)} bytes it ended with {raised_at(after.crashed)}"
        if len(_invented(before, after)) > 1:
            return f"cut after {cut} of {len(raw)} bytes, {len(_invented(before, after))} records are others"
    return None


@check("SECOND_RUN_PUBLISHES_NOTHING")
async def wrong_encoding_is_told(bench: Bench) -> Finding:
    """In another encoding (UTF-16, Latin-1, UTF-8 with a mark) a file is read right or refused.

    No record comes out with other letters. Mend: decode strictly, with `utf-8-sig` or what the source declares; never
    `errors="replace"`.
    """
    copy = bench.copy()
    text = text_of(copy.largest)
    if text is None:
        return _NO_TEXT
    before = await bench.read(copy)
    for encoding in ("utf-16", "utf-16-le", "utf-8-sig", *_SINGLE_BYTES):
        try:
            raw = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        if encoding in _SINGLE_BYTES and _is_utf8(raw):
            continue  # nobody could tell
        with copy.written(copy.largest, raw):
            after = await bench.read(copy)
        if (wrong := _wrong(before, after)) is not None:
            return f"in {encoding} {wrong}"
    # A byte that is no UTF-8, in the place of a letter.
    for file, whole, start, _ in copy.words(_WORDS):
        with copy.written(file, whole[:start].encode() + b"\xe9" + whole[start + 1 :].encode()):
            after = await bench.read(copy)
        if (wrong := _wrong(before, after)) is not None:
            return f"with a byte that is no UTF-8 {wrong}"
    return None


@check("SECOND_RUN_PUBLISHES_NOTHING")
async def nul_is_told(bench: Bench) -> Finding:
    """A NUL in a value ends nothing and is not published: no later reader can be trusted with it.

    Mend: yield `Broken` for a record with control characters, or refuse the file.
    """
    copy = bench.copy()
    before = await bench.read(copy)
    words = copy.words(_WORDS)
    for file, text, start, _ in words:
        with copy.written(file, f"{text[: start + 1]}\0{text[start + 2 :]}".encode()):
            after = await bench.read(copy)
        if after.crashed is not None:
            return f"it ended with {raised_at(after.crashed)}"
        if any("\0" in str(item.value) or "\\x00" in str(item.value) for item in _changes(after)):
            return "a record with a NUL in a value would be published"
        if len(_invented(before, after)) > 1:
            return f"{len(_invented(before, after))} other records became others"
    return None if words else _NO_WORDS


@check("SECOND_RUN_PUBLISHES_NOTHING")
async def huge_value_is_told(bench: Bench) -> Finding:
    """A value of a megabyte ends nothing, and leaves the other records as they were unless the file is refused.

    Mend: catch what your parser says of large fields (`csv.Error`), or raise its bound.
    """
    copy = bench.copy()
    before = await bench.read(copy)
    words = copy.words(_WORDS)
    for file, text, start, _ in words:
        with copy.written(file, f"{text[:start]}{'x' * _LONG}{text[start:]}".encode()):
            after = await bench.read(copy)
        if after.crashed is not None:
            return f"it ended with {raised_at(after.crashed)}"
        if len(_invented(before, after)) > 1:
            return f"{len(_invented(before, after))} other records became others"
        if len(_lost(before, after)) > 1 and not after.told:
            return f"{len(_lost(before, after))} records are gone, and nothing says so"
    return None if words else _NO_WORDS


@check("SECOND_RUN_PUBLISHES_NOTHING")
async def drift_is_told(bench: Bench) -> Finding:
    """A column that is renamed at the source is told before anything is published without it.

    Mend: compare the header with the columns that you read, and refuse the file (`Invalid`); `row.get(…)` turns drift
    into empty fields.
    """
    copy = bench.copy()
    table = copy.rows()
    if table is None or not table.columns():
        return NotHere("the sample has no header with the names of columns")
    before = await bench.read(copy)
    for number, column in enumerate(table.columns()[:_COLUMNS], 1):
        with copy.written(table.file, table.renamed(column)):
            after = await bench.read(copy)
        if after.crashed is not None:
            return f"without column {number} it ended with {raised_at(after.crashed)}"
        if changed := _invented(before, after):
            return f"without column {number}, {len(changed)} records would be published with other contents"
        if _lost(before, after) and not after.told:
            return f"without column {number}, {len(_lost(before, after))} records are gone, and nothing says so"
    return None


@check("SECOND_RUN_PUBLISHES_NOTHING")
async def future_dates_end_nothing(bench: Bench) -> Finding:
    """Dates in the year 2999 are published or told, and end nothing.

    Mend: yield `Broken` for an instant that your source cannot mean.
    """
    copy = bench.copy()
    text = text_of(copy.largest)
    if text is None or later(text) == text:
        return NotHere("the sample has no dates")
    with copy.written(copy.largest, later(text).encode()):
        after = await bench.read(copy)
    return None if after.crashed is None else f"it ended with {raised_at(after.crashed)}"


@check("SECOND_RUN_PUBLISHES_NOTHING")
async def empty_source_deletes_nothing(bench: Bench) -> Finding:
    """An empty file, or a folder without files, is refused or read as nothing; nobody who was published is deleted.

    Mend: do not yield `SnapshotEnds` for a source in which there was nothing at all.
    """
    copy, log = bench.copy(), Log()
    await bench.run(copy, log)
    published = len(log.records)
    with _emptied(copy, http=bench.http):
        reading = await bench.read(copy)
        if reading.crashed is not None:
            return f"it ended with {raised_at(reading.crashed)}"
        with suppress(BrokerError):
            await bench.run(copy, log)
    return (
        None if len(log.records) == published else f"{len(log.records) - published} records were published or deleted"
    )


@contextmanager
def _emptied(copy: Sample, *, http: bool) -> Iterator[None]:
    """The whole sample; over HTTP the documents stay, without contents."""
    if not http:
        with copy.emptied():
            yield
        return
    before = [(file, file.read_bytes()) for file in copy.files]
    for file, _ in before:
        file.write_bytes(b"")
    try:
        yield
    finally:
        for file, body in before:
            file.write_bytes(body)


def _wrong(before: Reading, after: Reading) -> str | None:
    if after.crashed is not None:
        return f"it ended with {raised_at(after.crashed)}"
    if changed := _invented(before, after):
        return f"{len(changed)} records came out with other contents"
    if (gone := _lost(before, after)) and not after.told:
        return f"{len(gone)} records are gone, and nothing says so"
    return None


def _invented(before: Reading, after: Reading) -> set[Statement]:
    """Statements of a damaged source that the whole one does not make."""
    return set(after.statements) - set(before.statements)


def _lost(before: Reading, after: Reading) -> set[Statement]:
    return set(before.statements) - set(after.statements)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _changes(reading: Reading) -> Iterable[Change]:
    return (item for item, _ in reading.items if isinstance(item, Change))


ALL = (
    source_id_not_by_position,
    order_does_not_matter,
    doubled_record_is_harmless,
    truncated_source_is_told,
    wrong_encoding_is_told,
    nul_is_told,
    huge_value_is_told,
    drift_is_told,
    future_dates_end_nothing,
    empty_source_deletes_nothing,
)
