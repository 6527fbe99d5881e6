"""A peer does the router's job on the router's source topic, in a process and on topics of its own, and is checked.

What it wrote is read back: as many deliveries and receipts as the router made, no delivery twice, each kind readable by
the router's schemas, with the router's headers. A peer that did less has no rate.
"""

import asyncio
import json
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
from aiokafka.structs import TopicPartition

from bench.copy import Run
from bench.peer_programs import Program
from bench.population import nis_of
from broker.cli.site import Site
from broker.errors import Fatal
from broker.kafka import leash
from broker.model import topics
from broker.model.record import WIRE_HEADER_BYTES, header, schema_id_of
from broker.model.registered import Product
from broker.model.topology import TopicSpec

_PATIENCE_S, _TOLD_EVERY_S, _QUIET_MS = 1800.0, 15.0, 10_000
_INDEX = {"segment.index.bytes": "131072"}
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What every peer does: `records` of `source`, each under the one agreement that selects its municipality."""

    source: str
    agreements: int
    records: int
    person: str
    egress: str
    egress_id: int
    receipt: str
    receipt_id: int
    header_names: frozenset[str]
    """Of a delivery of the router."""

    @classmethod
    def of(cls, here: Site, product: Product, agreements: int, records: int, header_names: frozenset[str]) -> "Job":
        """The job of a measured installation, with the schemas by which its router works."""
        state = here.control.state
        egress_id = state.agreements["meting-0"].egress_schema_id
        receipt = next(schema for schema in state.schemas.values() if schema.subject == topics.RECEIPTS)
        if egress_id is None:
            raise Fatal("the measured agreements have no egress schema")
        return cls(
            topics.source(product.source, product.id),
            agreements,
            records,
            person=state.schemas[product.schema_id].text,
            egress=state.schemas[egress_id].text,
            egress_id=egress_id,
            receipt=receipt.text,
            receipt_id=receipt.id,
            header_names=header_names,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Topics of one run of one peer."""

    application: str

    @property
    def receipts(self) -> str:
        """Topic of its receipts."""
        return f"{self.application}-receipts"

    @property
    def pattern(self) -> str:
        """Delivery topics, where `{}` is the agreement's number."""
        return self.application + "-{}"

    def deliveries(self, agreements: int) -> Sequence[str]:
        """All of its delivery topics."""
        return [self.pattern.format(number) for number in range(agreements)]


@dataclass(frozen=True, slots=True)
class PeerRun:
    """Result of one peer with one commit interval; CPU time is that of its process between the same two moments."""

    name: str
    commit_ms: int
    run: Run
    second_half_per_s: float
    """Records per second of the later half: what it does once it is warm."""

    def as_json(self) -> Mapping[str, Any]:
        """As the rates of the router, with what is known of peers only."""
        return {
            "records_per_s": round(self.run.per_second),
            "records_per_cpu_s": round(self.run.per_cpu_second),
            "wall_s": round(self.run.wall_s, 2),
            "cpu_s": round(self.run.cpu_s, 2),
            "commit_ms": self.commit_ms,
            "records": self.run.records,
            "second_half_per_s": round(self.second_half_per_s),
        }


async def measure(here: Site, program: Program, job: Job, progress: Progress) -> Sequence[PeerRun]:
    """One run for each commit interval of the peer; raises `Fatal` where it ends early or did not do the job."""
    job = replace(job, records=min(job.records, program.most_records or job.records))
    runs = []
    for commit_ms in program.commits_ms:
        progress(f"{program.name}: {job.records} records, commit every {commit_ms} ms")
        place = Place(f"bench-{program.name}-{commit_ms}")
        names = place.deliveries(job.agreements)
        receipts = TopicSpec(place.receipts, here.lanes, _INDEX)
        await here.admin.ensure_topics([*(TopicSpec(name, config=_INDEX) for name in names), receipts])
        with tempfile.TemporaryDirectory(prefix="datanuts-peer-") as folder:
            command = [*program.command, *arguments(job, place, commit_ms, Path(folder))]
            write_files(job, program.login(here.access), Path(folder))
            answer = await _run(program.name, command, Path(folder), progress)
        found = read(program.name, commit_ms, answer)
        progress(f"{program.name}: {round(found.run.per_second)} records/s; reading what it wrote")
        await _check(here, job, place, program.name)
        # The next contender finds the node as this one did.
        await here.admin.delete_topics([*names, place.receipts])
        runs.append(found)
    return runs


def arguments(job: Job, place: Place, commit_ms: int, folder: Path) -> Sequence[str]:
    """A peer's command line; all of them read the same one. Credentials stand in a file that it names."""
    given: Mapping[str, object] = {
        "client": folder / "client",
        "state": folder / "state",
        "application": place.application,
        "source": job.source,
        "deliveries": place.pattern,
        "receipts": place.receipts,
        "person": folder / "person.avsc",
        "egress": folder / "egress.avsc",
        "egress-id": job.egress_id,
        "receipt": folder / "receipt.avsc",
        "receipt-id": job.receipt_id,
        "agreements": job.agreements,
        "first-nis": nis_of(0),
        "records": job.records,
        "commit-ms": commit_ms,
    }
    return [text for name, value in given.items() for text in (f"--{name}", str(value))]


def write_files(job: Job, login: str, folder: Path) -> None:
    """What `arguments` names; the one with credentials is readable by its owner only."""
    (folder / "client").touch(mode=0o600)
    (folder / "client").write_text(login)
    for name in ("person", "egress", "receipt"):
        (folder / f"{name}.avsc").write_text(getattr(job, name))


def read(name: str, commit_ms: int, answer: str) -> PeerRun:
    """A peer's line of JSON; raises `Fatal` where it is another."""
    try:
        found = json.loads(answer)
        run = Run(int(found["records"]), float(found["wall_s"]), float(found["cpu_s"]))
        return PeerRun(name, commit_ms, run, float(found["second_half_per_s"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Fatal(f"the peer {name} did not print its result", operator=answer[-500:]) from error


async def _run(name: str, command: Sequence[str], folder: Path, progress: Progress) -> str:
    """Standard output of a child that never outlives us."""
    leashed = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command]
    errors = folder / "errors"
    with errors.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(*leashed, stdin=DEVNULL, stdout=PIPE, stderr=stderr)
        try:
            async with asyncio.timeout(_PATIENCE_S), _telling(name, progress):
                output, _ = await process.communicate()
        except TimeoutError as error:
            raise Fatal(f"the peer {name} did not end in time", operator=_end_of(errors)) from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode:
        raise Fatal(f"the peer {name} ended with {process.returncode}", operator=_end_of(errors))
    return output.decode(errors="replace").strip()


@asynccontextmanager
async def _telling(name: str, progress: Progress) -> AsyncIterator[None]:
    async def tell() -> None:
        seconds = 0.0
        while True:
            await asyncio.sleep(_TOLD_EVERY_S)
            seconds += _TOLD_EVERY_S
            progress(f"{name}: {round(seconds)} s")

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


def _end_of(errors: Path) -> str:
    return errors.read_text(errors="replace")[-2000:]


async def _check(here: Site, job: Job, place: Place, name: str) -> None:
    """Raise `Fatal` unless exactly the router's deliveries and receipts were committed."""
    targets = [TopicPartition(topic, 0) for topic in place.deliveries(job.agreements)]
    deliveries = await _read(here, targets, job.records)
    receipts = await _read(
        here, [TopicPartition(place.receipts, partition) for partition in range(here.lanes)], job.records
    )
    found = {
        "deliveries": len(deliveries) == job.records,
        "distinct deliveries": len({header(row.headers, "ce_id") for row in deliveries}) == job.records,
        "receipts": len({(row.key, row.value) for row in receipts}) == len(receipts) == job.records,
        "headers": all({key for key, _ in row.headers} == job.header_names for row in deliveries),
        "delivery": _reads(deliveries, job.egress, job.egress_id),
        "receipt": _reads(receipts, job.receipt, job.receipt_id),
    }
    if wrong := [what for what, right in found.items() if not right]:
        counts = f"{len(deliveries)} deliveries, {len(receipts)} receipts of {job.records} records"
        raise Fatal(f"the peer {name} did not do the job: {', '.join(wrong)} ({counts})")


async def _read(here: Site, targets: Sequence[TopicPartition], expected: int) -> Sequence[Any]:
    """Committed records: until there are as many as expected, and then as long as more come."""
    rows: list[Any] = []
    async with here.clients.consumer() as consumer:
        consumer.assign(targets)
        await consumer.seek_to_beginning(*targets)
        while True:
            patience = _QUIET_MS if len(rows) < expected else 500
            polled = await consumer.getmany(timeout_ms=patience)
            if not polled:
                return rows
            for records in polled.values():
                rows += records


def _reads(rows: Sequence[Any], schema: str, schema_id: int) -> bool:
    """Whether all have the schema's frame and the first is one of it, down to its last byte."""
    if not rows or any(schema_id_of(row.value or b"") != schema_id for row in rows):
        return False
    body = BytesIO(rows[0].value[WIRE_HEADER_BYTES:])
    fastavro.schemaless_reader(body, fastavro.parse_schema(json.loads(schema)), None)
    return not body.read()
