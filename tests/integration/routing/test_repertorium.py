"""MAGDA's Repertorium: what it answered to real requests, and what a parking company gets of the persons it registers."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from defusedxml import ElementTree

from adapters import magda
from adapters.sdk import Change
from broker.control.registrations import Closing, Opening, Outcome
from broker.errors import Invalid, KafkaUnavailable
from broker.model.identifiers import parse_insz
from broker.model.wall import SubjectWall
from tests.unit.control.conftest import Agency, Log, opened

PARKING = "parkeerboetes-gent"
ANSWERS = ("magda/Repertorium", "association_registry/RegistreerInschrijving0200Responses",
           "association_registry/RegistreerInschrijvingResponses")  # fmt: skip
NAME_AND_ADDRESS = {
    "dossierReferentie": None,
    "naam": {"achternaam", "voornamen"},
    "verblijfplaats": {"straatnaam", "huisnummer", "busnummer", "postcode", "gemeente"},
}
TRANSIENT = {"99996", "60009"}
BODY = "0407622110"


@dataclass(frozen=True)
class Answer:
    """One answer of the Repertorium, and of its request what the answer and the file's name tell."""

    service: str
    subject: str
    organisation: bool
    reference: str
    capacity: str
    result: str | None
    codes: frozenset[str]

    @property
    def outcome(self) -> str:
        """The outcome of ours that says the same."""
        if self.result is None and self.codes <= TRANSIENT:
            return "again" if _is_insz(self.subject) else "invalid"  # ours sees the number first
        if self.result == "0":
            return "invalid" if self.codes else "unknown"
        if "40143" in self.codes:
            return "already"
        return "registered" if self.service == "RegistreerInschrijving" else "ended"


def _is_insz(text: str) -> bool:
    try:
        return bool(parse_insz(text))
    except Invalid:
        return False


def answers(folder: Path) -> Iterator[Answer]:
    """Every answer in the samples; what is no answer (a bare refusal of the gateway) has no `Repliek`."""
    for file in sorted(path for name in ANSWERS for path in (folder / name).rglob("*.xml")):
        root = ElementTree.parse(file).getroot()
        reply = next(root.iter("Repliek"), None)
        if reply is None:
            continue
        asker = reply.find("Context/Bericht/Ontvanger")
        user = asker.findtext("Gebruiker")
        number = file.name.removeprefix("PERS_").partition(".")[0]
        organisation = file.name.startswith("OND_") or "RegistreerInschrijvingResponses" in str(file)
        yield Answer(
            reply.findtext("Context/Naam"),
            BODY if organisation else number if number.isdecimal() else user,
            organisation,
            asker.findtext("Referte"),
            asker.findtext("Hoedanigheid"),
            reply.findtext("Antwoorden/Antwoord/Inhoud/Resultaat"),
            frozenset(found.text for found in reply.iterfind(".//Uitzondering/Identificatie")),
        )


async def asked(agency: Agency, answer: Answer, *, has: bool = True) -> Outcome:
    """Our outcome of the same request; `has`: the source has a record of the subject."""
    name = "bedrijven" if answer.organisation else "gent"
    whose = (name, f"{name}-dienst")
    if answer.service == "RegistreerInschrijving":
        row = Opening(answer.subject, answer.reference, answer.capacity)

        async def known(keys: Collection[bytes]) -> Collection[bytes]:
            return keys if has else ()

        (outcome,) = await agency.dossiers.add_many(*whose, [row], known=known)
    else:
        (outcome,) = await agency.dossiers.end_many(*whose, [Closing(answer.subject, answer.reference)])
    return outcome


async def test_every_request_has_the_outcome_of_its_magda_answer(shared_data: Path) -> None:
    found = list(answers(shared_data))
    assert {(answer.service, answer.outcome) for answer in found} == {
        ("RegistreerInschrijving", "registered"),
        ("RegistreerInschrijving", "already"),
        ("RegistreerInschrijving", "unknown"),
        ("RegistreerInschrijving", "invalid"),
        ("RegistreerInschrijving", "again"),
        ("RegistreerUitschrijving", "ended"),
        ("RegistreerUitschrijving", "again"),
    }
    for answer in found:
        agency = await opened(Log(), SubjectWall("synthetic"))
        opening = Answer(**{**vars(answer), "service": "RegistreerInschrijving"})
        if answer.outcome == "already" or answer.service == "RegistreerUitschrijving":
            assert (await asked(agency, opening)).status == "registered"
        if answer.outcome == "again":
            agency.log.broken = True  # the nearest that we have to too many requests at a time
            with pytest.raises(KafkaUnavailable):
                await asked(agency, answer)
            agency.log.broken = False
            assert (await asked(agency, answer)).status in {"registered", "ended"}, "asking again is safe"
        else:
            outcome = await asked(agency, answer, has=answer.outcome != "unknown")
            assert outcome.status == answer.outcome, answer
            assert outcome.code == {"already": "40143", "invalid": "20002", "unknown": "30001"}.get(answer.outcome)
        await agency.dossiers.close()


async def persons(folder: Path) -> list[Mapping[str, Any]]:
    """Synthetic persons of MAGDA's samples whose address has a street, one record each."""
    found = {}
    source = magda.build(str(folder / "magda" / "Persoon" / "GeefPersoon-02.02.0000"))
    async for item, _ in source.changes(None):
        if isinstance(item, Change) and item.product == "persoon.v1" and item.value is not None:
            home = item.value["verblijfplaats"]
            if home and home["straatnaam"] and SubjectWall("synthetic").verdict(item.value["insz"]) is None:
                found[item.value["insz"]] = item.value
    return list(found.values())


async def test_a_parking_company_gets_name_and_address_of_whom_it_has_a_file_on_open_and_nothing_else(
    world: Any, shared_data: Path
) -> None:
    everybody = await persons(shared_data)
    on_file, stopped, strangers = everybody[0:30:2], everybody[30:60:2], everybody[1:60:2]
    parking = await world.agree(PARKING)
    router = await world.router()
    for number, person in enumerate([*on_file, *stopped]):
        await world.register(parking, person, f"P-{number:02}")
    for number, person in enumerate(stopped, len(on_file)):
        await world.close_file(parking, person, f"P-{number:02}")
    await router.route(world.topic, await world.publish(*on_file, *stopped, *strangers))
    found = {each.value["dossierReferentie"]: each for each in await world.delivered(parking)}
    assert sorted(found) == [f"P-{number:02}" for number in range(len(on_file))]
    for number, person in enumerate(on_file):
        delivery = found[f"P-{number:02}"]
        assert {name: set(value) if isinstance(value, dict) else None for name, value in delivery.value.items()} == (
            NAME_AND_ADDRESS
        )
        assert delivery.value["naam"]["achternaam"] == person["naam"]["achternaam"]
        assert delivery.value["verblijfplaats"]["straatnaam"] == person["verblijfplaats"]["straatnaam"]
        assert delivery.value["verblijfplaats"]["gemeente"] == {"naam": person["verblijfplaats"]["gemeente"]["naam"]}
        assert person["insz"] not in str(delivery)
        assert person["geboorte"]["datum"] not in str(delivery.value)
    await world.close_file(parking, on_file[0], "P-00")
    await router.route(world.topic, await world.publish({**on_file[0], "kind": "changed"}))
    await router.route(world.topic, await world.publish({**on_file[0], "kind": "changed"}))
    *_, last = await world.delivered(parking)
    assert (last.kind, last.value, len(await world.delivered(parking))) == ("left-population", None, len(on_file) + 1)
