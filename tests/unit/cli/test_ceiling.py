"""`datanuts ceiling`: what an owner sees of a change before and after it, as text and for machines."""

import json
from pathlib import Path

import pytest

from tests.unit.api.conftest import World
from tests.unit.cli.conftest import Run

ROOT = Path(__file__).parents[3]
FILE = ROOT / "policies" / "ceilings" / "persoon.v1.yaml"
PERSONS = "rijksregister/persoon.v1"


@pytest.fixture
def narrow(tmp_path: Path) -> str:
    """The reviewed ceilings without first names anywhere."""
    lines = [line for line in FILE.read_text().splitlines() if "naam.voornamen" not in line]
    path = tmp_path / "persoon.v1.yaml"
    path.write_text("\n".join(lines))
    return str(path)


def test_ceilings_are_listed_and_shown(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ceiling", "list", PERSONS) == 0
    assert "parkeerretributie" in capsys.readouterr().out
    assert run("ceiling", "show", PERSONS, "parkeerretributie", "--as", "gent-parkeren") == 0
    shown = capsys.readouterr().out
    assert "as for all sources" in shown
    assert "own-reference" in shown
    assert run("ceiling", "show", PERSONS, "parkeerretributie", "--json") == 0
    assert json.loads(capsys.readouterr().out)["version"]
    assert run("ceiling", "show", PERSONS, "hergebruik") == 1


def test_a_dry_run_says_which_agreements_are_cut_and_writes_nothing(
    run: Run, world: World, narrow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = world.control.state.epoch
    command = ("ceiling", "set", narrow, "--purpose", "parkeerretributie", "--as", "rijksregister", "--dry-run")
    assert run(*command) == 0
    out, err = capsys.readouterr()
    assert "rijksregister/persoon.v1 for parkeerretributie: would change" in out
    assert "cuts parkeren version 1 (active)" in out
    assert "    naam.voornamen: the owner allows nobody this field" in out
    assert "nothing was changed" in err
    assert world.control.state.epoch == before
    assert run(*command, "--json") == 0
    assert {each["agreement"] for each in json.loads(capsys.readouterr().out)["cut"]} == {
        "parkeren",
        "wachtend",
        "jeugd",
    }


def test_a_file_is_set_by_its_owner_and_a_ceiling_removed(
    run: Run, world: World, narrow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("ceiling", "set", narrow, "--as", "rijksregister") == 0
    told = capsys.readouterr().out
    assert told.count(": set") == FILE.read_text().count("- purpose:")
    assert run("ceiling", "set", narrow, "--as", "rijksregister") == 0
    assert capsys.readouterr().out.count(": unchanged") == told.count(": set")
    assert run("ceiling", "set", str(FILE), "--purpose", "parkeerretributie", "--as", "rijksregister") == 0
    assert "cuts" not in capsys.readouterr().out
    assert run("ceiling", "remove", PERSONS, "parkeerretributie", "--as", "rijksregister") == 0
    assert "cuts parkeren" in capsys.readouterr().out
    assert world.control.state.ceilings["rijksregister", "persoon.v1", "parkeerretributie"]["fields"] == []


@pytest.mark.parametrize("who", ["operator", "kbo", "gent-parkeren"])
def test_nobody_else_sets_or_removes_one(
    run: Run, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], who: str
) -> None:
    before = world.control.state.epoch
    own = tmp_path / "own.yaml"
    own.write_text(f"source: rijksregister\n{FILE.read_text()}")
    assert run("ceiling", "set", str(own), "--as", who) == 1
    assert "act --as rijksregister" in capsys.readouterr().err
    assert run("ceiling", "remove", PERSONS, "handhaving", "--as", who) == 1
    assert "FORBIDDEN" in capsys.readouterr().err
    assert run("ceiling", "set", str(FILE), "--purpose", "onbekend", "--as", "rijksregister") == 1
    assert world.control.state.epoch == before
