"""What a source's server can do: slow, failing, cut off, without end, or pointing elsewhere."""

import asyncio
import time
from contextlib import suppress

from adapters.conformance.bench import Bench
from adapters.conformance.journals import Log
from adapters.conformance.kit import Finding, NotHere, check, raised_at
from adapters.conformance.server import MOST_SENT, Mood
from broker.errors import Retriable
from broker.testing import wait_until

_NO_HTTP = NotHere("the adapter does not read over HTTP (`--http`)")
_PATIENCE_S = 5.0
_ENDLESS_S = 60.0


@check("READS_THE_SAMPLE")
async def server_error_is_retriable(bench: Bench) -> Finding:
    """A server that answers 503 is asked again later: the reading ends with `Retriable`, and nothing was read.

    Mend: raise `Retriable` for 5xx; the runner waits, longer each time.
    """
    return await _retriable(bench, Mood.ERROR)


@check("READS_THE_SAMPLE")
async def too_many_requests_is_retriable(bench: Bench) -> Finding:
    """A server that answers 429 with Retry-After is asked again later, with `Retriable`, and not at once.

    Mend: raise `Retriable` for 429, with `after_s`; do not loop inside the adapter.
    """
    return await _retriable(bench, Mood.TOO_MANY)


@check("READS_THE_SAMPLE")
async def cut_off_answer_is_retriable(bench: Bench) -> Finding:
    """An answer that is shorter than its Content-Length is a page that did not arrive.

    It is asked for again with `Retriable`, and nothing of it is published. Mend: read the whole answer before you parse
    it, and raise `Retriable` for a transport error.
    """
    return await _retriable(bench, Mood.CUT_OFF)


@check("SERVER_ERROR_IS_RETRIABLE", "SECOND_RUN_PUBLISHES_NOTHING")
async def recovers_after_trouble(bench: Bench) -> Finding:
    """After a server's trouble one run publishes what it would have published without.

    Mend: start the reading from the cursor that it is given, and keep nothing in the adapter.
    """
    if not bench.http:
        return _NO_HTTP
    copy, calm, log = bench.copy(), Log(), Log()
    await bench.run(copy, calm)
    server = await bench.server(copy)
    server.mood, server.bad_answers = Mood.ERROR, 2
    await bench.run(copy, log)
    found, expected = ({record.event for record in each.records} for each in (log, calm))
    return None if found == expected else f"{len(expected ^ found)} of {len(expected)} records differ"


@check("CANCEL_IS_HEEDED")
async def slow_server_can_be_left(bench: Bench) -> Finding:
    """A reading that waits for a silent server ends at once when it is cancelled, and hangs up.

    Mend: use an asynchronous client, in a `with` block.
    """
    if not bench.http:
        return _NO_HTTP
    copy = bench.copy()
    server = await bench.server(copy)
    server.mood = Mood.SILENT
    task = asyncio.create_task(bench.read(copy), name="kit")
    with suppress(TimeoutError):
        await wait_until(lambda: server.seen.requests or task.done(), timeout=_PATIENCE_S)
    if not server.seen.requests:
        task.cancel()
        return "it did not ask the server for anything"
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=_PATIENCE_S)
    if not done:
        return f"it went on for {_PATIENCE_S:g} s after it was cancelled"
    try:
        await wait_until(lambda: server.seen.open == 0, timeout=_PATIENCE_S)
    except TimeoutError:
        return "the connection was left open"
    return None


@check("READS_THE_SAMPLE")
async def endless_answer_is_bounded(bench: Bench) -> Finding:
    """An answer without end is given up after a bounded number of bytes, and told as `Broken` or as an error.

    Mend: count while you read, and stop (`adapters.sources.fetch` stops at 64 MiB).
    """
    if not bench.http:
        return _NO_HTTP
    copy = bench.copy()
    server = await bench.server(copy)
    server.mood = Mood.ENDLESS
    began = time.monotonic()
    reading = await bench.read(copy)
    if server.seen.sent >= MOST_SENT:
        return f"it read on for more than {MOST_SENT >> 20} MiB"
    if reading.crashed is not None:
        return f"it ended with {raised_at(reading.crashed)}"
    if time.monotonic() - began > _ENDLESS_S:
        return f"it took more than {_ENDLESS_S:g} s"
    return None if reading.told else "it was read as a good answer"


@check("READS_THE_SAMPLE")
async def other_host_is_not_called(bench: Bench) -> Finding:
    """A redirect to another host is not followed.

    A source must not make the reader call addresses of its own network. Mend: follow redirects within one origin only
    (`adapters.sources.fetch` does).
    """
    if not bench.http:
        return _NO_HTTP
    copy, other = bench.copy(), bench.copy()
    server, elsewhere = await bench.server(copy), await bench.server(other)
    server.mood, server.elsewhere = Mood.ELSEWHERE, elsewhere.url
    reading = await bench.read(copy)
    if elsewhere.seen.requests:
        return "the other host was called"
    if reading.crashed is not None:
        return f"it ended with {raised_at(reading.crashed)}"
    return None if reading.told else "the redirect was read as an empty source"


async def _retriable(bench: Bench, mood: Mood) -> Finding:
    if not bench.http:
        return _NO_HTTP
    copy = bench.copy()
    (await bench.server(copy)).mood = mood
    reading = await bench.read(copy)
    if reading.statements:
        return f"{len(reading.statements)} records were read from it"
    if reading.error is None:
        return "it was read as an empty source"
    return None if isinstance(reading.error, Retriable) else f"it ended with {raised_at(reading.error)}"


ALL = (
    server_error_is_retriable,
    too_many_requests_is_retriable,
    cut_off_answer_is_retriable,
    recovers_after_trouble,
    slow_server_can_be_left,
    endless_answer_is_bounded,
    other_host_is_not_called,
)
