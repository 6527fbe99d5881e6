"""A storm of revocations while the others get their records: how long each takes, and what the others notice.

Revocations come at a fixed rate whatever the earlier ones do; each counts from the instant at which it was due.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.awaited import Latencies
from bench.bulk import cases_of
from bench.contenders import lived, stage
from bench.population import SOURCE
from broker.cli.site import Site

_PER_S = 10
_WARM_S, _ALONE_S = 5.0, 10.0
_NS_PER_S = 1_000_000_000
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figures:
    """Nanoseconds: each revocation, and the others' latencies without and during the storm."""

    rate: float
    revoked: Sequence[int]
    alone: Sequence[int]
    beside: Sequence[int]

    def as_json(self) -> Mapping[str, Any]:
        """Milliseconds, and the others' p99 during ÷ without."""
        alone, beside = Latencies.of(self.alone), Latencies.of(self.beside)
        return {
            "rate": self.rate,
            "revocations_per_s": _PER_S,
            "revocation": Latencies.of(self.revoked).as_json(),
            "others_alone": alone.as_json(),
            "others_beside": beside.as_json(),
            "ratio_p99": round(beside.ms["p99"] / alone.ms["p99"], 3),
            "load_average": round(os.getloadavg()[0], 2),
        }


async def measure(here: Site, *, revoked: int, rate: float, agreements: int, progress: Progress) -> Figures:
    """Revoke the first `revoked` of the agreements; the load is on the people of the others."""
    if revoked >= agreements:
        raise ValueError("somebody must be left to notice")
    cases = cases_of(here)
    async with stage(here, agreements, progress=progress) as on:
        rows = [row for index, row in enumerate(on.rows) if index % agreements >= revoked]
        progress("warming the router")
        await on.router.load(on.producer, on.rows, rate, _WARM_S)
        progress("without revocations")
        alone = await on.router.load(on.producer, rows, rate, _ALONE_S)
        progress(f"{revoked} revocations")

        async def revoke(number: int, due: int) -> int:
            await asyncio.sleep(max(0.0, (due - time.monotonic_ns()) / _NS_PER_S))
            await cases.revoke(f"meting-{number}", by=SOURCE)
            return time.monotonic_ns() - due

        began = time.monotonic_ns()
        storm = asyncio.gather(*(revoke(number, began + number * _NS_PER_S // _PER_S) for number in range(revoked)))
        beside = await on.router.load(on.producer, rows, rate, max(_ALONE_S, revoked / _PER_S))
        took = await storm
        lived(here, on.ends)
    return Figures(rate, took, [each for _, each in alone], [each for _, each in beside])
