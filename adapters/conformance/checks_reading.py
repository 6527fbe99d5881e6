"""What any reading of a good source gives."""

import asyncio
import re
from collections.abc import AsyncGenerator
from pathlib import Path

from adapters.conformance.bench import Bench
from adapters.conformance.journals import Log
from adapters.conformance.kit import Finding, check, raised_at
from adapters.conformance.samples import Sample, spread
from adapters.sdk import Adapter, Broken, Change, Ignored, SnapshotBegins, SnapshotEnds
from broker.errors import BrokerError
from broker.model import topics
from broker.testing import wait_until

_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_.]{0,200}", re.ASCII)
_LONGEST_CURSOR = 4096
_FEWEST = 3
_PLACES = 8
_TURNS = 24
_PATIENCE_S = 5.0


@check()
async def declares_products(bench: Bench) -> Finding:
    """The adapter has a slug for a name, and declares its products, each with the organisation that owns it.

    Both are the same every time it is made. Mend: give it `name` and a non-empty `sources`, and make neither depend on
    the source.
    """
    copy = bench.copy()
    first, second = await bench.adapter(copy), await bench.adapter(copy)
    if not first.sources:
        return "`sources` is empty"
    topics.cursors(first.name)
    for product, organisation in first.sources.items():
        topics.source(organisation, product)
    try:
        bench.publications(first)
    except KeyError:
        return "there is no schema of one of its products"
    if (first.name, dict(first.sources)) != (second.name, dict(second.sources)):
        return "made twice over one source, it has another name or other products"
    return None


@check("DECLARES_PRODUCTS")
async def reads_the_sample(bench: Bench) -> Finding:
    """A good sample is read to its end, as items of the SDK with a text for a cursor.

    There are three changes in it at least. Mend: run `datanuts adapter check` on the sample; give the kit one of some
    twenty good records.
    """
    copy = bench.copy()
    reading = await bench.read(copy)
    if reading.error is not None:
        return f"reading ended with {raised_at(reading.error)}"
    products = (await bench.adapter(copy)).sources
    for number, (item, cursor) in enumerate(reading.items, 1):
        if not isinstance(item, Change | Broken | Ignored | SnapshotBegins | SnapshotEnds):
            return f"item {number} is a {type(item).__name__}"
        if isinstance(item, Change) and item.product not in products:
            return f"item {number} is of a product that `sources` does not name"
        if not isinstance(cursor, str) or len(cursor) > _LONGEST_CURSOR:
            return f"the cursor of item {number} is no text of at most {_LONGEST_CURSOR} characters"
    changes = sum(isinstance(item, Change) for item, _ in reading.items)
    return None if changes >= _FEWEST else f"{changes} changes in the sample prove nothing: {_FEWEST} at least"


@check("READS_THE_SAMPLE")
async def values_fit_the_schema(bench: Bench) -> Finding:
    """Every change of the sample encodes by its product's schema and passes the guard.

    None would be quarantined for its form. Mend: the code and the path say which field of which item; map it, or yield
    `Broken` for such an item.
    """
    copy = bench.copy()
    publications = bench.publications(await bench.adapter(copy))
    for number, (item, _) in enumerate((await bench.read(copy)).items, 1):
        if isinstance(item, Change):
            try:
                publications[item.product].state(item)
            except Exception as error:  # noqa: BLE001 - a poison record, or whatever a strange value raises
                reason = getattr(error, "reason", type(error).__name__)
                return f"item {number}: {reason} at {getattr(error, 'path', '') or 'the whole'}"
    return None


@check("READS_THE_SAMPLE")
async def reasons_are_codes(bench: Bench) -> Finding:
    """What is ignored or broken has a reason of capitals, digits and underscores, and a path of a schema.

    That holds with a damaged source, too. Mend: a constant per reason; never the text of an exception, which can quote
    the source.
    """
    copy = bench.copy()
    readings = [await bench.read(copy)]
    for file, text, start, _ in copy.words(4):
        with copy.written(file, (text[:start] + "\x01" + text[start + 1 :]).encode()):
            readings.append(await bench.read(copy))
    raw = copy.largest.read_bytes()
    with copy.written(copy.largest, raw[: len(raw) // 2]):
        readings.append(await bench.read(copy))
    for reading in readings:
        for item, _ in reading.items:
            if isinstance(item, Broken | Ignored) and not _CODE.fullmatch(item.reason):
                return f"the reason of a {type(item).__name__} is no stable code"
            if isinstance(item, Broken) and not _PATH.fullmatch(item.path):
                return "the path of a Broken is no path of a schema"
    return None


@check("READS_THE_SAMPLE")
async def stable_source_id(bench: Bench) -> Finding:
    """Two readings of one source give the same source ids, by which the runner recognises what it published.

    Mend: take the source's own number of the statement; nothing drawn, counted since the start, or taken from a clock.
    """
    copy = bench.copy()
    first, second = await bench.read(copy), await bench.read(copy)
    changed = sum((first.ids - second.ids).values())
    return f"{changed} of {first.ids.total()} source ids are others on the second reading" if changed else None


@check("STABLE_SOURCE_ID")
async def source_id_states_one_thing(bench: Bench) -> Finding:
    """Within one reading no source id stands for two different statements.

    Each would replace the other on every run. Mend: make the id of the statement (the file and the place in it, the
    version), not of its subject alone.
    """
    copy = bench.copy()
    stated: dict[tuple[str, str], object] = {}
    several = set()
    for product, source_id, content in (await bench.read(copy)).statements:
        if stated.setdefault((product, source_id), content) != content:
            several.add((product, source_id))
    return f"{len(several)} source ids state several things" if several else None


@check("SOURCE_ID_STATES_ONE_THING", "VALUES_FIT_THE_SCHEMA")
async def second_run_publishes_nothing(bench: Bench) -> Finding:
    """What did not change in the source is published once, however often it is read.

    Mend: take `recordedAt` and all else from the source; a value of the adapter's own clock or drawn by it makes every
    record another one.
    """
    copy, log = bench.copy(), Log()
    await bench.run(copy, log)
    first = len(log.records)
    again = await bench.run(copy, log)
    if again.published or again.deleted:
        return f"the second run published {again.published} and deleted {again.deleted} of {first}"
    return None


@check("SECOND_RUN_PUBLISHES_NOTHING")
async def clock_skew(bench: Bench) -> Finding:
    """A source whose clock is a day ahead, so that its unchanged files look newer, makes nothing be published again.

    Mend: do not take `recordedAt` of a change from the time of a file, or state it as a snapshot.
    """
    copy, log = bench.copy(), Log()
    await bench.run(copy, log)
    with copy.touched(86_400):
        again = await bench.run(copy, log)
    return f"{again.published} records were published again" if again.published or again.deleted else None


@check("READS_THE_SAMPLE")
async def leaves_the_source_alone(bench: Bench) -> Finding:
    """Reading changes nothing at the source: no file is written, moved or removed, in it or beside it.

    Mend: keep what must be remembered in the cursor, and open files for reading only.
    """
    copy = bench.copy()
    before = copy.fingerprint()
    await bench.read(copy)
    return None if copy.fingerprint() == before else "files of the source were written, moved or removed"


@check("READS_THE_SAMPLE")
async def leaves_nothing_open(bench: Bench) -> Finding:
    """A reading that is given up after any item leaves no task running, no file and no connection open.

    Mend: hold what is open in a `with` block around the loop that yields, so that closing the generator closes it.
    """
    copy = bench.copy()
    whole = len((await bench.read(copy)).items)
    for stop in spread(range(1, whole + 1), _PLACES):
        before = asyncio.all_tasks()
        items = (await bench.adapter(copy)).changes(None)
        for _ in range(stop):
            await anext(items)
        if isinstance(items, AsyncGenerator):
            await items.aclose()
        left = [task for task in asyncio.all_tasks() - before if not _of_the_kit(task)]
        if left:
            return f"after item {stop} of {whole} {len(left)} tasks go on"
        if _open_files(copy):
            return f"after item {stop} of {whole} a file of the source is still open"
        if bench.http and not await _hung_up(bench, copy):
            return f"after item {stop} of {whole} a connection to the source is still open"
    return None


@check("READS_THE_SAMPLE")
async def cancel_is_heeded(bench: Bench) -> Finding:
    """A reading that is cancelled while it waits ends at once.

    Mend: let `asyncio.CancelledError` pass; catch `Exception`, never `BaseException`, and wait without blocking the
    event loop.
    """
    copy = bench.copy()
    for turns in range(_TURNS):
        task = asyncio.create_task(_consumed(await bench.adapter(copy)), name="kit")
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.done():
            break
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE_S)
        if not done:
            task.cancel()
            return f"it went on for {_PATIENCE_S:g} s after it was cancelled"
        if not task.cancelled():
            return "it swallowed its cancellation, and ended as if the source had"
    return None


@check("READS_THE_SAMPLE")
async def missing_source_is_told(bench: Bench) -> Finding:
    """A source that is not there ends the run with an error of the SDK that says so, and never as an empty source.

    Mend: raise `Retriable` where it can come back by itself, `Invalid` where somebody must act.
    """
    copy = bench.copy()
    if bench.http:
        server = await bench.server(copy)
        url = server.url
        await server.close()
        try:
            async for _ in bench.build(url).changes(None):
                return "items came from a server that is not there"
        except Exception as error:  # noqa: BLE001 - whatever somebody else's adapter raises
            return None if isinstance(error, BrokerError) else f"it ended with {raised_at(error)}"
        return "a server that is not there was read as an empty source"
    with copy.away():
        try:
            reading = await bench.read(copy)
        except Exception as error:  # noqa: BLE001 - `build` may look at once
            return None if isinstance(error, BrokerError) else f"it ended with {raised_at(error)}"
    if reading.crashed is not None:
        return f"it ended with {raised_at(reading.crashed)}"
    return None if reading.error is not None else "a source that is not there was read as an empty one"


async def _consumed(adapter: Adapter) -> None:
    async for _ in adapter.changes(None):
        await asyncio.sleep(0)


def _of_the_kit(task: asyncio.Task[object]) -> bool:
    return "Server._connected" in repr(task.get_coro())


def _open_files(copy: Sample) -> bool:
    """Whether this process holds a file of the copy open; where that cannot be seen, no."""
    shown = Path("/proc/self/fd")
    if not shown.is_dir():
        return False
    home = str(copy.path.parent.resolve())
    for each in shown.iterdir():
        try:
            target = str(each.readlink())
        except OSError:
            continue
        if target.startswith(home):
            return True
    return False


async def _hung_up(bench: Bench, copy: Sample) -> bool:
    server = await bench.server(copy)
    try:
        await wait_until(lambda: server.seen.open == 0, timeout=_PATIENCE_S)
    except TimeoutError:
        return False
    return True


ALL = (
    declares_products,
    reads_the_sample,
    values_fit_the_schema,
    reasons_are_codes,
    stable_source_id,
    source_id_states_one_thing,
    second_run_publishes_nothing,
    clock_skew,
    leaves_the_source_alone,
    leaves_nothing_open,
    cancel_is_heeded,
    missing_source_is_told,
)
