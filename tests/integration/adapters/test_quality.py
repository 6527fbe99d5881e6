"""Quality figures over a real Kafka: what adapters published and set aside, told the same by every process and after a restart."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.sdk import Broken, Change, Item
from broker.delivery.quality import QualityFigures
from broker.kafka.clients import KafkaClients
from broker.model.control_state import ControlState
from broker.model.quality import Quality
from broker.model.registered import Product, RegisteredSchema
from broker.testing import wait_until
from tests.conftest import ROOT
from tests.integration.adapters.conftest import LANES, Bench, Renamed
from tests.unit.adapters.wiring import works

pytestmark = pytest.mark.timeout(100)

PRODUCT = "hinder.v1"
BROKEN = [Broken(f"blad-{number}.csv", "FIELD_MISSING", "recordedAt") for number in range(5)]


def control_of(adapter: Renamed) -> Any:
    """A control log that knows the adapter's product."""
    state, owner = ControlState(), adapter.sources[PRODUCT]
    state.products[owner, PRODUCT] = Product(PRODUCT, owner, 1)
    state.schemas[1] = RegisteredSchema(1, PRODUCT, (ROOT / "schemas" / f"{PRODUCT}.avsc").read_text())
    return SimpleNamespace(state=state)


class Process:
    """One that tells figures, anew whenever it is asked."""

    def __init__(self, clients: KafkaClients, adapter: Renamed, **more: Any) -> None:
        self.troubles: list[Exception] = []
        given = {"report": self.troubles.append, "apart": timedelta(0)} | more
        self.figures = QualityFigures(clients.consumer, control_of(adapter), LANES, **given)
        self._name = adapter.sources[PRODUCT], PRODUCT

    async def tell(self, such: Callable[[Quality], bool]) -> Quality:
        """The first figures that are so."""
        found: list[Quality] = []

        async def told() -> bool:
            figures = (await self.figures.all(wait_s=10)).get(self._name)
            found[:] = [figures] if figures is not None and figures.whole and such(figures) else []
            return bool(found)

        await wait_until(told, timeout=60)
        return found[0]


async def test_figures_are_those_of_what_lies_on_kafka_in_every_process_and_after_a_restart(
    bench: Bench, given: Callable[[Sequence[Item]], Awaitable[Renamed]], kafka_clients: KafkaClients
) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    items = [works(number, omschrijving="werken" if number < 10 else None) for number in range(20)]
    adapter = await given([*items, *BROKEN])
    await bench.runner(adapter).run(once=True)
    first = Process(kafka_clients, adapter)
    told = await first.tell(lambda each: each.subjects == 20)
    assert (told.completeness["omschrijving"], told.completeness["zones"]) == (50, 0)
    assert (told.set_aside_day, told.set_aside) == (20, 20)
    assert told.last_pass is not None
    assert told.last_record is not None
    assert told.last_pass >= began
    assert told.last_record >= began.replace(second=0)
    assert told.median_s is not None, "recordedAt of these is long ago"
    assert told.median_s > 1000

    await bench.runner(adapter).run(once=True)  # a runner that starts again counts on
    gone = [Change(each.source_id, PRODUCT, None, each.value["identificator"]) for each in items[:10] if each.value]
    adapter.adapter.items = [*items[10:], *gone]
    await bench.runner(adapter).run(once=True)
    again = await first.tell(lambda each: each.subjects == 10)
    assert again.completeness["omschrijving"] == 0
    assert again.set_aside == 14, "10 of 70, in fives"
    other = await Process(kafka_clients, adapter).tell(lambda each: each.subjects == 10)
    assert replace(other, at=again.at) == again
    await first.figures.close()


async def test_whoever_asks_meanwhile_gets_what_is_known_and_the_topics_are_read_once_a_minute(
    bench: Bench, given: Callable[[Sequence[Item]], Awaitable[Renamed]], kafka_clients: KafkaClients
) -> None:
    adapter = await given([works(number) for number in range(5)])
    await bench.runner(adapter).run(once=True)
    made: list[Any] = []

    def consumer() -> Any:
        made.append(kafka_clients.consumer())
        return made[-1]

    now = [datetime.now(UTC)]
    figures = QualityFigures(consumer, control_of(adapter), LANES, now=lambda: now[0])
    assert await figures.all(wait_s=0) == {}
    assert len(await figures.all(wait_s=60)) == 1
    assert len(await figures.all(wait_s=60)) == len(made) == 1
    now[0] += timedelta(minutes=1)
    assert len(await figures.all(wait_s=60)) == 1
    assert len(made) == 2
    await figures.close()


async def test_without_kafka_there_are_no_figures_and_somebody_hears_why() -> None:
    heard: list[Exception] = []

    class Away:
        async def start(self) -> None:
            raise OSError

        async def stop(self) -> None:
            """Nothing."""

    figures = QualityFigures(Away, SimpleNamespace(state=ControlState()), LANES, report=heard.append)
    assert await figures.all() == {}
    assert [type(each).__name__ for each in heard] == ["KafkaUnavailable"]
