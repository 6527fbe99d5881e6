"""The state of many subjects: written, read, looked through for birthdays, and rebuilt from the source, in one run.

The file's own figures come from one lane with all subjects; the rebuild reads the real topic through the router's door,
and so does what an API process keeps of whom the source has.
"""

import asyncio
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.population import publish, records, set_up
from broker.cli.installation import Installation
from broker.cli.router import collect_rarely, lane_maker
from broker.cli.site import Site
from broker.control import keys
from broker.control.agreements import Agreements
from broker.control.barriers import Barriers
from broker.control.enforcement import Enforcement
from broker.model import topics
from broker.policy.engine import Previous
from broker.routing.counts import Counts
from broker.routing.known_subjects import KnownSubjects
from broker.routing.lane_state import Absorbed, LaneState
from broker.routing.router import Router

_TOPIC, _PATHS = "source.bron.persoon.v1", ("geboorte.datum", "verblijfplaats.gemeente.nis")
_VALUES = (b"\x02\x141990-05-17", b"\x0a44021")
_BATCH, _READ = 10_000, 1_000
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates per second, seconds and bytes."""

    subjects: int
    written: float
    read: float
    looked_through_s: float
    file: int
    memory: int
    routed: float
    routed_again: float
    rebuild_s: float
    known_s: float
    known_file: int

    def as_json(self) -> Mapping[str, Any]:
        """Rounded."""
        return {
            "subjects": self.subjects,
            "write_per_s": round(self.written),
            "read_per_s": round(self.read),
            "look_through_s": round(self.looked_through_s, 2),
            "file_mb": round(self.file / 1e6, 1),
            "memory_mb": round(self.memory / 1e6, 1),
            "router_first_per_s": round(self.routed),
            "router_with_state_per_s": round(self.routed_again),
            "ratio": round(self.routed_again / self.routed, 3),
            "rebuild_s": round(self.rebuild_s, 1),
            "rebuild_per_s": round(self.subjects / self.rebuild_s),
            "known_s": round(self.known_s, 1),
            "known_records_per_s": round(2 * self.subjects / self.known_s),
            "known_file_mb": round(self.known_file / 1e6, 1),
        }


async def measure(here: Site, *, subjects: int, progress: Progress) -> Figures:
    """One lane's file with `subjects`; then as many published, routed twice (the second time all are known) and rebuilt."""
    progress(f"a state file of {subjects} subjects")
    written, read, looked, size, memory = _file(subjects)
    installation = Installation.of(here)
    enforcement = Enforcement(here.admin, here.keys, Barriers(here.clients, here.lanes))
    product, schema = await set_up(installation, Agreements(here.control, enforcement, fictional=True), 10)
    source, k_lane = topics.source(product.source, product.id), here.keys.ensure(keys.LANE)
    collect_rarely()
    rates = []
    for _ in range(2):
        progress(f"publishing {subjects} records, each of another subject, and routing them")
        rows = records(schema, product, subjects, 10, here.lanes, k_lane, distinct=subjects)
        await publish(here.clients, source, rows)
        rates.append(await _route(here, subjects))
    progress("rebuilding the state from the source")
    for path in (here.home.root / "lanes").glob("*"):
        path.unlink()
    make = await lane_maker(here)
    lanes = [make(lane) for lane in range(here.lanes)]
    began = time.perf_counter()
    await asyncio.gather(*(lane.open() for lane in lanes))
    rebuilt = time.perf_counter() - began
    for lane in lanes:
        await lane.close()
    progress("reading whom the source has")
    known = await _known(here, source)
    return Figures(subjects, written, read, looked, size, memory, rates[0], rates[1], rebuilt, *known)


def _file(subjects: int) -> tuple[float, float, float, int, int]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory(prefix="datanuts-bench-") as folder:
        path = Path(folder) / "0.mdb"
        state = LaneState(path)
        began = time.perf_counter()
        for start in range(0, subjects, _BATCH):
            numbers = range(start, min(subjects, start + _BATCH))
            changes = {b"%032x" % (number * 2_654_435_761 % 2**64): Previous(_VALUES, 1, number) for number in numbers}
            state.write({_TOPIC: changes}, [Absorbed(_TOPIC, numbers[-1] + 1, _PATHS)])
        written = subjects / (time.perf_counter() - began)
        asked = [
            b"%032x" % (number * 2_654_435_761 % 2**64) for number in range(0, subjects, max(1, subjects // 100_000))
        ]
        began = time.perf_counter()
        for start in range(0, len(asked), _READ):
            state.read(_TOPIC, asked[start : start + _READ])
        read = len(asked) / (time.perf_counter() - began)
        began = time.perf_counter()
        for _ in state.all(_TOPIC):
            pass
        looked = time.perf_counter() - began
        state.close()
        size = sum(part.stat().st_size for part in Path(folder).iterdir())
    return written, read, looked, size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


async def _known(here: Site, source: str) -> tuple[float, int]:
    """How long the first question about the source takes, and the bytes of the file that it leaves."""
    folder = here.home.root / "known-subjects"
    known = KnownSubjects(here.clients.consumer, here.lanes, folder, patience_s=3600)
    began = time.perf_counter()
    await known.among(source, [])
    took = time.perf_counter() - began
    await known.close()
    return took, sum(part.stat().st_size for part in folder.iterdir())


async def _route(here: Site, number: int) -> float:
    make, counts = await lane_maker(here), Counts()
    lanes = [make(lane) for lane in range(here.lanes)]
    for lane in lanes:
        await lane.open()

    async def until_done(router: Router) -> None:
        while counts.records < number:
            await router.step()

    began = time.perf_counter()
    await asyncio.gather(*(until_done(Router(lane, counts)) for lane in lanes))
    rate = number / (time.perf_counter() - began)
    for lane in lanes:
        await lane.close()
    return rate
