"""Many registrations at once, lists of many files, and files that ended long ago; over a topic in memory."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.control.registrations import KEPT, MOST_FILES, Closing, Opening, Outcome
from broker.errors import Invalid, KafkaUnavailable, NotFound, NotYetKnown, UnknownSubject
from broker.model.identifiers import make_test_insz
from broker.model.keyed import lane_key
from broker.model.wall import SubjectWall
from tests.unit.control.conftest import HOUR, K_LANE, NOBODY_TEST, NOW, Agency, Log, opened

PEOPLE = [str(make_test_insz("1985-07-30", serial)) for serial in range(1, 60)]
DAY = timedelta(days=1)


def row(person: str = PEOPLE[0], reference: str = "P-1", **given: Any) -> Opening:
    return Opening(person, reference, "schuldeiser", **given)


async def load(agency: Agency, rows: Sequence[Opening], **given: Any) -> list[str]:
    return [outcome.status for outcome in await agency.dossiers.add_many("gent", "gent-dienst", rows, **given)]


async def close(agency: Agency, rows: Sequence[Closing]) -> list[str]:
    return [outcome.status for outcome in await agency.dossiers.end_many("gent", "gent-dienst", rows)]


async def test_every_row_is_answered_and_the_same_rows_again_change_nothing(agency: Agency) -> None:
    rows = [row(person, f"P-{number:02}") for number, person in enumerate(PEOPLE)]
    assert await load(agency, rows) == ["registered"] * len(rows)
    written = len(agency.log.records())
    agency.clock.now += HOUR
    assert await load(agency, rows) == ["already"] * len(rows)
    assert len(agency.log.records()) == written == len(rows)
    assert [reference for reference, *_ in await agency.files()] == [f"P-{number:02}" for number in range(len(rows))]


async def test_a_row_sees_what_the_rows_before_it_did(agency: Agency) -> None:
    past = {"begin": NOW - 3 * DAY, "end": NOW - DAY}
    rows = [row(), row(), row(reference="P-2"), row(reference="P-3", **past), row(reference="P-3", **past)]
    assert await load(agency, rows) == ["registered", "already", "registered", "registered", "already"]
    assert await load(agency, rows) == ["already"] * 5
    ends = [Closing(PEOPLE[0], "P-1"), Closing(PEOPLE[0], "P-1"), Closing(PEOPLE[0], "P-9"), Closing(PEOPLE[0], "P-3")]
    assert await close(agency, ends) == ["ended", "already", "unknown", "already"]
    assert await close(agency, ends) == ["already", "already", "unknown", "already"]


async def test_a_row_that_cannot_be_says_why_as_magda_does_and_stops_no_other(agency: Agency) -> None:
    rows = [
        row(NOBODY_TEST),
        row(PEOPLE[0][:-1] + str((int(PEOPLE[0][-1]) + 1) % 10)),
        row(begin=NOW, end=NOW),
        row(reference="P-2"),
    ]
    outcomes = await agency.dossiers.add_many("gent", "gent-dienst", rows)
    assert [outcome.status for outcome in outcomes] == ["invalid", "invalid", "invalid", "registered"]
    assert [outcome.code for outcome in outcomes] == ["REAL_SUBJECT", "20002", "20003", None]
    assert not any(row.subject in str(outcome) + repr(row) for row, outcome in zip(rows, outcomes, strict=True))
    (again,) = await agency.dossiers.add_many("gent", "gent-dienst", rows[3:])
    assert again == Outcome("already", "40143")
    body = await agency.dossiers.add_many("bedrijven", "bedrijven-dienst", [row("0244142665")])
    assert body[0].code == "20007"


@pytest.mark.parametrize("reference", ["{0}", "P-{0}/2026", "{0:.2}.{1}"])
async def test_a_reference_that_is_the_subject_would_give_it_away(agency: Agency, reference: str) -> None:
    named = reference.format(PEOPLE[0], PEOPLE[0][2:])
    (outcome,) = await agency.dossiers.add_many("gent", "gent-dienst", [row(reference=named)])
    assert (outcome.status, outcome.code) == ("invalid", "50000")
    assert PEOPLE[0] not in str(outcome)
    assert await load(agency, [row(PEOPLE[1], named)]) == ["registered"]
    assert await close(agency, [Closing(PEOPLE[0], named)]) == ["unknown"]


async def test_whom_the_source_does_not_have_is_unknown_and_not_registered(agency: Agency) -> None:
    rows, asked = [row(PEOPLE[0]), row(PEOPLE[1]), row(NOBODY_TEST), row(PEOPLE[1], "P-2")], []

    async def known(keys: Collection[bytes]) -> Collection[bytes]:
        asked.append(set(keys))
        return {lane_key(K_LANE, PEOPLE[0].encode())}

    assert await load(agency, rows, known=known) == ["registered", "unknown", "invalid", "unknown"]
    assert len(agency.log.records()) == 1
    assert asked == [{lane_key(K_LANE, person.encode()) for person in PEOPLE[:2]}]
    with pytest.raises(UnknownSubject, match="unknown=register"):
        await agency.add(PEOPLE[1], known=known)
    assert await agency.add(PEOPLE[0], known=known) == "already"
    assert await agency.add(PEOPLE[1]) == "registered"


async def test_nothing_is_registered_while_it_is_not_known_whom_the_source_has(agency: Agency) -> None:
    async def known(_keys: Collection[bytes]) -> Collection[bytes]:
        raise NotYetKnown

    with pytest.raises(NotYetKnown):
        await load(agency, [row()], known=known)
    assert agency.log.records() == []
    assert await load(agency, [row(NOBODY_TEST)], known=known) == ["invalid"], "nobody has to be asked about these"


async def test_one_subject_has_so_many_files_and_no_more(agency: Agency) -> None:
    rows = [row(reference=f"P-{number}") for number in range(MOST_FILES + 1)]
    assert Counter(await load(agency, rows)) == {"registered": MOST_FILES, "invalid": 1}
    assert await load(agency, [row(PEOPLE[1])]) == ["registered"]


async def test_trouble_halfway_leaves_rows_that_are_already_there_the_next_time(agency: Agency) -> None:
    assert await load(agency, [row(reference=f"P-{number}") for number in range(3)]) == ["registered"] * 3
    agency.log.broken = True
    rows = [row(reference=f"P-{number}") for number in range(5)]
    with pytest.raises(KafkaUnavailable):
        await load(agency, rows)
    agency.log.broken = False
    assert await load(agency, rows) == ["already"] * 3 + ["registered"] * 2


async def test_a_list_is_read_page_by_page_and_a_cursor_names_nobody(agency: Agency) -> None:
    rows = [row(person, f"P-{number:02}") for number, person in enumerate(PEOPLE)]
    await load(agency, [*rows, row(PEOPLE[0], "Q-1")])
    await agency.add(agreement="leuven")
    found, cursor, pages = list[str](), None, 0
    keys = {lane_key(K_LANE, person.encode()).decode() for person in PEOPLE}
    while pages == 0 or cursor is not None:
        page = await agency.dossiers.page("gent", "gent-dienst", cursor, limit=7)
        found += [file.reference for file in page.files]
        assert 7 <= len(page.files) <= 8 or page.next is None
        cursor, pages = page.next, pages + 1
        assert cursor not in keys
    assert sorted(found) == [*(f"P-{number:02}" for number in range(len(PEOPLE))), "Q-1"]
    assert pages > len(PEOPLE) // 8


async def test_a_page_goes_on_where_it_was_also_when_files_come_and_go(agency: Agency) -> None:
    await load(agency, [row(person, "old", begin=NOW - 99 * DAY, end=NOW - DAY) for person in PEOPLE[:20]])
    await load(agency, [row(person, "stays") for person in PEOPLE[20:40]])
    agency.clock.now += KEPT + DAY
    first = await agency.dossiers.page("gent", "gent-dienst", limit=10)
    assert await agency.dossiers.forget() == 20
    await load(agency, [row(person, "new") for person in PEOPLE[40:]])
    rest = await agency.dossiers.page("gent", "gent-dienst", first.next, limit=100)
    found = Counter(file.reference for file in (*first.files, *rest.files))
    assert found["stays"] == 20


@pytest.mark.parametrize("cursor", ["", "x", "0" * 31, "0" * 33, "g" * 32, "é" * 32, "00 " * 16])
async def test_what_is_no_cursor_is_refused(agency: Agency, cursor: str) -> None:
    with pytest.raises(Invalid, match="earlier page"):
        await agency.dossiers.page("gent", "gent-dienst", cursor)


async def test_the_files_of_an_agreement_are_counted(agency: Agency) -> None:
    await load(agency, [row(PEOPLE[0]), row(PEOPLE[1]), row(PEOPLE[2], begin=NOW + DAY), row(PEOPLE[0], "P-2")])
    await close(agency, [Closing(PEOPLE[1], "P-1")])
    standing = await agency.dossiers.standing("gent", "gent-dienst")
    assert (standing.total, standing.open) == (4, 3)
    assert (await agency.dossiers.standing("leuven", "leuven-dienst")).total == 0


async def test_a_file_is_forgotten_thirty_days_after_its_end_and_not_a_moment_before(agency: Agency) -> None:
    await load(agency, [row(reference="open"), row(reference="ended"), row(reference="late")])
    await load(agency, [row(reference="past", begin=NOW - 90 * DAY, end=NOW - 80 * DAY)])
    await agency.add(agreement="leuven", reference="other")
    await close(agency, [Closing(PEOPLE[0], "ended"), Closing(PEOPLE[0], "late", NOW + 2 * HOUR)])
    await agency.end(agreement="leuven", reference="other")
    agency.clock.now += KEPT
    assert await agency.dossiers.forget() == 0
    agency.clock.now += HOUR
    assert await agency.dossiers.forget() == 3  # also one whose period was past when it was registered
    assert [reference for reference, *_ in await agency.files()] == ["late", "open"]
    assert await agency.files("leuven") == []
    tombstones = [record.key for _, record in agency.log.records() if record.value is None]
    assert len(tombstones) == 3
    assert await agency.dossiers.forget() == 0
    other = await opened(agency.log, SubjectWall("synthetic"))
    assert [reference for reference, *_ in await other.files()] == ["late", "open"]
    with pytest.raises(NotFound):
        await agency.end(PEOPLE[0], reference="ended")


async def test_open_files_move_to_a_successors_agreement_once(agency: Agency) -> None:
    await load(agency, [*(row(person) for person in PEOPLE), row(reference="P-2", begin=NOW + DAY)])
    await close(agency, [Closing(PEOPLE[0], "P-1")])
    agency.clock.now += HOUR
    await agency.add(PEOPLE[1], agreement="leuven")
    assert await agency.dossiers.move("gent", "leuven") == len(PEOPLE) - 1
    assert await agency.dossiers.move("gent", "leuven") == 0
    moved = await agency.files("leuven")
    assert len(moved) == len(PEOPLE)
    assert ("P-2", NOW + DAY, None) in moved
    assert len(await agency.files()) == len(PEOPLE) + 1
    assert await agency.dossiers.drop("gent") == len(PEOPLE) + 1
    assert await agency.files() == []
    assert len(await agency.files("leuven")) == len(PEOPLE)


async def test_what_may_be_forgotten_at_this_moment_is_not_registered_under_the_same_begin(agency: Agency) -> None:
    """Another process may forget the file now: its null value would come after the registration."""
    begin = NOW - DAY
    assert await load(agency, [row(begin=begin)]) == ["registered"]
    await close(agency, [Closing(PEOPLE[0], "P-1")])
    assert await load(agency, [row(begin=begin)]) == ["registered"]
    await close(agency, [Closing(PEOPLE[0], "P-1")])
    agency.clock.now += KEPT
    assert await load(agency, [row(begin=begin)]) == ["invalid"]
    assert await load(agency, [row()]) == ["registered"]
    agency.clock.now += HOUR
    assert await agency.dossiers.forget() == 1
    await close(agency, [Closing(PEOPLE[0], "P-1")])
    assert await load(agency, [row(begin=begin)]) == ["registered"]


@given(data=st.data())
async def test_many_at_once_are_answered_as_one_by_one(data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(
            st.builds(
                row,
                st.sampled_from([*PEOPLE[:2], NOBODY_TEST]),
                st.sampled_from(("P-1", "P-2")),
                begin=st.sampled_from((None, NOW - 2 * DAY, NOW + DAY)),
                end=st.sampled_from((None, NOW - DAY, NOW + 2 * DAY)),
            ),
            max_size=12,
        )
    )
    one, many = await opened(Log(), SubjectWall("synthetic")), await opened(Log(), SubjectWall("synthetic"))
    answers = []
    for each in rows:
        answers += await load(one, [each])
    assert await load(many, rows) == answers
    assert await many.files() == await one.files()
    for agency in (one, many):
        await agency.dossiers.close()
