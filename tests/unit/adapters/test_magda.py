from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from adapters import magda
from adapters.magda_xml import instant, parse
from adapters.sdk import Broken, Change, Ignored
from broker.errors import Invalid, PoisonRecord, Retriable
from broker.model.identifiers import make_test_insz

ANN, BOB, KIM = (
    make_test_insz(birth, serial) for birth, serial in (("1980-05-17", 12), ("1979-01-02", 13), ("2009-07-08", 14))
)
KBO = "1999999943"


def reply(
    service: str, answers: str, *, version: str = "02.02.0000", day: str = "2026-07-01", clock: str = "10:21:40.797"
) -> str:
    return dedent(
        f"""<?xml version="1.0"?>
        <web:{service}Response xmlns:web="http://example/{service}"><Repliek><Context><Naam>{service}</Naam>
        <Versie>{version}</Versie><Bericht><Tijdstip><Datum>{day}</Datum><Tijd>{clock}</Tijd></Tijdstip></Bericht>
        </Context>{answers}</Repliek></web:{service}Response>"""
    )


def answer(content: str, exceptions: str = "") -> str:
    return f"<Antwoorden><Antwoord><Inhoud>{content}</Inhoud>{exceptions}</Antwoord></Antwoorden>"


def person(insz: str, more: str = "") -> str:
    return f"""<Persoon><INSZ>{insz}</INSZ><Naam DatumBegin="1980-05-17"><Achternamen><Achternaam>Maanbeemden</Achternaam>
    <Achternaam>Sterwaelen</Achternaam></Achternamen><Voornamen><Voornaam>Ann</Voornaam>
    <Voornaam GebruikelijkeVoornaam="1">Roos</Voornaam></Voornamen></Naam>
    <Geslacht><Code>2</Code></Geslacht><Geboorte><Datum>1980-05-00</Datum></Geboorte>{more}</Persoon>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


async def only(drain, folder: Path, text: str) -> Any:
    (folder / "answer.xml").write_text(text)
    [(item, cursor)] = await drain(magda.build(str(folder)))
    assert cursor == ""
    return item


async def test_a_person_is_published_with_everyone_else_mentioned(drain, folder, roundtrip) -> None:
    family = f"""<BurgerlijkeStaten>
      <BurgerlijkeStaat DatumBegin="2000-01-01" DatumEinde="2004-01-01"><Code>20</Code></BurgerlijkeStaat>
      <BurgerlijkeStaat DatumBegin="2005-05-02"><Code>20</Code><Omschrijving>Gehuwd</Omschrijving>
        <Partner><INSZ>{BOB}</INSZ><Geslacht><Code>1</Code></Geslacht></Partner></BurgerlijkeStaat></BurgerlijkeStaten>
    <Adressen><Hoofdverblijfplaats DatumBegin="2010-00-00"><NietGestandaardiseerdeStraatnaam><String>Nevelhertenpad</String>
      </NietGestandaardiseerdeStraatnaam><Huisnummer>7</Huisnummer><Gemeentenaam><String>Gent</String></Gemeentenaam>
      <NISCodeGemeente>44021</NISCodeGemeente></Hoofdverblijfplaats></Adressen>
    <AfstammingenDalendeLijn><AfstammingDalendeLijn DatumBegin="2009-07-08"><Type><Code>10</Code></Type>
      <Kind><INSZ>{KIM}</INSZ></Kind></AfstammingDalendeLijn></AfstammingenDalendeLijn>
    <Referentiepersoon DatumBegin="1980-05-17" DatumEinde="2001-01-01"><INSZ>{BOB}</INSZ><Positie><Code>03</Code></Positie>
    </Referentiepersoon>"""
    item = await only(drain, folder, reply("GeefPersoon", answer(person(ANN, family))))
    value = roundtrip(item)
    assert (item.product, value["insz"], value["kind"]) == ("persoon.v1", ANN, "snapshot")
    assert value["naam"]["achternaam"] == "Maanbeemden Sterwaelen"
    assert value["naam"]["voornamen"] == ["Ann", "Roos"]
    assert value["naam"]["gebruikteVoornaam"] == "Roos"
    assert value["geslacht"] == "vrouwelijk"
    assert value["geboorte"]["datum"] == "1980-05-00"
    assert value["burgerlijkeStaat"]["begin"] == "2005-05-02"
    assert value["burgerlijkeStaat"]["partner"]["insz"] == BOB
    assert value["verblijfplaats"]["straatnaam"] == "Nevelhertenpad"
    assert value["verblijfplaats"]["gemeente"] == {"nis": "44021", "naam": "Gent"}
    assert value["verblijfplaats"]["begin"] == "2010-00-00"
    assert [child["insz"] for child in value["kinderen"]] == [KIM]
    assert value["referentiepersoon"] is None, "a household that was left is history"
    assert value["overlijden"] is None


async def test_an_answer_under_a_replaced_number_says_so(drain, folder) -> None:
    warning = f"""<Uitzonderingen><Uitzondering><Identificatie>30004</Identificatie><Annotaties>
      <Annotatie><Naam>Oud INSZ</Naam><Waarde>{ANN}</Waarde></Annotatie>
      <Annotatie><Naam>Nieuw INSZ</Naam><Waarde>{BOB}</Waarde></Annotatie></Annotaties></Uitzondering></Uitzonderingen>"""
    item = await only(drain, folder, reply("GeefPersoon", answer(person(ANN), warning)))
    assert (item.value["kind"], item.value["insz"], item.value["vervangenDoor"]) == ("replaced", ANN, BOB)


async def test_an_enterprise_is_published_under_its_number(drain, folder, roundtrip) -> None:
    content = f"""<Onderneming><Ondernemingsnummer>{KBO[:4]}.{KBO[4:7]}.{KBO[7:]}</Ondernemingsnummer><StatusKBO><Code>AC</Code></StatusKBO>
      <SoortOnderneming><Code Beschrijving="Rechtspersoon">2</Code></SoortOnderneming>
      <Namen><MaatschappelijkeNamen>
        <MaatschappelijkeNaam DatumEinde="2000-01-01"><Naam>Oud</Naam><Taalcode>nl</Taalcode></MaatschappelijkeNaam>
        <MaatschappelijkeNaam><Naam>Nouveau</Naam><Taalcode>fr</Taalcode></MaatschappelijkeNaam>
        <MaatschappelijkeNaam><Naam>Nieuw</Naam><Taalcode>nl</Taalcode></MaatschappelijkeNaam></MaatschappelijkeNamen></Namen>
      <Adressen><Adres><Huisnummer>1</Huisnummer><Type><Code>001</Code></Type><Descripties>
        <Descriptie><Taalcode>FR</Taalcode><Adres><Straat><Naam>Rue</Naam></Straat></Adres></Descriptie>
        <Descriptie><Taalcode>NL</Taalcode><Adres><Straat><Naam>Straat</Naam></Straat></Adres></Descriptie></Descripties></Adres></Adressen>
      </Onderneming>"""
    item = await only(drain, folder, reply("GeefOnderneming", answer(content), version="02.00.0000"))
    value = roundtrip(item)
    assert (item.product, value["identificator"], value["naam"]) == ("organisatie.v1", KBO, "Nieuw")
    assert value["soort"] == {"code": "2", "omschrijving": "Rechtspersoon"}
    assert (value["zetel"]["straatnaam"], value["zetel"]["huisnummer"]) == ("Straat", "1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (reply("GeefPersoon", answer("")), (Ignored, "NO_PERSON", "")),
        (reply("GeefPersoon", "<Antwoorden/>"), (Ignored, "NO_PERSON", "")),
        (reply("GeefPersoon", "<Uitzonderingen/>"), (Ignored, "SOURCE_FAILED", "")),
        (reply("GeefOnderneming", answer(""), version="02.00.0000"), (Ignored, "NO_ENTERPRISE", "")),
        (reply("GeefEpc", answer("<Epc/>")), (Ignored, "NO_TYPE_ENERGY", "")),
        (reply("GeefWeer", answer("<Weer/>")), (Ignored, "SERVICE_NOT_MAPPED", "")),
        (reply("GeefPersoon", answer(person(ANN))).replace("<Naam>", "<Naam>?", 1), (Broken, "SERVICE_INVALID", "")),
        (reply("GeefPersoon", answer(person(ANN)), version="3"), (Broken, "SERVICE_INVALID", "")),
        (reply("GeefPersoon", answer(person(ANN)), version="03.00.0000"), (Ignored, "SERVICE_NOT_MAPPED", "")),
        ("<html/>", (Ignored, "NOT_AN_ANSWER", "")),
        (reply("GeefPersoon", answer(person(ANN)))[:-9], (Broken, "XML_MALFORMED", "")),
        ("", (Broken, "XML_MALFORMED", "")),
        ('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', (Broken, "XML_FORBIDDEN", "")),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', (Broken, "XML_FORBIDDEN", "")),
        (
            reply("GeefPersoon", answer(person(f"{ANN[:-1]}{(int(ANN[-1]) + 1) % 10}"))),
            (Broken, "INSZ_INVALID", "insz"),
        ),
        (reply("GeefPersoon", answer(person(""))), (Broken, "FIELD_MISSING", "insz")),
        (reply("GeefPersoon", answer(person(ANN)), day="1 juli"), (Broken, "TIME_INVALID", "recordedAt")),
        (
            reply("GeefPersoon", answer(person(ANN, "<Overlijden><Datum>gisteren</Datum></Overlijden>"))),
            (Broken, "DATE_INVALID", "overlijden.datum"),
        ),
        (
            reply("GeefPersoon", answer(person(ANN).replace("<Code>2</Code>", "<Code>9</Code>"))),
            (Broken, "CODE_UNKNOWN", "geslacht"),
        ),
        (
            reply("GeefPersoon", answer(person(ANN, f"<Referentiepersoon><INSZ>{BOB}</INSZ></Referentiepersoon>"))),
            (Broken, "FIELD_MISSING", "referentiepersoon.positie"),
        ),
    ],
)
async def test_what_is_not_published_says_why(drain, folder, text, expected) -> None:
    item = await only(drain, folder, text)
    assert (type(item), item.reason, getattr(item, "path", "")) == expected


def test_a_refusal_of_xml_carries_no_context_that_quotes_it() -> None:
    with pytest.raises(PoisonRecord) as refused:
        parse(b"<a>KANARIE</b>")
    assert refused.value.__context__ is None
    assert "KANARIE" not in str(refused.value)


@pytest.mark.parametrize(
    ("day", "clock", "utc"),
    [
        ("2026-07-01", "10:21:40.797", "2026-07-01T08:21:40Z"),
        ("2026-01-01", "00:30:00", "2025-12-31T23:30:00Z"),
        ("2024-01-16", "12:12", "2024-01-16T11:12:00Z"),
        ("2024-01-16", "12:12:00Z", "2024-01-16T12:12:00Z"),
        ("2024-01-16", "12:12:00+05:00", "2024-01-16T07:12:00Z"),
    ],
)
def test_the_instant_is_belgian_time_unless_it_says_otherwise(day: str, clock: str, utc: str) -> None:
    root = parse(f"<a><Tijdstip><Datum>{day}</Datum><Tijd>{clock}</Tijd></Tijdstip></a>".encode())
    assert instant(root, "Tijdstip") == utc


async def test_a_folder_is_read_in_the_order_of_its_paths_and_resumed(drain, folder) -> None:
    (folder / "b").mkdir()
    for name, insz in (("b/2.xml", BOB), ("a.xml", ANN), ("c.xml", KIM)):
        (folder / name).write_text(reply("GeefPersoon", answer(person(insz))))
    (folder / "notes.txt").write_text("no answer")
    adapter = magda.build(str(folder))
    found = await drain(adapter)
    assert [item.value["insz"] for item, _ in found] == [ANN, BOB, KIM]
    assert [cursor for _, cursor in found] == ["1/3", "2/3", ""]
    assert await drain(adapter, "2/3") == found[2:]
    assert await drain(adapter, "2/4") == found, "another folder than the cursor's is read from its start"
    assert await drain(adapter, "") == found
    assert not any(insz in cursor for _, cursor in found for insz in (ANN, BOB, KIM))


async def test_two_answers_about_one_person_are_two_statements(drain, folder) -> None:
    for name in ("a.xml", "b.xml"):
        (folder / name).write_text(reply("GeefPersoon", answer(person(ANN))))
    found = [item for item, _ in await drain(magda.build(str(folder)))]
    assert len({item.source_id for item in found}) == 2


async def test_one_file_and_a_file_url_are_sources_too(drain, folder) -> None:
    file = folder / "een map.xml"
    file.write_text(reply("GeefPersoon", answer(person(ANN))))
    assert await drain(magda.build(str(file))) == await drain(magda.build(file.as_uri()))
    with pytest.raises(Invalid):
        await drain(magda.build(str(folder / "absent")))


async def test_a_feed_is_followed_and_its_cursor_is_the_page_to_read_next(drain, web) -> None:
    answers, asked = web
    first, second = "https://magda.example/feed?page=1", "https://magda.example/feed?page=2"
    answers[first] = httpx.Response(
        200,
        text="<feed>" + "".join(reply("GeefPersoon", answer(person(i))).split("?>")[1] for i in (ANN, BOB)) + "</feed>",
        headers={"link": '</feed?page=2>; rel="next"'},
    )
    answers[second] = httpx.Response(200, text=reply("GeefPersoon", answer(person(KIM))))
    found = await drain(magda.build(first))
    assert [item.value["insz"] for item, _ in found] == [ANN, BOB, KIM]
    assert [cursor for _, cursor in found] == [first, second, second]
    asked.clear()
    assert [item.value["insz"] for item, _ in await drain(magda.build(first), second)] == [KIM]
    assert asked == [second]


async def test_a_page_cannot_send_the_reader_to_another_host(drain, web) -> None:
    answers, asked = web
    start = "https://magda.example/feed"
    answers[start] = httpx.Response(
        200, text=reply("GeefPersoon", answer(person(ANN))), headers={"link": '<http://169.254.169.254/>; rel="next"'}
    )
    await drain(magda.build(start))
    assert asked == [start]
    answers[start] = httpx.Response(302, headers={"location": "http://127.0.0.1:9/"})
    with pytest.raises(Invalid):
        await drain(magda.build(start))
    assert asked == [start, start]


async def test_trouble_of_the_source_is_told_from_a_refusal(drain, web) -> None:
    answers, _ = web
    start = "https://magda.example/feed"
    with pytest.raises(Retriable):
        await drain(magda.build(start))
    for status, error in ((503, Retriable), (429, Retriable), (404, Invalid), (403, Invalid)):
        answers[start] = httpx.Response(status)
        with pytest.raises(error):
            await drain(magda.build(start))


async def test_only_changes_hold_values(drain, folder) -> None:
    item = await only(drain, folder, reply("GeefPersoon", answer(person(ANN))))
    assert isinstance(item, Change)
