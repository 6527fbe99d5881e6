"""What an agency may register, on whom, and what it is answered; over a topic in memory."""

from datetime import datetime

import pytest

from broker.control.dossier_book import DossierBook
from broker.errors import Invalid, KafkaUnavailable, NotFound, NotYetKnown
from broker.model.identifiers import make_test_insz
from broker.model.keyed import lane_key, lane_of
from broker.model.wall import SubjectWall
from tests.unit.control.conftest import HOUR, K_LANE, LANES, NOBODY_TEST, NOW, PERSON, Agency, Log, opened


async def test_a_file_is_registered_once_under_its_reference(agency: Agency) -> None:
    assert await agency.add() == "registered"
    agency.clock.now += HOUR
    assert await agency.add(capacity="andere") == "already"
    assert await agency.add(reference="P-2") == "registered"
    assert await agency.files() == [("P-1", NOW, None), ("P-2", NOW + HOUR, None)]


async def test_the_record_lies_in_the_subjects_lane_and_names_nobody(agency: Agency) -> None:
    await agency.add("85.67.30-033" + PERSON[-2:])  # as people write it
    ((lane, record),) = agency.log.records()
    key = lane_key(K_LANE, PERSON.encode())
    assert lane == lane_of(key, LANES)
    assert record.key is not None and record.key.startswith(key + b"/gent/")  # noqa: PT018 - one fact
    assert PERSON.encode() not in record.key + (record.value or b"")
    book = DossierBook()
    book.apply(record.key, record.value)
    (file,) = book.of(key)
    assert (file.begin, file.registered, file.capacity) == (NOW, NOW, "schuldeiser")


async def test_an_ended_file_stays_on_the_list_and_its_reference_can_be_opened_again(agency: Agency) -> None:
    await agency.add()
    agency.clock.now += HOUR
    assert await agency.end() == "ended"
    assert await agency.end() == "already"
    agency.clock.now += HOUR
    assert await agency.end() == "already"
    assert await agency.add() == "registered"
    assert await agency.files() == [("P-1", NOW, NOW + HOUR), ("P-1", NOW + 2 * HOUR, None)]


async def test_an_end_in_the_past_takes_effect_now_and_one_in_the_future_then(agency: Agency) -> None:
    await agency.add(begin=NOW - 9 * HOUR)
    assert await agency.end(at=NOW + 2 * HOUR) == "ended"
    assert await agency.end(at=NOW + 2 * HOUR) == "already"
    assert await agency.add() == "already"
    assert await agency.end(at=NOW - HOUR) == "ended"
    assert await agency.files() == [("P-1", NOW - 9 * HOUR, NOW)]


async def test_a_file_that_never_began_ends_as_an_empty_period(agency: Agency) -> None:
    await agency.add(begin=NOW + HOUR)
    assert await agency.end() == "ended"
    assert await agency.files() == [("P-1", NOW + HOUR, NOW + HOUR)]


async def test_instants_are_kept_in_utc(agency: Agency) -> None:
    await agency.add(begin=datetime.fromisoformat("2026-01-01T00:00:00+01:00"))
    ((_, begin, _),) = await agency.files()
    assert begin.isoformat() == "2025-12-31T23:00:00+00:00"
    for begin, end in (
        (NOW, NOW),
        (NOW, NOW - HOUR),
        (None, NOW - HOUR),
        (datetime.fromisoformat("0001-01-01T00:00:00+14:00"), None),
    ):
        with pytest.raises(Invalid):
            await agency.add(reference="P-9", begin=begin, end=end)
    assert len(agency.log.records()) == 1


async def test_a_file_ends_only_under_its_own_reference_subject_and_agreement(agency: Agency) -> None:
    await agency.add()
    other = make_test_insz("1985-07-30", 35)
    for ending in (agency.end(reference="P-2"), agency.end(other), agency.end(agreement="leuven")):
        with pytest.raises(NotFound):
            await ending
    assert await agency.files("leuven") == []
    assert await agency.files() == [("P-1", NOW, None)]


async def test_another_agencys_agreement_is_not_found(agency: Agency) -> None:
    form = {"subject": PERSON, "capacity": "x", "reference": "P-1", "begin": None, "end": None}
    for agreement in ("gent", "onbestaand"):
        with pytest.raises(NotFound):
            await agency.dossiers.add(agreement, "leuven-dienst", **form)
        with pytest.raises(NotFound):
            await agency.dossiers.page(agreement, "leuven-dienst")
        with pytest.raises(NotFound):
            await agency.dossiers.standing(agreement, "leuven-dienst")
        with pytest.raises(NotFound):
            await agency.dossiers.end(agreement, "leuven-dienst", subject=PERSON, reference="P-1", end=None)


@pytest.mark.parametrize(
    ("wall", "subject", "code"),
    [
        (SubjectWall("synthetic"), NOBODY_TEST, "REAL_SUBJECT"),
        (SubjectWall("real"), PERSON, "TEST_SUBJECT"),
        (SubjectWall("synthetic"), "85073003329", "check digits"),
        (SubjectWall("synthetic"), "0244142664", "eleven digits"),
    ],
)
async def test_a_person_behind_the_wall_is_refused_without_repeating_the_number(
    wall: SubjectWall, subject: str, code: str
) -> None:
    agency = await opened(Log(), wall)
    for attempt in (agency.add(subject), agency.end(subject)):
        with pytest.raises(Invalid, match=code) as refused:
            await attempt
        assert subject not in str(refused.value) + repr(refused.value) + refused.value.operator
    assert agency.log.records() == []


async def test_the_wall_is_open_for_listed_numbers() -> None:
    agency = await opened(Log(), SubjectWall("synthetic", frozenset({NOBODY_TEST})))
    assert await agency.add(NOBODY_TEST) == "registered"


@pytest.mark.parametrize(
    ("agreement", "stated", "canonical"),
    [
        ("bedrijven", "244.142.664", "0244142664"),
        ("bedrijven", "OVO001825", "OVO001825"),
        ("bedrijven", "http://data.lblod.info/id/bestuurseenheden/1", "http://data.lblod.info/id/bestuurseenheden/1"),
        ("werken", "https://gipod.example/api/v1/hinder/1?a=b#c", "https://gipod.example/api/v1/hinder/1?a=b#c"),
    ],
)
async def test_bodies_and_things_are_known_by_number_or_iri(
    agency: Agency, agreement: str, stated: str, canonical: str
) -> None:
    assert await agency.add(stated, agreement=agreement) == "registered"
    ((_, record),) = agency.log.records()
    assert (record.key or b"").startswith(lane_key(K_LANE, canonical.encode()))


@pytest.mark.parametrize("stated", ["0244142665", "OVO1", "Stad Gent", "urn:x", "https://x/ y", ""])
async def test_what_names_no_body_or_thing_is_refused(agency: Agency, stated: str) -> None:
    with pytest.raises(Invalid, match="KBO number") as refused:
        await agency.add(stated, agreement="bedrijven")
    assert not stated or stated not in str(refused.value)


async def test_two_processes_see_each_others_files(agency: Agency) -> None:
    other = await opened(agency.log, SubjectWall("synthetic"))
    await agency.add()
    assert await other.add() == "already"
    assert await other.end() == "ended"
    assert await agency.end() == "already"
    assert await (await opened(agency.log, SubjectWall("synthetic"))).files() == [("P-1", NOW, NOW)]


async def test_trouble_says_that_asking_again_helps_and_leaves_nothing(agency: Agency) -> None:
    agency.log.broken = True
    with pytest.raises(KafkaUnavailable):
        await agency.add()
    agency.log.broken, agency.keys.known = False, False
    with pytest.raises(NotYetKnown):
        await agency.add()
    agency.keys.known = True
    with pytest.raises(NotYetKnown):
        await agency.add("https://a.example/1", agreement="later")
    assert await agency.files() == []
    assert await agency.add() == "registered"
