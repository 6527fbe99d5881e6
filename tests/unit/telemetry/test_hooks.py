"""Where the broker makes spans: a routed batch and a pull, each in the traces of its own records only."""

import httpx
import pytest

from broker.model.record import traceparent
from broker.routing.fetching import Batch
from broker.routing.observed import observe
from broker.telemetry import span_store, spans
from tests.unit.api.conftest import World, bearer, world  # noqa: F401 - the fixture
from tests.unit.telemetry.conftest import Process


class Record:
    def __init__(self, number: int) -> None:
        self.headers = [("ce_kind", b"changed"), ("traceparent", traceparent(number.to_bytes(16), number.to_bytes(8)))]


def trace(number: int) -> str:
    return f"{number:032x}"


def steps(number: int) -> list[tuple[str, float, float]]:
    spans.flush()
    return [(step.name, step.start_ms, step.duration_ms) for step in span_store().find(trace(number))]


@pytest.mark.usefixtures("process")
def test_a_routed_batch_shows_in_the_traces_of_the_first_records_of_each_topic() -> None:
    batch = Batch({"source.a.persoon.v1": [Record(1), Record(3), Record(4)], "source.b.adres.v1": [Record(2)]})
    observe(batch, lane=5, decided_ms=1000, committed_ms=1012)
    assert steps(1) == steps(2) == steps(3) == [("router.route", 1000.0, 12.0)]
    assert steps(4) == []


def test_a_batch_is_linked_to_them(process: Process) -> None:
    collector = process.export()
    observe(Batch({"source.a.persoon.v1": [Record(1)]}), lane=5, decided_ms=1000, committed_ms=1012)
    observe(Batch({}), lane=5, decided_ms=1000, committed_ms=1012)
    spans.flush()
    batch, route = collector.get_finished_spans()
    assert (batch.name, route.name) == ("router.batch", "router.route")
    assert [link.context.trace_id for link in batch.links] == [1]
    assert batch.attributes == {"lane": 5, "records": 1}


async def test_a_pull_shows_in_the_traces_of_the_deliveries(process: Process, world: World) -> None:  # noqa: F811
    world.deliver("Een", "Twee", "Drie", "Vier", "Vijf")
    world.barrier()
    answer = await world.http.get("/v1/deliveries/parkeren", headers=bearer("agency"))
    assert answer.status_code == 200
    # The first record of this fake has trace id 0, which is none; the sample is three records.
    assert [[name for name, *_ in steps(number)] for number in range(1, 5)] == [
        ["deliver.pull"],
        ["deliver.pull"],
        [],
        [],
    ]
    assert all(name not in process.written() for name in ("Een", "Twee", "Drie"))


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("who", ["foreign", "operator"])
async def test_a_refused_pull_shows_nowhere(world: World, who: str) -> None:  # noqa: F811
    world.deliver("Een", "Twee")
    answer: httpx.Response = await world.http.get("/v1/deliveries/parkeren", headers=bearer(who))
    assert answer.status_code == 404
    assert steps(1) == []
