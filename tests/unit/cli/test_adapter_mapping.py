"""`datanuts adapter new|check|run --dry-run` over mapping files: no Kafka is needed until something is published."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from broker.cli.main import main

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(name: str = "werken", product: str = "hinder.v1", *more: str) -> int:
    return main(["adapter", "new", name, "--type", product, *more])


@pytest.mark.parametrize("product", ["persoon.v1", "organisatie.v1", "adres.v1", "hinder.v1"])
def test_a_new_adapter_works_as_it_is(product: str, here: Path, capsys) -> None:
    assert new("mijn-bron", product, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    names = ["README.md", "agreement.yaml", "mapping.yaml", "sample/mijn-bron.csv", "test_mijn_bron.py"]
    assert told["files"] == names
    assert all((here / "mijn-bron" / name).is_file() for name in names)
    assert main(["adapter", "check", "mijn-bron", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["read"], counts["published"], counts["quarantined"]) == (20, 20, {})
    assert main(["agreement", "check", "mijn-bron/agreement.yaml"]) == 0
    commands = [
        line for line in (here / "mijn-bron/README.md").read_text().splitlines() if line.startswith("    datanuts")
    ]
    assert len(commands) == 5


def test_its_test_passes_as_generated(here: Path) -> None:
    kinds = ("csv", "ldes", "rest", "xml")
    assert [new(f"van-{kind}", "hinder.v1", "--from", kind) for kind in kinds] == [0] * len(kinds)
    folders = [f"van-{kind}" for kind in kinds]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *folders]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


@pytest.mark.parametrize("kind", ["ldes", "xml"])
def test_check_and_explain_work_with_each_kind(kind: str, here: Path, capsys, monkeypatch) -> None:
    assert new("werken", "hinder.v1", "--from", kind) == 0
    capsys.readouterr()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["adapter", "run", "werken", "--dry-run", "--explain", "3"]) == 0
    shown = capsys.readouterr().out
    assert (shown.count("record "), "20 read" in shown) == (3, True)
    row = next(line for line in shown.splitlines() if " recordedAt " in line)
    assert row.split()[:1] == row.split()[-1:] == ["2026-01-01T08:00:00Z"]
    file = here / "werken/mapping.yaml"
    file.write_text(file.read_text().replace("recordedAt: ", "recordedAt: //"))
    assert main(["adapter", "check", "werken"]) == 1
    assert "recordedAt: `//" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (["new", "werken", "--type", "hinder.v1"], 1, "werken is there already"),
        (["new", "Werken", "--type", "hinder.v1"], 1, "slug"),
        (["new", "anders", "--type", "weer.v1"], 1, "no schema of weer.v1"),
        (["check", "--mapping", "nergens.yaml"], 1, "cannot be read"),
        (["run", "werken", "--explain", "2"], 1, "goes with --dry-run"),
        (["check", "example", "--source", "x.csv", "--explain", "2"], 1, "is for mappings"),
        (["check", "werken", "--explain", "2"], 1, "your own terminal"),
    ],
)
def test_what_is_refused_says_what_to_do(command, code, told, capsys) -> None:
    assert new() == 0
    assert main(["adapter", *command]) == code
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", [["check"], ["run"], ["check", "werken", "--explain", "0"], ["new", "werken"]])
def test_wrong_usage_ends_with_64(command) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["adapter", *command])
    assert ended.value.code == 64


def test_check_shows_every_mistake_of_the_mapping_at_once(here: Path, capsys) -> None:
    assert new() == 0
    file = here / "werken/mapping.yaml"
    text = file.read_text().replace("versie:", "versi:").replace("zones: {const: []}", "zones: {const: 5}")
    file.write_text(text)
    lines = text.splitlines()
    capsys.readouterr()
    assert main(["adapter", "check", "werken"]) == 1
    shown = capsys.readouterr().err
    assert "the mapping has 3 mistake(s) [MAPPING_REFUSED]" in shown
    for path, told in (("versi", "did you mean versie?"), ("zones", "is a list of groups")):
        number = next(number for number, line in enumerate(lines, 1) if line.strip().startswith(f"{path}:"))
        assert f"mapping.yaml:{number}: {path}: " in shown
        assert told in shown
    assert main(["adapter", "check", "werken", "--json"]) == 1
    problem = json.loads(capsys.readouterr().out)
    assert problem["code"] == "MAPPING_REFUSED"
    assert {finding["path"] for finding in problem["findings"]} == {"versi", "versie", "zones"}


def test_check_tells_of_columns_that_the_file_does_not_have(here: Path, capsys) -> None:
    assert new() == 0
    file = here / "werken/sample/werken.csv"
    file.write_text(file.read_text().replace("nummer;", "nr;"))
    assert main(["adapter", "check", "werken"]) == 1
    assert "nummer: the first file has no such column; it has nr, gewijzigd" in capsys.readouterr().err


def test_explain_shows_source_rule_and_field_and_publishes_nothing(here: Path, capsys, monkeypatch) -> None:
    assert new() == 0
    capsys.readouterr()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    command = ["adapter", "run", "--mapping", "werken/mapping.yaml", "--dry-run", "--explain", "2"]
    assert main(command) == 0
    shown = capsys.readouterr()
    assert "on this terminal only" in shown.err
    assert shown.out.count("record ") == 2
    row = next(line for line in shown.out.splitlines() if "identificator" in line)
    assert row.split() == [
        "1", "template:", "https://werken.example/id/identificator/{nummer}",
        "identificator", "https://werken.example/id/identificator/1",
    ]  # fmt: skip
    assert "20 read" in shown.out
    assert not (here / ".datanuts").exists()
    file = here / "werken/sample/werken.csv"
    file.write_text(file.read_text().replace("2026-01-01T08:00:00Z", "gisteren"))
    assert main(command) == 0
    assert "record 1: quarantined, DATE_INVALID at recordedAt" in capsys.readouterr().out
