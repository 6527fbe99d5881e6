"""What an agency gets of a record under the fields of its agreement."""

import json
from collections.abc import Callable
from typing import Any

import fastavro
import pytest

from broker.errors import Invalid, NotYetKnown
from broker.model.agreement import ReleasedField, Transform
from broker.model.keyed import pseudonym
from broker.schema import dates
from broker.schema.avro import Schema, load_schema, varint
from broker.schema.guard import compile_walk
from broker.schema.lint import parse_structure
from broker.schema.projection import compile_projection
from broker.schema.reference import decode, encode

FRAME = b"\x00\x00\x00\x00\x07"
KEY = bytes(32)
TODAY = "2026-05-17"

Json = dict[str, Any]


def keep(*paths: str) -> list[ReleasedField]:
    return [ReleasedField(path, Transform.KEEP, "needed") for path in paths]


def derive(path: str, transform: Transform, name: str, *arguments: str) -> ReleasedField:
    return ReleasedField(path, transform, "needed", name, arguments)


NOTIFY = ReleasedField("insz", Transform.NOTIFY_ONLY, "needed")


def delivered(
    schema: Schema, fields: list[ReleasedField], record: Json, *, on: str = TODAY, reference: str | None = None
) -> Json:
    projection = compile_projection(schema, fields, pseudonym_key=KEY)
    value = FRAME + encode(schema.text, record)
    return decode(projection.egress, projection.cut(value, compile_walk(schema).walk(value), on, reference))


def test_kept_leaves_arrive_in_the_order_of_the_source(person_schema: Schema, someone: Json) -> None:
    fields = keep("volgnummer", "verblijfplaats.nis", "naam.voornamen", "insz")
    got = delivered(person_schema, fields, someone)
    assert got == {
        "insz": "08651712329",
        "naam": {"voornamen": ["Anaïs", "Jo"]},
        "verblijfplaats": {"nis": "44021"},
        "volgnummer": 7,
    }
    assert list(got) == ["insz", "naam", "verblijfplaats", "volgnummer"]


def test_items_of_an_array_lose_what_is_not_kept(person_schema: Schema, someone: Json) -> None:
    assert delivered(person_schema, keep("nationaliteiten.code"), someone) == {
        "nationaliteiten": [{"code": "150"}, {"code": "111"}]
    }
    empty = {**someone, "nationaliteiten": []}
    assert delivered(person_schema, keep("nationaliteiten.omschrijving"), empty) == {"nationaliteiten": []}


def test_a_null_record_stays_null(person_schema: Schema, someone: Json) -> None:
    got = delivered(person_schema, keep("partner.insz", "verblijfplaats.nis"), {**someone, "verblijfplaats": None})
    assert got == {"verblijfplaats": None, "partner": None}


def test_everything_kept_is_the_record_itself(person_schema: Schema, someone: Json) -> None:
    projection = compile_projection(person_schema, keep(*person_schema.fields), pseudonym_key=None)
    value = FRAME + encode(person_schema.text, someone)
    assert projection.cut(value, compile_walk(person_schema).walk(value), TODAY, None) == value[5:]


@pytest.mark.parametrize("array_is_nullable", [False, True])
def test_an_array_below_a_null_record_is_absent_too(
    as_product: Callable[..., Json], member: Any, *, array_is_nullable: bool
) -> None:
    item = {"type": "record", "name": "Item", "fields": [member("a", "string"), member("b", "string")]}
    items: Any = {"type": "array", "items": item}
    inside = [member("items", ["null", items] if array_is_nullable else items, None), member("c", "string")]
    holder = member("holder", ["null", {"type": "record", "name": "Holder", "fields": inside}], None)
    schema = load_schema(json.dumps(as_product([member("iri", "string", subject="principal"), holder])))
    record = {"kind": "ended", "recordedAt": "", "iri": "x", "holder": None}
    fields = keep("iri", "holder.items.b")
    assert delivered(schema, fields, record) == {"iri": "x", "holder": None}
    record["holder"] = {"items": [{"a": "secret", "b": "open"}], "c": "secret"}
    assert delivered(schema, fields, record) == {"iri": "x", "holder": {"items": [{"b": "open"}]}}


def test_derived_values_follow_in_the_order_of_the_agreement(person_schema: Schema, someone: Json) -> None:
    fields = [
        derive("geboorte.datum", Transform.ADULT, "meerderjarig"),
        *keep("verblijfplaats.nis"),
        derive("insz", Transform.PSEUDONYM, "nummer"),
        derive("geboorte.datum", Transform.YEAR, "geboortejaar"),
        derive("insz", Transform.OWN_REFERENCE, "dossier"),
    ]
    got = delivered(person_schema, fields, someone, reference="DOS-7")
    assert list(got.items()) == [
        ("verblijfplaats", {"nis": "44021"}),
        ("meerderjarig", True),
        ("nummer", pseudonym(KEY, b"08651712329").decode()),
        ("geboortejaar", 2008),
        ("dossier", "DOS-7"),
    ]
    assert delivered(person_schema, fields, someone, on="2026-05-16")["meerderjarig"] is False
    unborn = {**someone, "geboorte": None}
    got = delivered(person_schema, fields, unborn)
    assert (got["meerderjarig"], got["geboortejaar"], got["dossier"]) == (None, None, None)


def test_a_pseudonym_of_what_may_be_absent_may_be_null(person_schema: Schema, someone: Json) -> None:
    fields = [derive("partner.insz", Transform.PSEUDONYM, "partnernummer")]
    assert delivered(person_schema, fields, someone) == {"partnernummer": None}
    partner = {**someone, "partner": {"insz": "99610112345"}}
    assert delivered(person_schema, fields, partner)["partnernummer"] == pseudonym(KEY, b"99610112345").decode()


def test_a_projection_never_shows_a_field_it_does_not_release(person_schema: Schema, someone: Json) -> None:
    canary = "kanarie-6f1c"
    texts = {leaf.path for leaf in person_schema.fields.values() if leaf.type == "string"}
    for path in texts:
        others = [other for other in person_schema.fields if other != path]
        record = json.loads(json.dumps({**someone, "partner": {"insz": "99610112345"}}))
        put(record, path.split("."), canary)
        value = FRAME + encode(person_schema.text, record)
        assert canary.encode() in value
        projection = compile_projection(person_schema, keep(*others), pseudonym_key=None)
        cut = projection.cut(value, compile_walk(person_schema).walk(value), TODAY, None)
        assert canary.encode() not in cut


def put(holder: Any, path: list[str], text: str) -> None:
    if isinstance(holder, list):
        put(holder[-1], path, text)
    elif len(path) > 1:
        put(holder[path[0]], path[1:], text)
    else:
        holder[path[0]] = [text] if isinstance(holder[path[0]], list) else text


def test_the_egress_schema_keeps_meaning_and_says_what_is_derived(person_schema: Schema) -> None:
    fields = [*keep("insz", "naam.achternaam"), derive("geboorte.datum", Transform.ADULT, "meerderjarig")]
    egress = json.loads(compile_projection(person_schema, fields, pseudonym_key=None).egress)
    assert (egress["namespace"], egress["name"]) == ("be.vlaanderen.voorbeeld.v1.levering", "Thing")
    assert (egress["product"], egress["iri"]) == ("voorbeeld.v1", "https://data.example/ns#Thing")
    number, name, adult = egress["fields"]
    assert number["iri"] == "https://data.example/ns#insz"
    assert number["class"] == "national-number"
    assert [inner["name"] for inner in name["type"]["fields"]] == ["achternaam"]
    assert (adult["type"], adult["derived"], adult["from"]) == (["null", "boolean"], "meerderjarig", "geboorte.datum")
    assert "iri" not in adult


def test_a_type_that_is_pruned_in_two_ways_becomes_two_types(as_product: Callable[..., Json], member: Any) -> None:
    code = {"type": "record", "name": "Code", "fields": [member("id", "string"), member("label", "string")]}
    members = [member("iri", "string", subject="principal"), member("a", code, None)]
    members += [member("b", "Code", None), member("c", "Code", None)]
    schema = load_schema(json.dumps(as_product(members)))
    both = {"id": "1", "label": "een"}
    record = {"kind": "added", "recordedAt": "", "iri": "x", "a": both, "b": both, "c": both}
    fields = keep("a.id", "b.id", "b.label", "c.id")
    assert delivered(schema, fields, record) == {"a": {"id": "1"}, "b": both, "c": {"id": "1"}}
    egress = compile_projection(schema, fields, pseudonym_key=None).egress
    types = [field["type"] for field in json.loads(egress)["fields"]]
    assert [types[0]["name"], types[1]["name"], types[2]] == [
        "Code",
        "Code_2",
        "be.vlaanderen.voorbeeld.v1.levering.Code",
    ]
    parse_structure(egress)
    fastavro.parse_schema(json.loads(egress))


def test_an_egress_schema_does_not_depend_on_the_order_of_kept_fields(person_schema: Schema) -> None:
    paths = ["insz", "geboorte.datum", "nationaliteiten.code"]
    one, two = (compile_projection(person_schema, keep(*order), pseudonym_key=None) for order in (paths, paths[::-1]))
    assert one.egress == two.egress


@pytest.mark.parametrize(
    "fields",
    [
        [],
        keep("nergens"),
        keep("geboorte"),
        keep("nationaliteiten"),
        keep("insz", "insz"),
        [ReleasedField("insz", Transform.KEEP, "", "nummer")],
        [ReleasedField("insz", Transform.PSEUDONYM, "")],
        [derive("insz", Transform.PSEUDONYM, "a-b")],
        [derive("insz", Transform.PSEUDONYM, "insz")],  # would pass for the value itself
        [derive("insz", Transform.PSEUDONYM, "naam")],
        [derive("insz", Transform.PSEUDONYM, "x"), derive("insz", Transform.OWN_REFERENCE, "x")],
        [derive("volgnummer", Transform.PSEUDONYM, "x")],
        [derive("nationaliteiten.code", Transform.PSEUDONYM, "x")],
        [derive("naam.voornamen", Transform.PSEUDONYM, "x")],
        [derive("sinds", Transform.YEAR, "x")],
        [derive("overleden", Transform.ADULT, "x")],
        [derive("nergens", Transform.OWN_REFERENCE, "x")],
        [derive("geboorte.datum", Transform.BAND, "x")],
        [derive("geboorte.datum", Transform.BAND, "x", "18", "18")],
        [derive("geboorte.datum", Transform.BAND, "x", "25", "18")],
        [derive("geboorte.datum", Transform.BAND, "x", "-1")],
        [derive("overleden", Transform.BAND, "x", "18")],
        [derive("sinds", Transform.BAND, "x", "18")],  # a day, not a number
        [derive("geboorte.datum", Transform.AGE, "x")],
        [derive("geboorte.datum", Transform.AGE, "x", "151")],
        [derive("geboorte.datum", Transform.AGE, "x", "18", "65")],
        [derive("geboorte.datum", Transform.ADULT, "x", "18")],
        [derive("volgnummer", Transform.DECADE, "x")],
        [derive("verblijfplaats.nis", Transform.LIVES_IN, "x")],
        [derive("verblijfplaats.nis", Transform.LIVES_IN, "x", "Gent")],
        [derive("nationaliteiten.code", Transform.LIVES_IN, "x", "44021")],
        [ReleasedField("insz", Transform.KEEP, "", None, ("18",))],
        [NOTIFY, NOTIFY],
        [NOTIFY, *keep("naam.achternaam")],
        [NOTIFY, derive("geboorte.datum", Transform.ADULT, "x")],
        [ReleasedField("insz", Transform.NOTIFY_ONLY, "", "melding")],
        [ReleasedField("geboorte.datum", Transform.NOTIFY_ONLY, "")],
    ],
)
def test_fields_that_cannot_be_projected_are_invalid(person_schema: Schema, fields: list[ReleasedField]) -> None:
    with pytest.raises(Invalid):
        compile_projection(person_schema, fields, pseudonym_key=KEY)


def test_without_a_key_a_pseudonym_has_a_schema_and_no_delivery(person_schema: Schema, someone: Json) -> None:
    fields = [derive("insz", Transform.PSEUDONYM, "nummer")]
    projection = compile_projection(person_schema, fields, pseudonym_key=None)
    assert projection.egress == compile_projection(person_schema, fields, pseudonym_key=KEY).egress
    value = FRAME + encode(person_schema.text, someone)
    with pytest.raises(NotYetKnown):
        projection.cut(value, compile_walk(person_schema).walk(value), TODAY, None)


@pytest.mark.parametrize(
    ("born", "on", "expected"),
    [
        ("2008-05-17", "2026-05-16", False),
        ("2008-05-17", "2026-05-17", True),
        ("2008-02-29", "2026-02-28", False),
        ("2008-02-29", "2026-03-01", True),
        ("2006-02-28", "2024-02-29", True),
        ("2006-03-01", "2024-02-29", False),
        ("2008-05-00", "2026-04-30", False),
        ("2008-05-00", "2026-05-01", None),
        ("2008-05-00", "2026-05-30", None),
        ("2008-05-00", "2026-05-31", True),
        ("2008-00-00", "2025-12-31", False),
        ("2008-00-00", "2026-01-01", None),
        ("2008-00-00", "2026-12-30", None),
        ("2008-00-00", "2026-12-31", True),
        ("0000-00-00", "2026-05-17", None),
        ("1908-00-00", "2026-05-17", True),
        ("2008-13-01", "2040-01-01", None),
        ("2008-05-32", "2040-01-01", None),
        ("2008", "2040-01-01", None),
        ("2008-05-17T00", "2040-01-01", None),
        ("²008-05-17", "2040-01-01", None),
        ("", "2040-01-01", None),
    ],
)
def test_an_adult_is_surely_eighteen(
    person_schema: Schema, someone: Json, born: str, on: str, *, expected: bool | None
) -> None:
    assert dates.aged(born, 18, on) is expected
    fields = [
        derive("geboorte.datum", Transform.ADULT, "meerderjarig"),
        derive("geboorte.datum", Transform.AGE, "achttien", "18"),
    ]
    someone = {**someone, "geboorte": {"datum": born, "plaats": None}}
    got = delivered(person_schema, fields, someone, on=on)
    assert got == {"meerderjarig": expected, "achttien": expected}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2008-05-17", 2008), ("2008-05-00", 2008), ("0031-00-00", 31), ("0000-00-00", None), ("2008", None), ("", None)],
)
def test_a_year_is_known_of_a_partial_date(text: str, expected: int | None) -> None:
    assert dates.year(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1987-05-17", 1980), ("1980-00-00", 1980), ("1979-12-00", 1970), ("0031-00-00", 30), ("0000-00-00", None)],
)
def test_a_decade_is_known_of_a_partial_date(
    person_schema: Schema, someone: Json, text: str, expected: int | None
) -> None:
    fields = [derive("geboorte.datum", Transform.DECADE, "decennium")]
    born = {**someone, "geboorte": {"datum": text, "plaats": None}}
    assert delivered(person_schema, fields, born) == {"decennium": expected}
    assert delivered(person_schema, fields, {**someone, "geboorte": None}) == {"decennium": None}


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        ("2008-05-17", "18-24"),  # eighteen today
        ("2008-05-18", "<18"),
        ("2008-05-00", None),  # eighteen, or not yet
        ("2008-04-00", "18-24"),
        ("2008-00-00", None),
        ("2006-00-00", "18-24"),  # nineteen or twenty, in the same band
        ("2001-00-00", None),  # twenty-four or twenty-five
        ("2000-00-00", None),
        ("2000-06-00", "25"),
        ("1999-00-00", "26+"),
        ("1950-00-00", "26+"),
        ("2026-12-31", "<18"),  # not born yet
        ("0000-00-00", None),
        ("2008", None),
        ("17", None),
    ],
)
def test_a_date_of_birth_lies_in_the_band_that_its_age_surely_lies_in(
    person_schema: Schema, someone: Json, born: str, expected: str | None
) -> None:
    fields = [derive("geboorte.datum", Transform.BAND, "leeftijd", "18", "25", "26")]
    got = delivered(person_schema, fields, {**someone, "geboorte": {"datum": born, "plaats": None}})
    assert got == {"leeftijd": expected}


@pytest.mark.parametrize(
    ("number", "expected"), [(-1, "<1"), (0, "<1"), (1, "1-2"), (2, "1-2"), (3, "3+"), (2**31 - 1, "3+")]
)
def test_a_whole_number_lies_in_a_band_by_itself(
    person_schema: Schema, someone: Json, number: int, expected: str
) -> None:
    fields = [derive("volgnummer", Transform.BAND, "volgorde", "1", "3")]
    assert delivered(person_schema, fields, {**someone, "volgnummer": number}) == {"volgorde": expected}


def test_where_someone_lives_is_answered_without_saying_where(person_schema: Schema, someone: Json) -> None:
    fields = [derive("verblijfplaats.nis", Transform.LIVES_IN, "inGent", "44021", "44083")]
    projection = compile_projection(person_schema, fields, pseudonym_key=None)
    value = FRAME + encode(person_schema.text, someone)
    assert projection.cut(value, compile_walk(person_schema).walk(value), TODAY, None) == b"\x02\x01"
    moved = {**someone, "verblijfplaats": {"straatnaam": "Elders", "nis": "24062"}}
    assert delivered(person_schema, fields, moved) == {"inGent": False}
    assert delivered(person_schema, fields, {**someone, "verblijfplaats": None}) == {"inGent": None}


def test_a_notification_says_the_kind_of_change_and_nothing_of_the_subject(
    person_schema: Schema, someone: Json
) -> None:
    assert delivered(person_schema, [NOTIFY], {**someone, "kind": "ended"}) == {"kind": "ended"}
    projection = compile_projection(person_schema, [NOTIFY], pseudonym_key=None)
    value = FRAME + encode(person_schema.text, someone)
    assert len(projection.cut(value, compile_walk(person_schema).walk(value), TODAY, None)) == 1
    assert [field["name"] for field in json.loads(projection.egress)["fields"]] == ["kind"]
    own = [derive("insz", Transform.OWN_REFERENCE, "dossier"), NOTIFY]
    assert delivered(person_schema, own, someone, reference="DOS-7") == {"kind": "snapshot", "dossier": "DOS-7"}


def test_what_stands_for_a_value_does_not_hold_it(person_schema: Schema, someone: Json) -> None:
    fields = [
        derive("insz", Transform.PSEUDONYM, "pseudoniem"),
        derive("geboorte.datum", Transform.DECADE, "decennium"),
        derive("geboorte.datum", Transform.BAND, "leeftijd", "18", "65"),
        derive("geboorte.datum", Transform.AGE, "pensioen", "65"),
        derive("geboorte.datum", Transform.ADULT, "meerderjarig"),
        derive("verblijfplaats.nis", Transform.LIVES_IN, "inLeuven", "24062"),
        derive("volgnummer", Transform.BAND, "volgorde", "5"),
    ]
    projection = compile_projection(person_schema, fields, pseudonym_key=KEY)
    value = FRAME + encode(person_schema.text, {**someone, "volgnummer": 1_234_567})
    cut = projection.cut(value, compile_walk(person_schema).walk(value), TODAY, None)
    for held in (b"08651712329", b"2008", b"05-17", b"44021", varint(1_234_567)):
        assert held in value
        assert held not in cut
    assert varint(2008) not in cut


def test_the_egress_schema_names_what_a_transform_was_given(person_schema: Schema) -> None:
    fields = [
        derive("geboorte.datum", Transform.BAND, "leeftijd", "18", "65"),
        derive("geboorte.datum", Transform.AGE, "pensioen", "65"),
        derive("verblijfplaats.nis", Transform.LIVES_IN, "inGent", "44021"),
        derive("geboorte.datum", Transform.DECADE, "decennium"),
    ]
    egress = json.loads(compile_projection(person_schema, fields, pseudonym_key=None).egress)
    assert [(field["type"][1], field.get("arguments")) for field in egress["fields"]] == [
        ("string", ["18", "65"]),
        ("boolean", ["65"]),
        ("boolean", ["44021"]),
        ("int", None),
    ]
    assert "<18, 18-64, 65+" in egress["fields"][0]["doc"]
    parse_structure(json.dumps(egress))


def test_an_absent_date_has_no_answer(person_schema: Schema, someone: Json) -> None:
    fields = [
        derive("geboorte.datum", Transform.ADULT, "meerderjarig"),
        derive("geboorte.datum", Transform.BAND, "leeftijd", "18"),
    ]
    for birth in (None, {"datum": None, "plaats": None}):
        got = delivered(person_schema, fields, {**someone, "geboorte": birth})
        assert got == {"meerderjarig": None, "leeftijd": None}
