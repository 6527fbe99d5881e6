"""Positions in files, and the pauses between attempts."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.client import FilePositions, Patience, Position
from broker.errors import ConfigError, Invalid


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


async def test_a_position_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    positions = FilePositions(tmp_path)
    assert await positions.load("inwoners-gent") is None
    for number in range(2):
        await positions.save("inwoners-gent", Position(f"c{number}", ("a", "b")))
    assert await FilePositions(tmp_path).load("inwoners-gent") == Position("c1", ("a", "b"))
    assert await positions.load("inwoners-leuven") is None
    path = only_file(tmp_path)
    assert path.name == "inwoners-gent.position.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_what_a_crash_left_beside_the_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "a.position.new").write_text("half a pos")
    (tmp_path / "a.position.new").chmod(0o644)
    await FilePositions(tmp_path).save("a", Position("c1"))
    path = only_file(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cursor": "c1", "recent": 3}', "\xff"])
async def test_a_damaged_file_is_never_taken_for_a_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.position.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="delete it"):
        await FilePositions(tmp_path).load("a")


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        await FilePositions(tmp_path / "gone").save("a", Position("c1"))


async def test_by_default_the_file_lies_beside_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.touch()
    monkeypatch.setattr("sys.argv", [str(program)])
    await FilePositions().save("a", Position("c1"))
    assert (tmp_path / "a.position.json").exists()


async def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        await FilePositions(tmp_path).load("../other")


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 1e9))
def test_a_pause_grows_to_its_cap_and_is_at_least_what_was_asked(attempt: int, chance: float, asked: float) -> None:
    patience = Patience(first_s=0.5, longest_s=30, random=lambda: chance)
    pause = patience.pause_s(attempt)
    assert 0.25 <= pause <= 30
    assert pause == pytest.approx(min(30, 0.5 * 2 ** min(attempt, 20)) * (1 - chance / 2))
    assert min(asked, 3600) <= patience.pause_s(attempt, asked) <= 4500
