"""People move house while the demo runs: an adapter over values that the demo makes up as it goes."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from adapters.sdk import Change, Item

SOURCE, PRODUCT = "rijksregister", "persoon.v1"
_SOURCES = MappingProxyType({PRODUCT: SOURCE})


@dataclass(frozen=True, slots=True)
class Changes:
    """States `values` of persoon.v1, `burst` at a time and then a pause of `pause_s` seconds.

    Under the synthetic adapter's name and item ids, so that the next snapshot is compared with what was stated here.
    """

    values: Iterable[Mapping[str, Any]] = field(repr=False)
    burst: int = 1
    pause_s: float = 0.0
    name: str = "synthetic"
    sources: Mapping[str, str] = field(default_factory=lambda: _SOURCES)

    async def changes(self, _cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Every value once; the snapshot's next reading starts from the beginning."""
        for number, value in enumerate(self.values):
            if number and not number % self.burst:
                await asyncio.sleep(self.pause_s)
            yield Change(f"persoon/{value['insz']}", PRODUCT, value), ""
