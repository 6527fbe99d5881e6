"""The engine on values selected from whole encoded records by the schema room, against the reference on their text."""

import io
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import fastavro
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.model.agreement import (
    Agreement,
    AllOf,
    Constraint,
    Equals,
    Population,
    Prefix,
    Range,
    ReleasedField,
    State,
    Term,
    Transform,
)
from broker.model.decision import RECORD_KINDS, Kind, Reason
from broker.policy import reference
from broker.policy.calendar import milliseconds
from broker.policy.compiler import compile_engine
from broker.policy.engine import Previous
from broker.policy.standing import Standing
from broker.schema.avro import encode_literal, load_schema
from broker.schema.guard import compile_select, compile_walk

START = datetime(2026, 1, 1, tzinfo=UTC)


def leaf(name: str, kind: Any, field_class: str = "identifying", **more: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "iri": f"https://example.org/{name}", "class": field_class, "doc": name, **more}


OPTIONAL = ["null", "string"]
KINDS = {"type": "enum", "name": "Kind", "symbols": [kind.value for kind in RECORD_KINDS]}
MUNICIPALITY = {"type": "record", "name": "Gemeente", "fields": [leaf("nis", "string", "contact")]}
HOME = {
    "type": "record",
    "name": "Verblijfplaats",
    "fields": [leaf("postcode", OPTIONAL, "contact"), leaf("gemeente", MUNICIPALITY, "contact")],
}
SCHEMA = {
    "type": "record",
    "name": "Persoon",
    "namespace": "be.vlaanderen.datanuts.persoon.v1",
    "product": "persoon.v1",
    "iri": "https://example.org/Persoon",
    "doc": "Persoon",
    "fields": [
        leaf("kind", KINDS, "public"),
        leaf("validFrom", OPTIONAL, "public"),
        leaf("validTo", OPTIONAL, "public"),
        leaf("recordedAt", "string", "public"),
        leaf("corrects", OPTIONAL, "public"),
        leaf("insz", "string", "national-number", subject="principal"),
        leaf("geslacht", ["null", {"type": "enum", "name": "Geslacht", "symbols": ["man", "vrouw"]}]),
        leaf("kinderen", ["null", "int"], "family"),
        leaf("geboortedatum", OPTIONAL),
        leaf("verblijfplaats", ["null", HOME], "contact"),
    ],
}
LITERALS = {
    "geslacht": ("man", "vrouw"),
    "kinderen": ("0", "2", "64"),
    "geboortedatum": ("2008-01-02", "2008-00-00", "1960-05-05"),
    "verblijfplaats.postcode": ("9000", "é" * 70, "3000"),
    "verblijfplaats.gemeente.nis": ("44021", "24062"),
}
TEXTS = ("geboortedatum", "verblijfplaats.postcode", "verblijfplaats.gemeente.nis")


def equals() -> st.SearchStrategy[Constraint]:
    return st.sampled_from(tuple(LITERALS)).flatmap(
        lambda path: st.lists(st.sampled_from(LITERALS[path]), min_size=1, max_size=2).map(
            lambda values: Equals(path, tuple(values))
        )
    )


def ordered() -> st.SearchStrategy[Constraint]:
    return st.sampled_from(TEXTS).flatmap(
        lambda path: st.one_of(
            st.builds(Range, st.just(path), st.sampled_from(LITERALS[path]), st.none()),
            st.builds(Range, st.just(path), st.none(), st.sampled_from(LITERALS[path])),
            st.builds(Prefix, st.just(path), st.sampled_from([text[:2] for text in LITERALS[path]])),
        )
    )


WHERE = st.lists(equals() | ordered(), max_size=3).map(lambda parts: AllOf(tuple(parts)))


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    def pick(path: str) -> str | None:
        return draw(st.sampled_from((None, *LITERALS[path])))

    home = {"postcode": pick("verblijfplaats.postcode"), "gemeente": {"nis": draw(st.sampled_from(("44021", "11")))}}
    children = pick("kinderen")
    return {
        "kind": "changed",
        "recordedAt": "2026-01-01T00:00:00Z",
        "insz": "00610100000",
        "geslacht": pick("geslacht"),
        "kinderen": None if children is None else int(children),
        "geboortedatum": pick("geboortedatum"),
        "verblijfplaats": draw(st.sampled_from((home, None))),
    }


def text_at(record: dict[str, Any], path: str) -> str | None:
    value: Any = record
    for name in path.split("."):
        value = None if value is None else value[name]
    return None if value is None else str(value)


def derived(path: str, transform: Transform, *arguments: str) -> ReleasedField:
    return ReleasedField(path, transform, "", "afgeleid", arguments)


OWN = derived("insz", Transform.OWN_REFERENCE)
RELEASED = (
    (ReleasedField("geboortedatum", Transform.KEEP, ""),),
    (derived("geboortedatum", Transform.ADULT),),
    (derived("geboortedatum", Transform.AGE, "18"), OWN),
    (derived("geboortedatum", Transform.BAND, "18", "65"),),
    (derived("kinderen", Transform.BAND, "1", "3"),),
    (derived("verblijfplaats.gemeente.nis", Transform.LIVES_IN, "44021"), OWN),
    (derived("verblijfplaats.postcode", Transform.LIVES_IN, "90000"), derived("geboortedatum", Transform.AGE, "65")),
    (derived("geboortedatum", Transform.DECADE),),
)


def standing(number: int, where: Constraint, fields: tuple[ReleasedField, ...]) -> Standing:
    agreement = Agreement(
        f"a-{number}", 1, "", "rr", "persoon.v1", "stad", "doel", (), fields, Population(where), Term(START, None)
    )
    return Standing(agreement, State.ACTIVE, START)


LOADED = load_schema(json.dumps(SCHEMA))
PARSED = fastavro.parse_schema(json.loads(json.dumps(SCHEMA)))
WALKER = compile_walk(LOADED)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(WHERE, st.sampled_from(RELEASED)), min_size=1, max_size=4),
    st.none() | records(),
    st.none() | records(),
)
def test_decisions_on_bytes_are_those_on_text(
    populations: list[tuple[Constraint, tuple[ReleasedField, ...]]],
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    standings = [standing(number, where, fields) for number, (where, fields) in enumerate(populations)]
    engine = compile_engine(standings, LOADED, partial(encode_literal, LOADED))
    select = compile_select(WALKER, engine.paths)

    def selected(record: dict[str, Any]) -> tuple[bytes, ...]:
        body = io.BytesIO(b"\x00\x00\x00\x00\x01")
        body.seek(5)
        fastavro.schemaless_writer(body, PARSED, record)
        return select(body.getvalue(), WALKER.walk(body.getvalue()))

    then = START + timedelta(days=1)
    now = then + timedelta(days=2)
    texts = [
        None if record is None else {path: text_at(record, path) for path in LITERALS} for record in (before, after)
    ]
    known = None if texts[0] is None else reference.Known(texts[0], then)
    answers = [reference.decide(one, known, texts[1], kind=Kind.CHANGED, now=now, dossiers=()) for one in standings]
    got = engine.decide(
        None if before is None else Previous(selected(before), milliseconds(then)),
        None if after is None else selected(after),
        Kind.CHANGED,
        milliseconds(now),
    )
    expected = [(index, answer) for index, answer in enumerate(answers) if not isinstance(answer, Reason)]
    assert list(got) == expected
