"""The address register's feed and states on loopback, and its own events in a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapters import basisregisters, json_body
from adapters.sdk import Broken, Change, Ignored
from broker.errors import Invalid, Retriable
from tests.unit.adapters.loopback import Answers, Asked, Reply, serving

SPACE = "https://data.vlaanderen.be/id/adres"
FEED = "/v2/feeds/wijzigingen/adressen"
CONCEPT = "https://data.vlaanderen.be/id/concept/adresstatus"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_body, "_PAUSE_S", 0.0)


def event(number: int, object_id: str, what: str = "update", version: int = 1, **more: Any) -> dict[str, Any]:
    data = {
        "objectId": object_id,
        "naamruimte": SPACE,
        "versieId": at(version),
        "nisCodes": ["44021"],
        "attributen": [],
    }
    names = {"specversion": "1.0", "id": str(number), "type": f"basisregisters.address.{what}.v1"}
    return {**names, "data": data | more.pop("data", {}), **more}


def at(version: int) -> str:
    return f"2026-01-{version:02}T10:00:00+01:00"


def state(object_id: str, version: int = 1, status: str = "inGebruik", **more: Any) -> dict[str, Any]:
    gml = '<gml:Point srsName="https://www.opengis.net/def/crs/EPSG/0/31370"><gml:pos>188473.52 193390.22</gml:pos></gml:Point>'
    return {
        "identificator": {"id": f"{SPACE}/{object_id}", "objectId": object_id, "versieId": at(version)},
        "gemeente": {"objectId": "44021", "gemeentenaam": {"geografischeNaam": {"spelling": "Gent", "taal": "nl"}}},
        "postinfo": {"objectId": "9000"},
        "straatnaam": {"objectId": "7", "straatnaam": {"geografischeNaam": {"spelling": "Nevelhertendreef"}}},
        "huisnummer": "59",
        "adresPositie": {
            "geometrie": {"type": "Point", "gml": gml},
            "positieGeometrieMethode": "afgeleidVanObject",
            "positieSpecificatie": "gebouweenheid",
        },
        "adresStatus": status,
        "officieelToegekend": True,
    } | more


def register(pages: list[list[dict[str, Any]]], states: dict[str, Any], *, open_last: bool = True) -> Answers:
    def answer(asked: Asked) -> Reply:
        if asked.path != FEED:
            found = states.get(asked.path.rpartition("/")[2])
            return found if isinstance(found, Reply) else Reply(found) if found else Reply(status=410)
        number = int(asked.query["pagina"])
        if number > len(pages):
            return Reply(status=404)
        complete = number < len(pages) or not open_last
        return Reply(pages[number - 1], headers={"X-Page-Complete": str(complete).lower()})

    return answer


def told(found: list[tuple[Any, str]]) -> list[tuple[str, str]]:
    """What became of each event, and the cursor behind it."""
    return [
        (getattr(each, "reason", None) or (each.value or {"kind": "deleted"})["kind"], cursor) for each, cursor in found
    ]


async def test_a_change_is_answered_by_the_present_state(drain, roundtrip) -> None:
    async with serving(register([[event(5, "1", "create")]], {"1": state("1")})) as server:
        [(item, cursor)] = await drain(basisregisters.build(server.origin + FEED))
    value = roundtrip(item)
    assert (item.source_id, value["identificator"], value["kind"], cursor) == (
        f"{SPACE}/1",
        f"{SPACE}/1",
        "added",
        "1/5",
    )
    assert (value["versie"], value["recordedAt"]) == (at(1), "2026-01-01T09:00:00Z")
    assert value["straat"]["naam"] == "Nevelhertendreef"
    assert value["gemeente"] == {"iri": "https://data.vlaanderen.be/id/gemeente/44021", "nis": "44021", "naam": "Gent"}
    assert value["postinfo"]["postcode"] == "9000"
    assert value["positie"] == {
        "geometrie": "POINT (188473.52 193390.22)",
        "methode": "https://data.vlaanderen.be/id/concept/geometriemethode/afgeleidVanObject",
        "specificatie": "https://data.vlaanderen.be/id/concept/geometriespecificatie/gebouweenheid",
    }


STATUS = {"data": {"attributen": [{"naam": "status", "oudeWaarde": None, "nieuweWaarde": f"{CONCEPT}/gehistoreerd"}]}}


@pytest.mark.parametrize(
    ("given", "states", "expected"),
    [
        (event(1, "1"), {"1": state("1")}, "changed"),
        (event(1, "1", **STATUS), {"1": state("1", status="gehistoreerd")}, "ended"),
        (event(1, "1", **STATUS), {"1": state("1", status="afgekeurd")}, "cancelled"),
        (
            event(1, "1", **STATUS, basisregisterseventtype="AddressWasRetiredBecauseOfReaddress"),
            {"1": state("1", status=f"{CONCEPT}/gehistoreerd")},
            "replaced",
        ),
        (event(1, "1", "delete"), {}, "deleted"),
        (event(1, "1", "transform"), {}, "TRANSFORM"),
        (event(1, "1", "gesplitst"), {}, "EVENT_NOT_MAPPED"),
        (event(1, "1") | {"type": "basisregisters.parcel.update.v1"}, {}, "EVENT_NOT_MAPPED"),
        (event(1, "1", version=1), {"1": state("1", version=2)}, "STATE_NEWER"),
        (event(1, "1"), {}, "STATE_GONE"),
        (event(1, "../geheim"), {}, "OBJECT_ID_INVALID"),
        (event(1, "1", data={"naamruimte": "https://elders.example"}), {}, "OBJECT_ID_INVALID"),
        (event(1, "1"), {"1": state("2")}, "OBJECT_DIFFERS"),
        (event(1, "1"), {"1": state("1", straatnaam={})}, "FIELD_MISSING"),
        (event(1, "1"), {"1": state("1", adresStatus="weg")}, "CODE_UNKNOWN"),
        (event(1, "1"), {"1": state("1", adresPositie={"geometrie": {"gml": "<x/>"}})}, "GEOMETRY_UNKNOWN"),
        (event(1, "1"), {"1": Reply(b"{")}, "JSON_MALFORMED"),
        (event(1, "1", data={"versieId": "gisteren"}), {"1": state("1")}, "TIME_INVALID"),
        (event(1, "1") | {"id": "een"}, {}, "EVENT_ID_INVALID"),
        (event(1, "1") | {"data": None}, {}, "OBJECT_ID_INVALID"),
    ],
)
async def test_what_became_of_an_event(drain, given, states, expected) -> None:
    async with serving(register([[given]], states)) as server:
        [(item, _)] = await drain(basisregisters.build(server.origin + FEED))
    assert told([(item, "")])[0][0] == expected
    if isinstance(item, Change) and item.value is None:
        assert item.subject == f"{SPACE}/1"


async def test_a_register_behind_its_feed_is_asked_again(drain) -> None:
    async with serving(register([[event(1, "1"), event(2, "1", version=3)]], {"1": state("1", version=2)})) as server:
        with pytest.raises(Retriable, match="behind its feed"):
            await drain(basisregisters.build(server.origin + FEED))


async def test_an_open_page_is_read_again_until_it_is_complete(drain) -> None:
    pages = [[event(1, "1", "delete"), event(2, "2", "delete")], [event(3, "3", "delete")]]
    async with serving(register(pages, {})) as server:
        reader = basisregisters.build(server.origin + FEED)
        assert told(await drain(reader)) == [("deleted", "1/1"), ("deleted", "2/2"), ("deleted", "2/3")]
        assert await drain(reader, "2/3") == []
        pages[1].append(event(4, "4", "delete"))
        server.answers = register(pages, {}, open_last=False)
        found = await drain(reader, "2/3")
        assert told(found) == [("deleted", "3/4")]
        server.asked.clear()
        assert await drain(reader, "3/4") == [], "the next page is not there yet"
        assert [asked.query["pagina"] for asked in server.asked] == ["3", "2"]
        pages.append([event(5, "5", "delete")])
        server.answers = register(pages, {})
        assert told(await drain(reader, "3/4")) == [("deleted", "3/5")]


async def test_events_that_are_repeated_or_come_back_are_told_once(drain) -> None:
    pages = [[event(1, "1", "delete"), event(1, "1", "delete"), event(3, "3", "delete")], [event(3, "3", "delete")]]
    async with serving(register(pages, {})) as server:
        assert told(await drain(basisregisters.build(server.origin + FEED))) == [("deleted", "1/1"), ("deleted", "2/3")]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=500), Retriable),
        (Reply(status=429, headers={"retry-after": "5"}), Retriable),
        (Reply(status=401), Invalid),
        (Reply(status=404), Invalid),
        (Reply([], cut=1), Retriable),
        (Reply(status=302, headers={"location": "http://169.254.169.254/"}), Invalid),
    ],
)
async def test_a_feed_that_fails_is_told_apart_from_one_that_refuses(drain, reply, error) -> None:
    async with serving(lambda _: reply) as server:
        with pytest.raises(error):
            await drain(basisregisters.build(server.origin + FEED))


@pytest.mark.parametrize(("body", "reason"), [(b"[", "JSON_MALFORMED"), (b"{}", "ITEMS_MISSING")])
async def test_a_page_that_cannot_be_read_is_told_and_asked_for_again(drain, body, reason) -> None:
    async with serving(lambda _: Reply(body)) as server:
        [(item, cursor)] = await drain(basisregisters.build(server.origin + FEED))
    assert (type(item), item.reason, cursor) == (Broken, reason, "1/0")


async def test_a_key_goes_in_a_header_over_https_only(drain, monkeypatch) -> None:
    monkeypatch.setenv("BASISREGISTERS_API_KEY", "s3cret")
    async with serving(register([[]], {})) as server:
        await drain(basisregisters.build(server.origin + FEED))
    assert server.asked[0].headers["x-api-key"] == "s3cret"
    with pytest.raises(Invalid, match="https"):
        await drain(basisregisters.build("http://api.example" + FEED))
    with pytest.raises(Invalid, match="feed"):
        basisregisters.build("https://api.example/v2/adressen")


THINGS = "https://data.vlaanderen.be/id"
POINT = (
    '<gml:Point srsName="https://www.opengis.net/def/crs/EPSG/0/3812"><gml:pos>640252.76 698794.27</gml:pos></gml:Point>',
    '<gml:Point srsName="https://www.opengis.net/def/crs/EPSG/0/31370"><gml:pos>140252.76 198794.27</gml:pos></gml:Point>',
)


def identity(space: str, object_id: str, version: int = 1) -> dict[str, Any]:
    return {"id": f"{THINGS}/{space}/{object_id}", "objectId": object_id, "versieId": at(version)}


def unit(**more: Any) -> dict[str, Any]:
    return {
        "identificator": identity("gebouweenheid", "6"),
        "gebouweenheidPositie": {
            "geometrie": [{"type": "Point", "gml": each} for each in POINT],
            "positieGeometrieMethode": "aangeduidDoorBeheerder",
        },
        "gebouweenheidStatus": "gerealiseerd",
        "functie": "gemeenschappelijkDeel",
        "gebouw": {"objectId": "1", "detail": "https://api.example/v2/gebouwen/1"},
        "adressen": [{"objectId": "7"}, {"objectId": "10"}],
        "afwijkingVastgesteld": False,
    } | more


def plot(**more: Any) -> dict[str, Any]:
    return {
        "identificator": identity("perceel", "34034B0003-00_000"),
        "caPaKey": "34034B0003/00_000",
        "perceelStatus": "gerealiseerd",
        "adressen": [{"objectId": "200001"}],
    } | more


def of_a_feed(objects: str, event_type: str, change: dict[str, Any], found: dict[str, Any] | None) -> Any:
    """The one event of a feed of these objects, and the register's answer beside it."""
    given = change | {"type": f"basisregisters.{event_type}.{change['type'].split('.', 2)[2]}"}

    def answer(asked: Asked) -> Reply:
        if asked.path == f"/v2/feeds/wijzigingen/{objects}":
            return Reply([given], headers={"X-Page-Complete": "false"})
        assert asked.path == f"/v2/{objects}/{change['data']['objectId']}"
        return Reply(found) if found else Reply(status=410)

    return answer


def space(name: str, **more: Any) -> dict[str, Any]:
    return {"data": {"naamruimte": f"{THINGS}/{name}"} | more}


async def test_a_building_unit_is_read_from_its_own_feed(drain, roundtrip) -> None:
    change = event(3, "6", "create", **space("gebouweenheid"))
    async with serving(of_a_feed("gebouweenheden", "buildingunit", change, unit())) as server:
        reader = basisregisters.build(server.origin + "/v2/feeds/wijzigingen/gebouweenheden")
        [(item, _)] = await drain(reader)
    assert (reader.name, dict(reader.sources)) == (
        "basisregisters-gebouweenheden",
        {"gebouweenheid.v1": "digitaal-vlaanderen"},
    )
    value = roundtrip(item)
    assert (value["identificator"], value["kind"], value["status"]) == (
        f"{THINGS}/gebouweenheid/6",
        "added",
        "gerealiseerd",
    )
    assert value["gebouw"] == f"{THINGS}/gebouw/1"
    assert value["positie"] == {"geometrie": "POINT (140252.76 198794.27)", "methode": "aangeduidDoorBeheerder"}
    assert value["adressen"] == [f"{THINGS}/adres/7", f"{THINGS}/adres/10"]
    assert (value["functie"], value["afwijkingVastgesteld"]) == ("gemeenschappelijkDeel", False)


async def test_a_parcel_is_read_from_its_own_feed(drain, roundtrip) -> None:
    change = event(3, "34034B0003-00_000", "create", **space("perceel"))
    async with serving(of_a_feed("percelen", "parcel", change, plot())) as server:
        reader = basisregisters.build(server.origin + "/v2/feeds/wijzigingen/percelen")
        [(item, _)] = await drain(reader)
    value = roundtrip(item)
    assert (reader.name, item.product, value["status"]) == ("basisregisters-percelen", "perceel.v1", "gerealiseerd")
    assert (value["identificator"], value["capakey"]) == (f"{THINGS}/perceel/34034B0003-00_000", "34034B0003/00_000")
    assert value["adressen"] == [f"{THINGS}/adres/200001"]


GONE = {"attributen": [{"naam": "status"}]}


@pytest.mark.parametrize(
    ("objects", "change", "found", "expected"),
    [
        ("gebouweenheden", event(1, "6", **space("gebouweenheid")), unit(), "changed"),
        (
            "gebouweenheden",
            event(1, "6", **space("gebouweenheid", **GONE)),
            unit(gebouweenheidStatus="gehistoreerd"),
            "ended",
        ),
        (
            "gebouweenheden",
            event(1, "6", **space("gebouweenheid", **GONE)),
            unit(gebouweenheidStatus=f"{THINGS}/concept/gebouweenheidstatus/nietGerealiseerd"),
            "cancelled",
        ),
        ("gebouweenheden", event(1, "6", **space("gebouweenheid")), unit(functie="winkel"), "CODE_UNKNOWN"),
        ("gebouweenheden", event(1, "6", **space("gebouweenheid")), unit(gebouw=None), "FIELD_MISSING"),
        ("gebouweenheden", event(1, "6", **space("gebouweenheid")), unit(adressen=None), "FIELD_MISSING"),
        ("gebouweenheden", event(1, "6", **space("gebouweenheid")), unit(afwijkingVastgesteld="ja"), "FIELD_MISSING"),
        ("gebouweenheden", event(1, "6", **space("gebouweenheid")), None, "STATE_GONE"),
        ("gebouweenheden", event(1, "6"), unit(), "OBJECT_ID_INVALID"),
        ("percelen", event(1, "34034B0003-00_000", **space("perceel", **GONE)), plot(perceelStatus=""), "CODE_UNKNOWN"),
        (
            "percelen",
            event(1, "34034B0003-00_000", **space("perceel", **GONE)),
            plot(perceelStatus="gehistoreerd"),
            "ended",
        ),
        ("percelen", event(1, "34034B0003-00_000", "delete", **space("perceel")), None, "deleted"),
        ("percelen", event(1, "../adressen/1", **space("perceel")), plot(), "OBJECT_ID_INVALID"),
    ],
)
async def test_what_became_of_an_event_of_another_register(drain, objects, change, found, expected) -> None:
    types = {"gebouweenheden": "buildingunit", "percelen": "parcel"}
    async with serving(of_a_feed(objects, types[objects], change, found)) as server:
        [(item, _)] = await drain(basisregisters.build(f"{server.origin}/v2/feeds/wijzigingen/{objects}"))
    assert told([(item, "")])[0][0] == expected


HEAD = "position;type;jsondata\n"
MOVED = (
    '1;AddressWasMigratedToStreetName;{"streetNamePersistentLocalId":7,"addressPersistentLocalId":1,"status":"current",'
    '"houseNumber":"117","boxNumber":null,"geometryMethod":"derivedFromObject","geometrySpecification":"buildingUnit",'
    '"extendedWkbGeometry":"01010000208A7A00008FC2F528724B0941EC51B81E39980941","officiallyAssigned":true,'
    '"postalCode":"2490","isRemoved":%s,"provenance":{"timestamp":"2023-11-01T13:16:43.3224018Z"}}\n'
)
STREETS = "objectId;naam;nis;gemeente\n7;Nevelhertendreef;44021;Gent\n12784;Wolkenweversstraat;13003;Balen\n"


def events(folder: Path, text: str, streets: str = STREETS) -> str:
    (folder / "events.csv").write_text("\ufeff" + HEAD + text)
    (folder / "straatnamen.csv").write_text(streets)
    return str(folder)


async def test_an_event_of_a_file_is_the_whole_state_after_it(drain, tmp_path, roundtrip) -> None:
    [(item, _)] = await drain(basisregisters.build(events(tmp_path, MOVED % "false")))
    value = roundtrip(item)
    assert (value["identificator"], value["status"], value["huisnummer"]) == (f"{SPACE}/1", "inGebruik", "117")
    assert value["positie"]["geometrie"] == "POINT (207214.27 209671.14)"
    assert value["straat"]["naam"] == "Nevelhertendreef"


@pytest.mark.parametrize(
    ("text", "streets", "expected"),
    [
        (MOVED % "true", STREETS, "deleted"),
        (MOVED % "false", STREETS[:27], "FIELD_MISSING"),
        ("1;StreetNameWasRemoved;{}\n", STREETS, "EVENT_NOT_MAPPED"),
        ("1;AddressWasMigratedToStreetName;{\n", STREETS, "JSON_MALFORMED"),
        ("een\n", STREETS, "ROW_RAGGED"),
        ((MOVED % "false").replace("8A7A", "0000"), STREETS, "GEOMETRY_UNKNOWN"),
        ((MOVED % "false").replace('"current"', '"weg"'), STREETS, "CODE_UNKNOWN"),
    ],
)
async def test_what_becomes_of_a_line(drain, tmp_path, text, streets, expected) -> None:
    found = await drain(basisregisters.build(events(tmp_path, text, streets)))
    assert told(found) == [(expected, "")]


async def test_a_file_of_something_else_is_refused(drain, tmp_path) -> None:
    (tmp_path / "a.csv").write_text("a;b\n1;2\n")
    with pytest.raises(Invalid, match="position;type;jsondata"):
        await drain(basisregisters.build(str(tmp_path / "a.csv")))


async def test_the_registers_real_events_fit_the_schema(drain, shared_data, tmp_path, roundtrip) -> None:
    real = shared_data / "address_registry_events" / "housenumberwasreaddressed_first_half.csv"
    (tmp_path / "events.csv").write_bytes(real.read_bytes())
    (tmp_path / "straatnamen.csv").write_text(STREETS)
    found = [item for item, _ in await drain(basisregisters.build(str(tmp_path)))]
    changes = [item for item in found if isinstance(item, Change)]
    assert len(found) == 36
    assert {item.reason for item in found if isinstance(item, Ignored)} == {"EVENT_NOT_MAPPED"}
    assert len(changes) == 35
    last = {value["objectId"]: value for value in map(roundtrip, changes)}
    assert last["30314500"]["status"] == "inGebruik", "the address that takes over was only proposed before"
    assert last["30314500"]["huisnummer"] == "102"


async def test_the_registers_real_answer_is_read(drain, shared_data, roundtrip) -> None:
    real = json.loads((shared_data / "association_registry" / "AdresDetail" / "861019.json").read_text())
    version = real["identificator"]["versieId"]
    change = event(1, "861019", data={"versieId": version})
    async with serving(register([[change]], {"861019": real})) as server:
        [(item, _)] = await drain(basisregisters.build(server.origin + FEED))
    assert roundtrip(item)["gemeente"]["naam"] == "Herselt"
