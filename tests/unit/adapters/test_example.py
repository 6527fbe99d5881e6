from pathlib import Path

import pytest

from adapters import example
from adapters.sdk import Broken

HEAD = "nummer,straat,postcode,omschrijving,begin,einde,gewijzigd\n"
ROW = "17,Nevelhertendreef,9000,Riolering,2026-03-01,2026-04-01,2026-02-01T08:00:00Z\n"


@pytest.fixture
def read(drain, tmp_path: Path):  # noqa: ANN201 - a closure over the file
    async def of(text: str, cursor: str | None = None) -> list:
        (tmp_path / "werken.csv").write_text(HEAD + text)
        return await drain(example.build(str(tmp_path / "werken.csv")), cursor)

    return of


async def test_a_row_becomes_a_hindrance(read, roundtrip) -> None:
    [(item, cursor)] = await read(ROW)
    value = roundtrip(item)
    assert (value["identificator"], value["omschrijving"]) == ("https://gent.example/id/hinder/17", "Riolering")
    assert value["locatie"]["gemeente"] == {"nis": "44021", "naam": "Gent"}
    assert value["perioden"] == [{"begin": "2026-03-01", "einde": "2026-04-01"}]
    assert cursor == ""


async def test_a_row_without_the_time_of_its_change_is_broken(read) -> None:
    [(item, _)] = await read(ROW.replace("2026-02-01T08:00:00Z", ""))
    assert item == Broken("https://gent.example/id/hinder/17", "FIELD_MISSING", "recordedAt")


async def test_reading_goes_on_after_any_cursor(read) -> None:
    found = await read(ROW + ROW.replace("17,", "18,"))
    assert await read(ROW + ROW.replace("17,", "18,"), found[0][1]) == found[1:]


def test_the_adapter_is_short_enough_to_read() -> None:
    assert len([line for line in Path(example.__file__).read_text().splitlines() if line.strip()]) <= 30
