import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import ipdc
from adapters.sdk import Broken, Change, Ignored

ID = "http://data.example/id/dienst/1"
IPDC = "https://productencatalogus.data.vlaanderen.be/ns/ipdc-lpdc#"
PREFIXES = f"""
@prefix ipdc: <{IPDC}> .
@prefix dct: <http://purl.org/dc/terms/> .
@prefix m8g: <http://data.europa.eu/m8g/> .
@prefix schema: <http://schema.org/> .
@prefix cpsv: <http://purl.org/vocab/cpsv#> .
@prefix ps: <http://vocab.belgif.be/ns/publicservice#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix dcat: <http://www.w3.org/ns/dcat#> .
@prefix adres: <https://data.vlaanderen.be/ns/adres#> .
@prefix doelgroep: <https://productencatalogus.data.vlaanderen.be/id/concept/Doelgroep/> .
@prefix thema: <https://productencatalogus.data.vlaanderen.be/id/concept/Thema/> .
@prefix : <http://data.example/id/> .
"""
SERVICE = f"""<{ID}/versie/2> a ipdc:InstancePublicServiceSnapshot ; dct:isVersionOf <{ID}> ; schema:productID "1502" ;
    dct:title "Premie"@nl, "Premie, u"@nl-BE-x-formal, "Premie, je"@nl-be-x-informal, "Grant"@en ;
    ipdc:additionalDescription "meer, u"@nl-be-x-formal, "more"@en ;
    ipdc:targetAudience doelgroep:Burger, doelgroep:Vereniging ; m8g:hasCompetentAuthority :gent ;
    schema:dateModified "2026-01-02T03:04:05.678+01:00" ; dcat:keyword "fiets"@nl, "bike"@en ;
    m8g:hasCost :later, :eerst ; cpsv:follows :stappen ; ps:hasRequirement :voorwaarde ; m8g:hasContactPoint :loket .
  :later dct:title "later"@nl ; sh:order 10 . :eerst dct:title "eerst"@nl ; sh:order 2 .
  :stappen ipdc:hasWebsite :site . :site schema:url "https://gent.example/" .
  :voorwaarde m8g:hasSupportingEvidence :bewijs . :bewijs dct:title "Attest"@nl .
  :loket schema:email "loket@gent.example" ; ipdc:address :adres .
  :adres adres:Straatnaam "Nevelhertenpad"@nl ; adres:postcode "9000" ; adres:gemeentenaam "Gent"@nl ."""


async def items(drain: Callable[..., Any], folder: Path, text: str) -> list[Any]:
    (folder / "a.ttl").write_text(PREFIXES + text)
    return [item for item, _ in await drain(ipdc.build(str(folder)))]


async def test_a_service_of_an_authority(
    drain: Callable[..., Any], tmp_path: Path, roundtrip: Callable[[Change], dict[str, Any]]
) -> None:
    [item] = await items(drain, tmp_path, SERVICE)
    value = roundtrip(item)
    assert (value["identificator"], value["productnummer"], value["recordedAt"]) == (
        ID,
        "1502",
        "2026-01-02T02:04:05Z",
    )
    names = ("naam", "naamFormeel", "naamInformeel", "naamEngels")
    assert [value[name] for name in names] == ["Premie", "Premie, u", "Premie, je", "Grant"]
    assert value["verdereBeschrijving"] == "meer, u"
    assert value["doelgroepen"] == ["Burger", "Vereniging"]
    assert value["zoektermen"] == ["fiets"]
    assert [cost["naam"] for cost in value["kosten"]] == ["eerst", "later"]
    assert value["procedures"][0]["websites"][0]["url"] == "https://gent.example/"
    assert value["voorwaarden"][0]["bewijs"]["naam"] == "Attest"
    [contact] = value["contactgegevens"]
    assert contact["email"] == "loket@gent.example"
    assert (contact["adres"]["straatnaam"], contact["adres"]["postcode"]) == ("Nevelhertenpad", "9000")


async def test_a_concept_is_no_service_of_anybody(drain: Callable[..., Any], tmp_path: Path) -> None:
    concept, service = ":c a ipdc:ConceptualPublicService .", f"<{ID}> a ipdc:InstancePublicService ."
    made, ignored = await items(drain, tmp_path, concept + service)
    assert (made.value["identificator"], ignored.reason) == (ID, "NOT_AN_INSTANCE")


@pytest.mark.parametrize(
    ("more", "reason", "path"),
    [
        ("ipdc:targetAudience thema:Burger", "CONCEPT_UNKNOWN", "doelgroepen"),
        ('m8g:hasCost [ sh:order "veel" ]', "NUMBER_INVALID", "kosten.volgorde"),
        ('schema:dateModified "gisteren"', "TIME_INVALID", "recordedAt"),
        ('ipdc:isArchived "misschien"', "CODE_UNKNOWN", "gearchiveerd"),
    ],
)
async def test_what_is_wrong_is_told_with_its_place(
    drain: Callable[..., Any], tmp_path: Path, more: str, reason: str, path: str
) -> None:
    [item] = await items(drain, tmp_path, f"<{ID}> a ipdc:InstancePublicService ; {more} .")
    assert item == Broken(item.source_id, reason, path, "dienst.v1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":a dct:title 'a' .", (Ignored, "NOT_A_SERVICE")),
        ("", (Ignored, "EMPTY_DOCUMENT")),
        ("<", (Broken, "RDF_MALFORMED")),
    ],
)
async def test_a_document_without_services(
    drain: Callable[..., Any], tmp_path: Path, text: str, expected: tuple[type, str]
) -> None:
    [item] = await items(drain, tmp_path, text)
    assert (type(item), item.reason) == expected


async def test_a_page_in_json_needs_a_context_that_a_review_let_in(drain: Callable[..., Any], tmp_path: Path) -> None:
    address = "https://ipdc.example/context.jsonld"
    page = {"@context": address, "@id": ID, "@type": "Instantie", "naam": {"@value": "Premie", "@language": "nl"}}
    (tmp_path / "a.jsonld").write_text(json.dumps(page))
    [(item, _)] = await drain(ipdc.build(str(tmp_path)))
    assert item == Broken("a.jsonld", "CONTEXT_UNKNOWN")
    context = {"Instantie": f"{IPDC}InstancePublicService", "naam": "http://purl.org/dc/terms/title"}
    [(item, _)] = await drain(ipdc.IpdcAdapter(str(tmp_path), {address: context}))
    assert item.value["naam"] == "Premie"
