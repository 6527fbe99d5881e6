"""Two agencies that lay their streams side by side, or one supplier that serves both, find no value to join them on."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from adapters.synthetic import GENT, LEUVEN
from broker.control.keys import pseudonym_key
from broker.control.pseudonym_map import verify
from broker.model.agreement import Transform
from broker.model.keyed import pseudonym
from broker.model.record import WIRE_HEADER_BYTES
from broker.schema.reference import decode
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd, feed, living_in
from tests.stage import Stage

pytestmark = pytest.mark.timeout(300)

_JOINABLE = frozenset({Transform.PSEUDONYM, Transform.OWN_REFERENCE})
_CONSTANT = {
    "ce_specversion": re.compile(rb"1\.0"),
    "ce_type": re.compile(rb"be\.vlaanderen\.datanuts\.persoon\.v1"),
    "ce_kind": re.compile(rb"initial|changed|left-population"),
    "ce_reason": re.compile(rb"RECORD_CHANGED"),
    "ce_agreementversion": re.compile(rb"1"),
    "content-type": re.compile(rb"application/avro"),
    "ce_pseudonymepoch": re.compile(rb"[12]"),
    "ce_time": re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
}
"""Headers that may be equal in two streams, and the form they then have: nothing in it is about one subject."""


def values_of(message: ConsumerRecord, derived: Mapping[str, Any]) -> Iterable[tuple[str, bytes]]:
    """Everything on a delivery that could serve as a join, by where it stands."""
    yield "key", message.key
    for name, value in message.headers:
        if name not in _CONSTANT or not _CONSTANT[name].fullmatch(value):
            yield name, value
    if message.timestamp % 1000:
        yield "timestamp", str(message.timestamp).encode()
    for name, value in derived.items():
        if value is not None:
            yield f"field {name}", str(value).encode()


async def joins(stage: Stage, crowd: Crowd, subjects: int) -> str:
    """Publish so many people, read three agencies' streams about them, and join each two; returns the figures."""
    document = "statistiek-vlaanderen"
    science = {"purpose": "wetenschappelijk-onderzoek", "agency": "onderzoekscentrum-samenleving"}
    fields = [
        {"path": "insz", "transform": "pseudonym", "name": "pseudoniem", "why": "Volgt een persoon door de tijd."},
        {"path": "verblijfplaats.gemeente.nis", "why": "Gemeente."},
    ]
    agreements = [
        await stage.agreement(document),
        await stage.agreement(document, **science, fields=fields),
        await stage.agreement("inwoners-gent"),
    ]
    since = {agreement: await stage.ends(stage.delivery_topic(agreement)) for agreement in agreements}
    await stage.drained(TOPIC)
    async with stage.router():
        await feed(stage, crowd.changes(subjects, seed=21), until=lambda: False, piece=5_000, pause_s=0)
        await stage.drained(TOPIC, within=240)
    seen: dict[str, dict[bytes, str]] = {}
    counted: Counter[str] = Counter()
    for agreement in agreements:
        entry = stage.stack.site.control.state.agreements[agreement]
        egress = stage.stack.site.control.state.schemas[entry.egress_schema_id or 0].text
        names = [item.name for item in stage.standing(agreement).agreement.fields if item.transform in _JOINABLE]
        own = seen[agreement] = {}
        for message in await stage.read(stage.delivery_topic(agreement), since[agreement]):
            value = decode(egress, message.value[WIRE_HEADER_BYTES:]) if message.value else {}
            counted[agreement] += 1
            own |= {
                found: place for place, found in values_of(message, {name: value.get(name) for name in names if name})
            }
    for one, other in combinations(agreements, 2):
        common = seen[one].keys() & seen[other].keys()
        places = Counter(f"{seen[one][value]} = {seen[other][value]}" for value in common)
        assert not common, f"{one} and {other} can be joined on {dict(places)}"
    assert all(counted[agreement] >= subjects for agreement in agreements[:2])
    sizes = ", ".join(f"{len(own)} values" for own in seen.values())
    return f"{subjects} subjects, {counted.total()} deliveries, {sizes}: 0 in common"


async def test_two_streams_over_the_same_people_have_no_value_in_common(stage: Stage, crowd: Crowd) -> None:
    print(await joins(stage, crowd, 3_000))  # noqa: T201 - a figure of the run, shown with -s


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_nor_over_a_hundred_thousand_people(stage: Stage, crowd: Crowd) -> None:
    print(await joins(stage, crowd, 100_000))  # noqa: T201 - a figure of the run, shown with -s


async def pseudonyms(stage: Stage, agreement: str, since: Mapping[int, int]) -> dict[bytes, tuple[bytes, str]]:
    """By delivery key, which stays when pseudonyms do not: key epoch and pseudonym of the last delivery of each subject."""
    state, found = stage.stack.site.control.state, {}
    egress = state.schemas[state.agreements[agreement].egress_schema_id or 0].text
    for message in await stage.read(stage.delivery_topic(agreement), since):
        if message.value is not None:
            value = decode(egress, message.value[WIRE_HEADER_BYTES:])
            found[message.key] = dict(message.headers)["ce_pseudonymepoch"], value["pseudoniem"]
    return found


async def test_a_rotation_keeps_continuity_for_its_agency_and_for_nobody_else(stage: Stage, crowd: Crowd) -> None:
    """The delivery key tells that two pseudonyms are one subject's: the map says the same, about these and no others."""
    in_gent = {"population": {"where": {"path": "verblijfplaats.gemeente.nis", "equals": GENT.nis}}}
    science = {"purpose": "wetenschappelijk-onderzoek", "agency": "onderzoekscentrum-samenleving"}
    document, steps = "statistiek-vlaanderen", stage.stack.services.pseudonyms
    own = await stage.agreement(document, **in_gent)
    other = await stage.agreement(document, **science)
    inside = living_in(GENT, crowd.people(200))
    outside = living_in(LEUVEN, crowd.people(200))
    leaving, staying = inside[:20], inside[20:]
    async with stage.router():
        await stage.drained(TOPIC)
        await stage.told(TOPIC)
        since = [await stage.ends(stage.delivery_topic(name)) for name in (own, other)]
        await stage.publish(SOURCE, PRODUCT, [*inside, *outside])
        await stage.drained(TOPIC)
        before = [await pseudonyms(stage, name, since[place]) for place, name in enumerate((own, other))]
        began = steps.key_of(own).epoch
        rotated = await steps.rotate(own, "statistiek-vlaanderen")
        assert rotated.epoch == began + 1
        since = [await stage.ends(stage.delivery_topic(name)) for name in (own, other)]
        await stage.publish(SOURCE, PRODUCT, living_in(LEUVEN, leaving, kind="changed"))
        await stage.publish(SOURCE, PRODUCT, [{**person, "kind": "changed"} for person in [*staying, *outside]])
        await stage.drained(TOPIC)
    after = [await pseudonyms(stage, name, since[place]) for place, name in enumerate((own, other))]
    assert (len(before[0]), len(after[0])) == (len(inside), len(staying))
    assert {epoch for epoch, _ in before[0].values()} == {str(began).encode()}
    assert {epoch for epoch, _ in after[0].values()} == {str(rotated.epoch).encode()}
    assert after[1] == before[1], "another agency's pseudonyms stay"

    lines = b"".join(await steps.continuity(own, began, rotated.epoch)).splitlines(keepends=True)
    scope, pairs = verify(lines, steps.seal_key())
    assert (scope.agency, scope.purpose, pairs) == ("statistiek-vlaanderen", "statistiek", len(lines) - 1)
    told = {line["from"]: line["to"] for line in map(json.loads, lines[:-1])}
    followed = {before[0][key][1]: now for key, (_, now) in after[0].items()}
    assert followed.items() <= told.items()
    k_old = stage.stack.site.keys.get(pseudonym_key("statistiek-vlaanderen", "statistiek", began))
    gone = {pseudonym(k_old, person["insz"].encode()).decode() for person in [*leaving, *outside]}
    assert told.keys().isdisjoint(gone), "of whom is not in the population now, it says nothing"
    theirs = {each for _, each in (*before[1].values(), *after[1].values())}
    assert theirs.isdisjoint(told.keys() | set(told.values()))
