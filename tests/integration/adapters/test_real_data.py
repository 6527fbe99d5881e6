"""The real samples, published to Kafka: what is read is accounted for, and a second run publishes nothing."""

from collections import Counter
from typing import Any

import pytest

from adapters import bestuurseenheden, ipdc, ldes, magda, mandatarissen
from adapters.sdk import Broken, Change
from adapters.summary import Summary
from broker.model import topics

pytestmark = pytest.mark.timeout(120)


async def twice(bench: Any, adapter: Any) -> tuple[Summary, Any]:
    """Summary of the first run, once the second one is seen to publish nothing."""
    renamed = await bench.renamed(adapter)
    first = await bench.runner(renamed).run(once=True)
    assert first.read == first.published + first.duplicate + first.ignored.total() + first.quarantined.total()
    assert len(await bench.published(renamed)) == first.published
    second = await bench.runner(renamed).run(once=True)
    assert (second.published, second.duplicate) == (0, first.published + first.duplicate)
    assert (second.read, second.ignored, second.quarantined) == (first.read, first.ignored, first.quarantined)
    assert len(await bench.published(renamed)) == first.published
    return first, renamed


async def test_answers_of_magda(bench, shared_data) -> None:
    source = magda.build(str(shared_data / "magda"))
    items = [item async for item, _ in source.changes(None)]
    about_persons = [item for item in items if isinstance(item, Change | Broken) and item.product == "persoon.v1"]
    first, renamed = await twice(bench, source)
    persons = await bench.read(topics.source(renamed.sources["persoon.v1"], "persoon.v1"))
    assert len(persons) >= 0.95 * len(about_persons) > 100
    assert first.published > 300, "a person's diplomas, files and measures are one record"
    assert first.ignored["SERVICE_NOT_MAPPED"] == 2, "two answers call their service todo"
    assert first.quarantined == {
        "FIELD_MISSING": 1,  # a file without its source
        "INSZ_INVALID": 1,  # check digits that fit neither century
    }


async def test_members_of_gipod(bench, shared_data) -> None:
    first, renamed = await twice(bench, ldes.build(str(shared_data / "gipod_ldes")))
    assert first.published >= 125
    assert first.ignored == {
        "EMPTY_DOCUMENT": 1,
        "NOT_A_MEMBER": 2,  # an event stream's definition and a template
    }
    assert first.quarantined == {
        "CONTEXT_UNKNOWN": 7,  # JSON-LD whose context no review let in
        "MEMBER_INCOMPLETE": 4,  # made-up members without the instant of their version
    }
    notes = await bench.read(topics.quarantine(renamed.sources["hinder.v1"], "hinder.v1"))
    assert len(notes) == 9, "one member is there three times, and quarantined once"


async def test_every_hindrance_of_one_real_fragment(bench, shared_data) -> None:
    file = shared_data / "gipod_ldes" / "mobility-hindrances.members.ttl"
    first, renamed = await twice(bench, ldes.build(str(file)))
    assert (first.read, first.published) == (125, 125)
    assert len({record.key for record in await bench.published(renamed)}) == 125


async def test_services_of_the_catalogue(bench, shared_data) -> None:
    first, renamed = await twice(bench, ipdc.build(str(shared_data / "ipdc_lpdc")))
    assert (first.published, first.quarantined["CONTEXT_UNKNOWN"]) == (5, 5)
    assert len({record.key for record in await bench.published(renamed)}) == 3, "two of them are there in two formats"


async def test_every_holder_of_a_mandate(bench, shared_data) -> None:
    first, _ = await twice(bench, mandatarissen.build(str(shared_data / "lblod_mandatarissen")))
    assert (first.read, first.published) == (56, 56)


async def test_every_administrative_unit(bench, shared_data) -> None:
    first, renamed = await twice(bench, bestuurseenheden.build(str(shared_data / "lblod_bestuurseenheden")))
    assert (first.read, first.published) == (644, 644)
    lanes = Counter(record.partition for record in await bench.published(renamed))
    assert len(lanes) == 4
