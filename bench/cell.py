"""One run of one cell of the matrix, in a process of its own: `python -m bench.cell`, told what on standard input.

So that no cell inherits another's memory or stand-ins, and one that fails is just one that failed. The last line on
standard output is a JSON object of figures; progress goes to standard error.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import uvloop

from bench import decisions, dossiers, isolation, latency, memory, revocations
from bench.cells import Cell, Kind, cell_of
from bench.cold_start import measure as cold_start
from bench.population import PRODUCT
from bench.route_cell import measure as route
from broker.cli.bench_site import fresh_installation, heap_mb
from broker.cli.datadir import DataDir
from broker.cli.documents import PolicyFolder
from broker.cli.output import note
from broker.cli.site import site
from broker.settings import load_settings

Figures = Mapping[str, Any]
_BASE_SIZE = 10


async def run(cell: Cell, folder: Path) -> Figures:
    """What the cell gives once: `value` with its `unit`, `ratio` to a baseline of the same run where it has one, `detail`."""
    if cell.kind is Kind.ROUTE:
        heap = heap_mb(2 * cell.agreements)  # those of the deliveries, and of the copy beside them
        async with site(DataDir(folder), load_settings(), beating=True, kafka_heap_mb=heap, progress=note) as here:
            return await route(here, cell, progress=note)
    return await _MEASURES[cell.kind](cell)


async def _decisions(cell: Cell) -> Figures:
    schema = PolicyFolder.of(None, None).product_schemas()[PRODUCT]
    sizes = sorted({_BASE_SIZE, cell.agreements})
    found = [cost.as_json() for cost in decisions.measure(schema, records=cell.records, sizes=sizes)]
    ratio = found[-1]["stay_us"] / found[0]["stay_us"]
    return {"value": found[-1]["stay_us"], "unit": "µs per record", "ratio": round(ratio, 3), "detail": found[-1]}


async def _latency(cell: Cell) -> Figures:
    async with fresh_installation() as here:
        figures = await latency.measure(
            here, rate=cell.rate, seconds=cell.seconds, turns=1, agreements=cell.agreements, progress=note
        )
    found = figures.as_json()
    return {"value": found["router"]["p99_ms"], "unit": "ms (p99)", "ratio": found["ratios"]["p99"], "detail": found}


async def _revocations(cell: Cell) -> Figures:
    async with fresh_installation() as here:
        figures = await revocations.measure(
            here, revoked=cell.records, rate=cell.rate, agreements=cell.agreements, progress=note
        )
    found = figures.as_json()
    return {"value": found["revocation"]["p99_ms"], "unit": "ms (p99)", "ratio": found["ratio_p99"], "detail": found}


async def _cold_start(cell: Cell) -> Figures:
    async with fresh_installation(topics=cell.agreements) as here, fresh_installation() as small:
        base = (await cold_start(small, agreements=_BASE_SIZE, starts=1, progress=note)).as_json()
        found = (await cold_start(here, agreements=cell.agreements, starts=1, progress=note)).as_json()
    took, least = (each["first_delivered_s"]["median"] for each in (found, base))
    return {"value": took, "unit": "s", "ratio": round(took / least, 3), "detail": {**found, "base": base}}


async def _dossiers(cell: Cell) -> Figures:
    async with fresh_installation() as here:
        found = (await dossiers.measure(here, entries=cell.records, number=100_000, progress=note)).as_json()
    value = found["router"]["others_on_file"]["per_cpu_s"]
    return {"value": value, "unit": "records per CPU s", "ratio": found["ratio_others"], "detail": found}


async def _isolation(cell: Cell) -> Figures:
    async with fresh_installation() as here:
        figures = await isolation.measure(
            here, replayed=cell.records, seconds=cell.seconds, rate=cell.rate, progress=note
        )
    found = figures.as_json()
    worst = found["phases"]["misbehaving"]["all"]
    return {"value": worst["p99_ms"], "unit": "ms (p99)", "ratio": worst["p99_ratio"], "detail": found}


async def _memory(cell: Cell) -> Figures:
    async with fresh_installation(topics=cell.agreements) as here, fresh_installation() as small:
        figures = await memory.measure(
            here, small, agreements=cell.agreements, dossiers=cell.records, subjects=cell.records, progress=note
        )
    found = figures.as_json()
    return {"value": found["routed_mb"]["resident"], "unit": "MB", "ratio": found["ratio"], "detail": found}


_MEASURES: Mapping[Kind, Callable[[Cell], Awaitable[Figures]]] = {
    Kind.DECISIONS: _decisions,
    Kind.LATENCY: _latency,
    Kind.REVOCATIONS: _revocations,
    Kind.COLD_START: _cold_start,
    Kind.DOSSIERS: _dossiers,
    Kind.ISOLATION: _isolation,
    Kind.MEMORY: _memory,
}


def main() -> None:
    """Run what standard input says."""
    told = json.load(sys.stdin)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(run(cell_of(told["cell"]), Path(told["folder"])))
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
