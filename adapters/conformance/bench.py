"""One adapter under test: its sample, copies of it to damage, readings of them and runs over them."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from adapters.conformance.journals import Log, MemoryJournal
from adapters.conformance.samples import Sample, copied
from adapters.conformance.server import Server
from adapters.publication import Publication
from adapters.runner import Runner
from adapters.sdk import Adapter, Broken, Change, Item
from adapters.summary import Summary
from broker.errors import BrokerError, PoisonRecord
from broker.model.keyed import KEY_BYTES
from broker.schema.avro import Schema

_KEY = bytes(KEY_BYTES)
_READ_S = 60.0
_ANY_CLOCK_S = 10**9
"""The kit sets clocks ahead: the runner's own would set aside what the adapter is to be seen doing."""
_TURNS = 12

Statement = tuple[str, str, tuple[Any, ...]]
"""Product, source id, and what is stated: equal where the runner would call it a duplicate."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading gave; `error` is what it ended with, where it did not end by itself."""

    items: tuple[tuple[Item, str], ...]
    statements: tuple[Statement, ...]
    complaints: int
    error: Exception | None

    @property
    def told(self) -> bool:
        """Whether it says that something is wrong."""
        return self.complaints > 0 or isinstance(self.error, BrokerError)

    @property
    def crashed(self) -> Exception | None:
        """An error that no runner can act on."""
        return None if self.error is None or isinstance(self.error, BrokerError) else self.error

    @property
    def ids(self) -> Counter[tuple[str, str]]:
        """What was read: product (empty for what is no change) and source id, with their number."""
        return Counter(identity(item) for item, _ in self.items if hasattr(item, "source_id"))


class Bench:
    """`build` makes the adapter over a path, or over a URL where `http`; `sample` is never touched, only copies are."""

    def __init__(
        self,
        build: Callable[[str], Adapter],
        sample: Path,
        schemas: Mapping[str, Schema],
        folder: Path,
        *,
        http: bool = False,
    ) -> None:
        self.build, self.schemas, self.http = build, schemas, http
        self._sample, self._folder = sample, folder
        self._copies = 0
        self._publications: dict[str, Publication] = {}
        self._servers: dict[Path, Server] = {}
        self._held = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._held.aclose()

    def copy(self) -> Sample:
        """Another copy of the sample."""
        self._copies += 1
        folder = self._folder / str(self._copies)
        folder.mkdir(parents=True)
        return copied(self._sample, folder)

    async def server(self, sample: Sample) -> Server:
        """Whoever serves this copy over HTTP."""
        if sample.path not in self._servers:
            self._servers[sample.path] = await self._held.enter_async_context(Server(sample))
        return self._servers[sample.path]

    async def adapter(self, sample: Sample) -> Adapter:
        """The adapter, made anew."""
        source = (await self.server(sample)).url if self.http else str(sample.path)
        adapter = self.build(source)
        self._publications = self._publications or self.publications(adapter)
        return adapter

    async def read(self, sample: Sample, cursor: str | None = None) -> Reading:
        """Read to the end with an adapter made anew; what it raises is in the reading."""
        items: list[tuple[Item, str]] = []
        error = None
        try:
            async with asyncio.timeout(_READ_S):
                async for pair in (await self.adapter(sample)).changes(cursor):
                    items.append(pair)  # noqa: PERF401 - what came before an error counts
        except Exception as raised:  # noqa: BLE001 - whatever somebody else's adapter raises
            error = raised
        return self._reading(items, error)

    def publications(self, adapter: Adapter) -> dict[str, Publication]:
        """How each of the adapter's products is stated; raises `KeyError` where there is no schema of it."""
        return {
            product: Publication(organisation, self.schemas[product], 0, k_lane=_KEY, lanes=1)
            for product, organisation in adapter.sources.items()
        }

    async def run(
        self, sample: Sample, log: Log, journal: MemoryJournal | None = None, *, one_by_one: bool = False
    ) -> Summary:
        """Run the adapter, made anew, over what `log` remembers; raises what the run raises."""
        adapter = await self.adapter(sample)
        publications = self.publications(adapter)
        paced: Adapter = OneByOne(adapter) if one_by_one else adapter
        runner = Runner(
            paced,
            publications,
            journal or MemoryJournal(log),
            _KEY,
            clock_tolerance_s=_ANY_CLOCK_S,
            sleep=_at_once,
        )
        async with asyncio.timeout(_READ_S):
            return await runner.run(once=True)

    def _reading(self, items: list[tuple[Item, str]], error: Exception | None) -> Reading:
        statements: list[Statement] = []
        complaints = 0
        for item, _ in items:
            if isinstance(item, Broken):
                complaints += 1
            elif isinstance(item, Change):
                try:
                    stated = self._publications[item.product].state(item)
                except (PoisonRecord, KeyError):
                    complaints += 1
                else:
                    statements.append((item.product, item.source_id, (stated.key, stated.content)))
        return Reading(tuple(items), tuple(statements), complaints, error)


@dataclass(frozen=True, slots=True)
class OneByOne:
    """An adapter whose items come so slowly that each is a transaction of its own."""

    adapter: Adapter
    name: str = field(init=False)
    sources: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.adapter.name)
        object.__setattr__(self, "sources", self.adapter.sources)

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """The adapter's own."""
        items = self.adapter.changes(cursor)
        try:
            async for pair in items:
                yield pair
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()


def identity(item: Any) -> tuple[str, str]:
    """Product and source id of an item."""
    return (item.product if isinstance(item, Change) else "", item.source_id)


async def _at_once(_seconds: float) -> None:
    await asyncio.sleep(0)
