"""Runs one adapter: reads its source from the committed cursor and publishes what is new (design R9).

    open ▸ read ▸ map and guard ▸ recognise duplicates ▸ records, quarantine, item hashes and cursor in one transaction
    the end of a whole snapshot ▸ deletions of whom it lacks, in the same way

What was committed is the only truth: after any doubt the state is read again, and reading goes on from its cursor.
"""

import asyncio
import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any, NoReturn, Protocol

from adapters import sealing
from adapters.batch import Batch
from adapters.clock import HEARD, TOLERANCE_S, Clock, Skew
from adapters.drift import Drift, Watch
from adapters.memory import Hashes, Memory
from adapters.publication import Publication
from adapters.sdk import Adapter, Announcing, Item, SnapshotEnds
from adapters.sealing import Sealed, Signer
from adapters.snapshots import Snapshots
from adapters.sources import whole_seconds
from adapters.summary import Summary
from broker.batches import Row
from broker.errors import BrokerError, Fatal, Retriable
from broker.model import topics
from broker.model.intake import Intake
from broker.model.record import header

MOST_ITEMS, MOST_BYTES = 4_000, 16 << 20
"""Bounds of one transaction; as many items are read ahead."""

ATTEMPTS = 5
"""Failures in a row, with the cursor where it was between them, after which a single run gives up."""

PASSES_APART = timedelta(minutes=1)
"""That the end of the source was reached is noted once in this time at most."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_UNASKED_S = 1
"""What an error without a wish of the source's says; more than that is a wish (Retry-After), and is heeded."""


class Journal(Protocol):
    """The runner's one owner-at-a-time writer; `broker.kafka.journal` behind it."""

    async def open(self) -> Mapping[bytes, bytes]:
        """Fence the previous owner and read the state; raises `Retriable`."""

    async def commit(self, outputs: Mapping[tuple[str, int], Sequence[Row]]) -> None:
        """Write rows by topic and partition, all or none; raises `Fenced`, or `Doubt` after which it must be opened."""

    async def close(self) -> None:
        """Give up ownership."""


Observe = Callable[[Iterable[bytes | None], int, datetime, datetime], None]
"""Hears of every commit: the records' `traceparent` values (to be read no further than needed), their number, when it
began and when it ended."""


@dataclass(slots=True)
class Runner:
    """Runs `adapter`; `publications` are by product, `key` makes its item hashes. `run` can be called once.

    `progress` hears the summary after every commit, `trouble` what failed and for how many seconds the runner waits,
    `drifted` of each drift once. Without a `signer` records are not sealed: for runs that publish to nobody.
    """

    adapter: Adapter
    publications: Mapping[str, Publication]
    journal: Journal
    key: bytes = field(repr=False)
    interval_s: float = 60.0
    signer: Signer | None = None
    clock_tolerance_s: int = TOLERANCE_S
    drift_stops: bool = False
    drifted: Callable[[Drift], None] = lambda _drift: None
    progress: Callable[[Summary], None] = lambda _summary: None
    trouble: Callable[[Retriable, float], None] = lambda _error, _pause: None
    observe: Observe = lambda _traces, _records, _start, _end: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    random: Callable[[int], bytes] = secrets.token_bytes
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _run: str = field(default="", init=False)
    _memory: Memory | None = field(default=None, init=False)
    _summary: Summary = field(default_factory=Summary, init=False)
    _stands: str | None = field(default=None, init=False)
    _clock: Clock = field(init=False, repr=False, compare=False)
    _sealed: Sealed = field(default_factory=lambda: Sealed(""), init=False)
    _watch: Watch = field(default_factory=lambda: Watch({}), init=False)
    _skew: Skew = field(default_factory=Skew, init=False)
    _told: frozenset[Drift] = field(default=frozenset(), init=False)

    @property
    def summary(self) -> Summary:
        """Counts of what this run committed so far."""
        return self._summary

    @property
    def drift(self) -> tuple[Drift, ...]:
        """What drifts now, as far as this run read."""
        return self._watch.found()

    @property
    def skew_s(self) -> int | None:
        """How far the source's clock is ahead of ours, in whole seconds; None where nothing told it."""
        return self._skew.seconds

    async def run(self, *, once: bool) -> Summary:
        """Publish what the source holds; with `once` stop at its end, otherwise poll it until cancelled.

        Raises `Fenced` when another instance took over, `Retriable` when a single run gives up, `Fatal` when the
        adapter fails otherwise, and what the adapter refuses. When cancelled, a commit under way is finished first.
        """
        self._run, self._clock = self.random(8).hex(), Clock(self.now, self.clock_tolerance_s)
        failures = 0
        try:
            while True:
                stood = self._stands
                try:
                    await self._pass(self._memory or await self._open())
                    failures, pause = 0, self.interval_s
                    if once:
                        return self._summary
                except Retriable as error:
                    failures = failures + 1 if self._stands == stood else 1
                    if once and failures >= ATTEMPTS:
                        raise
                    pause = min(_FIRST_PAUSE_S * 2 ** (failures - 1), _LONGEST_PAUSE_S)
                    if error.after_s > _UNASKED_S:
                        pause = max(pause, error.after_s)
                    self.trouble(error, pause)
                await self._wait(pause, calm=not failures)
        finally:
            await self.journal.close()

    async def _wait(self, pause: float, *, calm: bool) -> None:
        """Until the next poll is due, or sooner where the source says that there is something new."""
        if calm and isinstance(self.adapter, Announcing) and self.adapter.announces:
            try:
                return await self.adapter.announced(pause)
            except Retriable as error:
                self.trouble(error, pause)
        return await self.sleep(pause)

    async def _open(self) -> Memory:
        state = await self.journal.open()
        self._memory = memory = Memory.restored(state, self._run)
        self._sealed = Sealed.restored(state.get(sealing.STATE), self.random(8).hex())
        self._watch = Watch.restored(self.publications, state)
        memory.intake = {product: Intake(owner) for product, owner in self.adapter.sources.items()} | memory.intake
        self._summary = memory.summary
        return memory

    async def _pass(self, memory: Memory) -> None:
        """Read the source to its end, in transactions."""
        async with aclosing(self._batches(memory)) as batches:
            async for batch in batches:
                await _finished(self._commit(memory, batch))
        await _finished(self._note_pass(memory))

    async def _batches(self, memory: Memory) -> AsyncGenerator[Batch, None]:
        """What the source gives, as much at a time as waits; then its failure, if it ended with one.

        While one batch is committed the source is read on, so that a slow one is published at once and a fast one in
        large transactions, without a clock.
        """
        waiting: asyncio.Queue[tuple[Item, str] | _End] = asyncio.Queue(MOST_ITEMS)
        reading = copy_context()
        reading.run(HEARD.set, self._skew)
        reader = asyncio.create_task(_read(self.adapter.changes(memory.cursor or None), waiting), context=reading)
        snapshots, end = Snapshots(Hashes(self.key)), None
        try:
            while end is None:
                batch, over = self._batch(memory, snapshots), None
                given = await waiting.get()
                while not isinstance(given, _End):
                    if isinstance(given[0], SnapshotEnds):
                        over = (given[0], given[1])
                        break
                    batch.take(*given)
                    if waiting.empty() or batch.summary.read >= MOST_ITEMS or batch.size >= MOST_BYTES:
                        break
                    given = waiting.get_nowait()
                else:
                    end = given
                if batch.summary.read:
                    yield batch
                for departures in self._departures(memory, snapshots, *over) if over else ():
                    yield departures
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        if end.failure is not None:
            _raise(end.failure, self.adapter.name)

    def _batch(self, memory: Memory, snapshots: Snapshots) -> Batch:
        return Batch(self.adapter.name, self.publications, snapshots.hashes, memory.items, snapshots, self._clock)

    def _departures(
        self, memory: Memory, snapshots: Snapshots, ends: SnapshotEnds, cursor: str
    ) -> Generator[Batch, None, None]:
        """Whom a snapshot lacks; the source stands behind it with the last of them only. Raises what `left` raises."""
        left = list(snapshots.left(ends, memory.items).items())
        for start in range(0, len(left), MOST_ITEMS) or (0,):
            batch = self._batch(memory, snapshots)
            for item, key in left[start : start + MOST_ITEMS]:
                batch.leave(ends.product, item, key)
            batch.cursor = cursor if start + MOST_ITEMS >= len(left) else memory.cursor or ""
            yield batch

    async def _commit(self, memory: Memory, batch: Batch) -> None:
        """Records, their seals, quarantine, item hashes and cursor, or none of them."""
        began, summary = self.now(), memory.summary.plus(batch.summary)
        at = whole_seconds(began)
        outputs = batch.outputs(at, self.random)
        intake = self._intake(memory, batch, began)
        traces = (header(row[2], "traceparent") for rows in list(outputs.values()) for row in rows)
        watch = self._watch.plus(batch.observed, stops=self.drift_stops)
        sealed = self._seal(outputs, at)
        state = memory.rows(batch.cursor, summary, batch.items, at, intake=intake, passed=memory.passed)
        outputs[topics.cursors(self.adapter.name), 0] = [*sealed.rows(), *watch.rows(self._watch), *state]
        self._memory = None  # until it is known to be committed
        await self.journal.commit(outputs)
        memory.moved_on(batch.cursor, summary, batch.items)
        memory.intake = intake
        self._sealed, self._watch = sealed, watch
        self._memory, self._summary, self._stands = memory, summary, batch.cursor
        self.observe(traces, batch.summary.published + batch.summary.deleted, began, self.now())
        self._tell_drift(watch.found())
        self.progress(summary)

    def _seal(self, outputs: dict[tuple[str, int], list[Row]], at: str) -> Sealed:
        """Add the seals to what is written; returns how far they are counted then."""
        if self.signer is None:
            return self._sealed
        sealed, seals = self._sealed.seal(
            outputs, self.publications.values(), self.signer, adapter=self.adapter.name, at=at
        )
        outputs |= seals
        return sealed

    def _tell_drift(self, found: tuple[Drift, ...]) -> None:
        for each in found:
            if each not in self._told:
                self.drifted(each)
        self._told = frozenset(found)

    async def _note_pass(self, memory: Memory) -> None:
        """That the end was reached, now and then: who reads nothing new is told from who reads nothing."""
        now = self.now()
        if memory.passed is not None and now - datetime.fromisoformat(memory.passed) < PASSES_APART:
            return
        at = whole_seconds(now)
        rows = memory.rows(memory.cursor or "", memory.summary, {}, at, intake=memory.intake, passed=at)
        self._memory = None
        await self.journal.commit({(topics.cursors(self.adapter.name), 0): list(rows)})
        memory.passed, self._memory = at, memory

    def _intake(self, memory: Memory, batch: Batch, at: datetime) -> dict[str, Intake]:
        added = {product: memory.intake[product].plus(offered, at) for product, offered in batch.offered.items()}
        return memory.intake | added


@dataclass(frozen=True, slots=True)
class _End:
    """Stands after a source's last item."""

    failure: Exception | None


async def _read(items: AsyncIterator[tuple[Item, str]], waiting: asyncio.Queue[tuple[Item, str] | _End]) -> None:
    failure = None
    try:
        async for pair in items:
            await waiting.put(pair)
    except Exception as error:  # noqa: BLE001 - whatever somebody else's adapter raises
        failure = error
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
    await waiting.put(_End(failure))


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` to its end even when cancelled, so that nobody has to guess whether it was committed."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise


def _raise(failure: Exception, adapter: str) -> NoReturn:
    """The failure if it is one of ours; otherwise where it happened, without its text, which could quote the source."""
    if isinstance(failure, BrokerError):
        raise failure
    trace, place = failure.__traceback__, ""
    while trace is not None:
        place = f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    raise Fatal(f"adapter {adapter} failed", operator=f"{type(failure).__name__} at {place}") from None
