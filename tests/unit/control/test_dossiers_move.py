"""A merger's files: they go over as they are, once, and nothing stays behind."""

from datetime import date

from broker.model.identifiers import make_test_insz
from tests.unit.control.conftest import HOUR, NOW, PERSON, Agency, opened

OTHER = make_test_insz(date(1990, 2, 3), 5)


async def test_open_files_go_over_with_reference_capacity_and_period_and_count_from_now(agency: Agency) -> None:
    await agency.add(end=NOW + 8 * HOUR)
    await agency.add(OTHER, reference="P-2")
    await agency.add(OTHER, reference="P-3")
    await agency.end(OTHER, reference="P-3")
    agency.clock.now += HOUR
    assert await agency.dossiers.move("gent", "leuven") == 2
    assert await agency.files("leuven") == [("P-1", NOW, NOW + 8 * HOUR), ("P-2", NOW, None)]
    moved = (await agency.dossiers.page("leuven", "leuven-dienst", limit=10)).files
    assert {file.capacity for file in moved} == {"schuldeiser"}
    assert {file.registered for file in moved} == {NOW + HOUR}  # nothing is told of before
    assert len(await agency.files("gent")) == 3  # until its agreement has stopped


async def test_asked_again_it_moves_only_what_is_not_there_yet(agency: Agency) -> None:
    await agency.add()
    assert await agency.dossiers.move("gent", "leuven") == 1
    written = len(agency.log.records())
    assert await agency.dossiers.move("gent", "leuven") == 0
    assert len(agency.log.records()) == written
    await agency.add(OTHER, reference="P-9")
    assert await agency.dossiers.move("gent", "leuven") == 1


async def test_a_subject_keeps_its_lane_and_is_named_nowhere(agency: Agency) -> None:
    await agency.add()
    await agency.dossiers.move("gent", "leuven")
    (old_lane, old), (new_lane, new) = agency.log.records()
    assert old_lane == new_lane
    assert old.key is not None
    assert new.key is not None
    assert old.key.split(b"/")[0] == new.key.split(b"/")[0]
    assert PERSON.encode() not in new.key + (new.value or b"")


async def test_what_has_stopped_keeps_no_files_and_another_process_sees_that(agency: Agency) -> None:
    for number in range(5):
        await agency.add(reference=f"P-{number}")
    await agency.add(agreement="leuven")
    assert await agency.dossiers.drop("gent") == 5
    assert await agency.dossiers.drop("gent") == 0
    assert await agency.files("gent") == []
    assert len(await agency.files("leuven")) == 1
    later = await opened(agency.log, agency.dossiers._wall)
    assert await later.files("gent") == []
    await later.dossiers.close()
