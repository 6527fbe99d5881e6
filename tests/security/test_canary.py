"""What is not released is nowhere: not in a delivery, a receipt, a quarantine, a header, a key, a log line or a span.

Two sources of canaries: the real sample records as their adapters publish them, and people with 128 random bits in every
text. Delivered values must equal the source's, field by field; every other text must not be found in anything that leaves
the source topics.
"""

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from broker import telemetry
from broker.cli.publishing import runner_over
from broker.model import topics
from broker.model.record import WIRE_HEADER_BYTES
from broker.policy import yamltext
from broker.schema.reference import decode, pruned
from broker.schema.types import Array, Enumeration, Nullable, Record, Type
from tests.faults.crowd import PRODUCT, SOURCE, Crowd
from tests.faults.oracle import Oracle, is_barrier
from tests.stage import ROOT, Stage

pytestmark = pytest.mark.timeout(200)

_SHORTEST = 6
_BASIS = {"gdpr": "6.1.e", "dated": "2026-01-01", "text": "Alleen voor deze proef."}
_TERM = {"start": "2026-01-01T00:00:00Z", "end": None}

PERSONS = {
    "product": "persoon.v1",
    "agency": "stad-leuven",
    "purpose": "openbare-taak",
    "bases": [{"instrument": "rijksregister", "reference": "FICTIEF-PROEF-1", **_BASIS}],
    "paths": ["naam.achternaam", "naam.voornamen", "verblijfplaats.postcode", "verblijfplaats.gemeente.naam"],
}
ORGANISATIONS = {
    "product": "organisatie.v1",
    "agency": "stad-leuven",
    "purpose": "organisatiebeheer",
    "bases": [{"instrument": "protocol-vl", "reference": "FICTIEF-PROEF-2", **_BASIS}],
    "paths": ["identificator", "naam", "namen.naam", "namen.taal", "zetel.gemeente.nis", "activiteiten.code"],
}
ROADWORKS = {
    "product": "hinder.v1",
    "agency": "stad-leuven",
    "purpose": "mobiliteit",
    "bases": [{"instrument": "protocol-vl", "reference": "FICTIEF-PROEF-3", **_BASIS}],
    "paths": [
        "identificator",
        "gipodId",
        "perioden.begin",
        "perioden.einde",
        "zones.type",
        "zones.geometrie",
        "status.iri",
    ],
}


def document(subject: Mapping[str, Any], source: str, name: str) -> dict[str, Any]:
    """An agreement's document over everyone."""
    rest = {key: value for key, value in subject.items() if key != "paths"}
    fields = [{"path": path, "why": "Alleen voor deze proef."} for path in subject["paths"]]
    like = yamltext.load((ROOT / "policies" / "agreements" / "parkeerboetes-gent.yaml").read_text())
    common = {"title": "Proef", "fields": fields, "term": _TERM, "conditions": like["conditions"]}
    return {"id": name, "version": 1, "source": source} | common | rest


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a decoded record, with its leaf path."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from texts(below, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, path)
    elif isinstance(value, str):
        yield path, value


def spellings(text: str) -> Iterator[str]:
    """The text, and a national number as people write it."""
    yield text
    if re.fullmatch(r"\d{11}", text):
        yield f"{text[:2]}.{text[2:4]}.{text[4:6]}-{text[6:9]}.{text[9:]}"


async def by_place(stage: Stage, *agreements: str) -> dict[str, bytes]:
    """Every topic of ours but the sources and what is raw, with keys, values and headers, and every file but the keys; by name.

    Of the deliveries those of `agreements`: what other tests put into force may release more. Kafka's own files hold the
    topics again, sources included, and are left out.
    """
    found: dict[str, bytes] = {}
    own = {stage.delivery_topic(agreement) for agreement in agreements}
    names = await stage.stack.site.admin.topics()
    whole = ("source.", "raw.", "delivery.", "__")
    for name in sorted(name for name in names if not name.startswith(whole) or name in own):
        parts: list[bytes] = []
        for message in await stage.read(name):
            parts += [message.key or b"", message.value or b"", *(part for _, part in message.headers)]
        found[name] = b"\n".join(parts)
    telemetry.spans.flush()
    root = stage.stack.home.root
    for path in files(root, without=("kafka", "keys", "credentials", "lanes")):
        found[str(path.relative_to(root))] = path.name.encode() + b"\n" + path.read_bytes()
    return found


def files(root: Path, without: Iterable[str]) -> list[Path]:
    """Files below `root`, but for some folders."""
    return [
        path for path in sorted(root.rglob("*")) if path.is_file() and path.relative_to(root).parts[0] not in without
    ]


class Planted:
    """Texts of source records: those that an agreement releases, and those that must stay inside."""

    def __init__(self) -> None:
        self.released: set[str] = set()
        self.kept_in: set[str] = set()

    def add(self, record: Mapping[str, Any], paths: Iterable[str]) -> None:
        """Take the texts of one decoded record."""
        released = set(paths)
        for path, text in texts(record):
            (self.released if path in released else self.kept_in).add(text)

    def canaries(self) -> list[bytes]:
        """Texts that may be found nowhere. One that is part of a released text proves nothing."""
        allowed = "\n".join(self.released)
        long = (text for text in self.kept_in if len(text) >= _SHORTEST and text not in allowed)
        return [spelling.encode() for text in long for spelling in spellings(text)]


async def compared(stage: Stage, agreement: str, source: str, product: str, planted: Planted, oracle: Oracle) -> int:
    """Hold every delivery of `agreement` equal to its source record, field by field; returns how many."""
    topic, schema = topics.source(source, product), stage.schema(source, product)
    fields = stage.standing(agreement).agreement.fields
    paths = [released.path for released in fields]
    records = await stage.read(topic, oracle.since[topic])
    values = [decode(schema.text, record.value[WIRE_HEADER_BYTES:]) for record in records if record.value]
    for value in values:
        planted.add(value, paths)
    entry = stage.stack.site.control.state.agreements[agreement]
    egress = stage.stack.site.control.state.schemas[entry.egress_schema_id or 0].text
    delivery = stage.delivery_topic(agreement)
    told = await stage.read(delivery, oracle.since[delivery])
    delivered = [message for message in told if not is_barrier(message)]
    got = [decode(egress, message.value[WIRE_HEADER_BYTES:]) for message in delivered if message.value]
    assert sorted(map(repr, got)) == sorted(repr(pruned(value, paths)) for value in values)
    assert {path for value in got for path, _ in texts(value)} <= set(paths)
    return len(got)


async def watching(stage: Stage, source: str, product: str, *agreements: str) -> Oracle:
    """An oracle from the moment at which these agreements have been told of whom other tests left."""
    async with stage.router():
        await stage.told(topics.source(source, product))
    return await Oracle.watching(stage, source, product, *agreements)


async def test_real_records_arrive_as_they_are_and_nothing_else_of_them_anywhere(
    stage: Stage, shared_data: Path
) -> None:
    samples = {
        "magda": ("magda", [("rijksregister", PERSONS), ("kbo", ORGANISATIONS)]),
        "ldes": ("gipod_ldes", [("gipod", ROADWORKS)]),
        "bestuurseenheden": ("lblod_bestuurseenheden", [("abb", ORGANISATIONS)]),
    }
    planted, figures = Planted(), []
    watched: list[tuple[str, str, str, Oracle]] = []
    for adapter, (_, agreed) in samples.items():
        for source, subject in agreed:
            agreement = await stage.in_force(document(subject, source, f"proef-{adapter}-{source}"))
            oracle = await watching(stage, source, subject["product"], agreement)
            watched.append((agreement, source, subject["product"], oracle))
    agreements = [agreement for agreement, *_ in watched]
    before = await by_place(stage, *agreements)
    for adapter, (folder, _) in samples.items():
        runner = await runner_over(stage.stack.site, registry.load(adapter, str(shared_data / folder)))
        await runner.run(once=True)
    async with stage.router():
        for agreement, source, product, oracle in watched:
            await stage.drained(topics.source(source, product))
            number = await compared(stage, agreement, source, product, planted, oracle)
            assert number, f"nothing of {source} was delivered"
            figures.append(f"{number} {product} of {source}")
    await hunt(stage, agreements, planted, before, ", ".join(figures))


def filled(type_: Type, rng: random.Random) -> Any:
    """A value of an Avro type with 128 random bits in every text, nothing null and one item in every array."""
    match type_:
        case Nullable(inner=inner):
            return filled(inner, rng)
        case Array(items=items):
            return [filled(items, rng)]
        case Record(fields=members):
            return {member.name: filled(member.type, rng) for member in members}
        case Enumeration(symbols=symbols):
            return symbols[0]
        case _:
            name = getattr(type_, "name", "")
            return {"string": f"{rng.getrandbits(128):032x}", "boolean": True}.get(name, 1)


async def test_a_random_text_in_every_field_is_found_where_it_is_released_and_nowhere_else(
    stage: Stage, crowd: Crowd
) -> None:
    rng, schema = random.Random(31), stage.schema(SOURCE, PRODUCT)
    people = []
    for number, model in enumerate(crowd.people(60)):
        person = filled(schema.root, rng) | {"insz": model["insz"], "recordedAt": "2026-01-01T00:00:00Z"}
        person["geboorte"] |= {"datum": f"19{number % 70 + 30}-01-01"}
        people.append(person)
    agreement = await stage.in_force(document(PERSONS, SOURCE, "proef-toeval"))
    pseudonymous = await stage.agreement("statistiek-vlaanderen")
    oracle = await watching(stage, SOURCE, PRODUCT, agreement, pseudonymous)
    planted, before = Planted(), await by_place(stage, agreement, pseudonymous)
    async with stage.router():
        await stage.publish(SOURCE, PRODUCT, people)
        await oracle.check()
        number = await compared(stage, agreement, SOURCE, PRODUCT, planted, oracle)
    for person in people:  # the second agreement releases a municipality beside derived values
        planted.released.add(person["verblijfplaats"]["gemeente"]["nis"])
    assert number == len(people)
    await hunt(stage, [agreement, pseudonymous], planted, before, f"{number} people of random text")


async def hunt(
    stage: Stage, agreements: Iterable[str], planted: Planted, before: Mapping[str, bytes], figures: str
) -> None:
    """Look for every canary in all that left the source topics since, and for released texts to see that looking finds."""
    after = await by_place(stage, *agreements)
    fresh = b"\n".join(now.removeprefix(before.get(place, b"")) for place, now in after.items())
    canaries = planted.canaries()
    assert len(canaries) > 1_000, "too few canaries to prove anything"
    found = [canary for canary in canaries if canary in fresh]
    stood = b"\n".join(before.values())
    hits = [canary for canary in found if canary not in stood]  # what stood there before proves nothing
    assert not hits, f"{len(hits)} of {len(canaries)} canaries got out"
    assert all(text.encode() in fresh for text in planted.released if len(text) >= _SHORTEST)
    print(f"{figures}; 0 of {len(canaries)} canaries in {len(fresh):,} bytes")  # noqa: T201 - a figure, shown with -s
