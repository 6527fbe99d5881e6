"""Where a reading goes on: after every cursor, after every crash, and in a source that changed meanwhile."""

from collections import Counter
from collections.abc import Sequence

from adapters.conformance.bench import Bench, identity
from adapters.conformance.journals import Crash, Log, MemoryJournal
from adapters.conformance.kit import Finding, NotHere, check, raised_at
from adapters.conformance.privacy import holds_insz, personal
from adapters.conformance.samples import spread
from adapters.sdk import Change, Item
from broker.errors import BrokerError, Doubt

_PLACES = 10
_CRASHES = 5
_SHORTEST = 4
_STRANGE = ("999999999", "999999999/3", "not a cursor", "-1", "{}", "\u00e9")


@check("STABLE_SOURCE_ID")
async def cursor_resumes(bench: Bench) -> Finding:
    """From any cursor that it gave out, the adapter reads every item that came after.

    An item may come twice, none is left out. Mend: give out a cursor only for what was yielded, and compare with `>`,
    not `>=`.
    """
    copy = bench.copy()
    whole = await bench.read(copy)
    for number in spread(range(len(whole.items)), _PLACES):
        rest = await bench.read(copy, whole.items[number][1])
        if rest.error is not None:
            return f"from the cursor of item {number + 1} it ended with {raised_at(rest.error)}"
        lost = _ids(whole.items[number + 1 :]) - rest.ids
        if lost:
            return f"from the cursor of item {number + 1} of {len(whole.items)}, {lost.total()} items are not read"
    return None


@check("READS_THE_SAMPLE")
async def strange_cursor_is_no_crash(bench: Bench) -> Finding:
    """A cursor that it never gave out is refused with an error of the SDK or read as some place.

    An earlier version or another reader left it; it must not end the process. Mend: check a cursor before using it as a
    number or an address.
    """
    copy = bench.copy()
    for number, cursor in enumerate(_STRANGE, 1):
        reading = await bench.read(copy, cursor)
        if reading.crashed is not None:
            return f"strange cursor {number} ended it with {raised_at(reading.crashed)}"
    return None


@check("CURSOR_RESUMES", "SOURCE_ID_NOT_BY_POSITION")
async def cursor_survives_removal(bench: Bench) -> Finding:
    """An item removed from the part that was read before does not make the adapter leave out one that was not.

    The cursor names a place in the contents, not a count. Mend: put the last id, or the number of all items, in it.
    """
    copy = bench.copy()
    whole = await bench.read(copy)
    with copy.without_first() as there:
        if not there:
            return NotHere("no row and no file of the sample can be taken away")
        kept = (await bench.read(copy)).ids
        for number in spread(range(1, len(whole.items)), _PLACES):
            rest = await bench.read(copy, whole.items[number][1])
            if rest.crashed is not None:
                return f"from the cursor of item {number + 1} it ended with {raised_at(rest.crashed)}"
            due = _ids(whole.items[number + 1 :]) & kept
            if rest.error is None and due - rest.ids:
                return f"from the cursor of item {number + 1}, {(due - rest.ids).total()} items are not read"
    return None


@check("CURSOR_RESUMES", "SECOND_RUN_PUBLISHES_NOTHING")
async def crash_at_every_commit(bench: Bench) -> Finding:
    """Stopped at any commit, or left in doubt about it, it publishes what it would have, nothing lost and nothing twice.

    Mend: keep nothing in the adapter between two readings.
    """
    copy, calm = bench.copy(), Log()
    await bench.run(copy, calm, one_by_one=True)
    expected = Counter((record.event, record.key) for record in calm.records)
    for at in spread(range(1, calm.commits + 1), _CRASHES):
        for crash in Crash:
            log = Log()
            journal = MemoryJournal(log, crash, at)
            try:
                await bench.run(copy, log, journal, one_by_one=True)
            except Doubt:
                return f"it gave up after a doubtful commit {at}"
            except BrokerError:
                await bench.run(copy, log, one_by_one=True)
            found = Counter((record.event, record.key) for record in log.records)
            if found != expected:
                lost, twice = (expected - found).total(), (found - expected).total()
                return f"{crash.name.lower()} commit {at} of {calm.commits}: {lost} records lost, {twice} too many"
    return None


@check("READS_THE_SAMPLE")
async def no_personal_data_in_cursor(bench: Bench) -> Finding:
    """A cursor holds no national number, no value of a field about a person and no name of a file.

    It is stored, and shown to operators. Mend: a position, a sequence number or a page of the source; else a keyed
    hash.
    """
    copy = bench.copy()
    reading = await bench.read(copy)
    told = set() if bench.http else {name for name in copy.names if len(name) >= _SHORTEST}
    for item, _ in reading.items:
        if isinstance(item, Change) and item.value is not None:
            told |= {value for value in personal(bench.schemas[item.product], item.value) if len(value) >= _SHORTEST}
    for number, (_, cursor) in enumerate(reading.items, 1):
        if holds_insz(cursor):
            return f"the cursor of item {number} holds a national number"
        if any(value in cursor for value in told):
            return f"the cursor of item {number} holds a value of a person, or the name of a file"
    return None


def _ids(items: Sequence[tuple[Item, str]]) -> Counter[tuple[str, str]]:
    return Counter(identity(item) for item, _ in items if hasattr(item, "source_id"))


ALL = (
    cursor_resumes,
    strange_cursor_is_no_crash,
    cursor_survives_removal,
    crash_at_every_commit,
    no_personal_data_in_cursor,
)
