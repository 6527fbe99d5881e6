"""`datanuts dossier load`: what an agency sees of a bulk file, and what a failure leaves to do."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from broker.cli import dossier_load
from broker.cli.dossier_load import CSV, NDJSON, Part, parts
from broker.control.registrations import Outcome
from broker.errors import KafkaUnavailable, NotYetKnown
from tests.unit.api.conftest import World
from tests.unit.cli.conftest import Run

INSZ = "84621512345"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dossiers.csv"
    rows = "".join(f"{INSZ};P-{number}\r\n" for number in range(25))
    path.write_bytes(b"\xef\xbb\xbf" + f"sep=;\r\ninsz;referentie\r\n{rows}".encode())
    return path


def load(run: Run, file: object, *more: str) -> int:
    return run("dossier", "load", "parkeren", str(file), "--as", "gent-parkeren", *more)


def test_a_file_is_loaded_in_parts_and_its_lines_keep_their_numbers(
    run: Run, world: World, file: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parts, "__defaults__", (10,))
    world.dossiers.outcomes = {"P-3": Outcome("already", "40143"), "P-12": Outcome("invalid", "20002", "no INSZ")}
    results = tmp_path / "results.ndjson"
    assert load(run, file, "--results", str(results)) == 1
    told = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["line"] for line in told] == list(range(3, 28))
    assert told[3] == {"line": 6, "reference": "P-3", "status": "already", "code": "40143"}
    assert told[12] == {"line": 15, "status": "invalid", "code": "20002", "problem": "no INSZ"}
    assert [len(asked["rows"]) for _, asked in world.dossiers.calls] == [10, 10, 5]
    shown = capsys.readouterr()
    first, total = shown.out.splitlines()
    assert first == "line 15: invalid: no INSZ [20002]"
    assert total.startswith("23 registered, 1 already, 1 invalid in ")
    assert INSZ not in shown.out + shown.err + results.read_text()


def test_a_machine_gets_one_object(run: Run, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(run, file, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["lines"], told["registered"]) == (25, 25)


def test_files_are_ended_from_standard_input(run: Run, world: World, monkeypatch) -> None:
    lines = f'{{"subject": "{INSZ}", "reference": "P-1"}}\n'.encode()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(lines)))
    assert load(run, "-", "--end") == 0
    ((name, asked),) = world.dossiers.calls
    assert (name, asked["rows"][0].subject) == ("end_many", INSZ)


def test_a_file_to_end_that_is_not_there_is_no_success(run: Run, world: World, file: Path) -> None:
    world.dossiers.outcomes = {"P-3": Outcome("unknown", None, "no such file")}
    file.write_text(f"insz;referentie\n{INSZ};P-3\n")
    assert load(run, file, "--end") == 1


def test_whom_the_source_does_not_have_is_no_success_unless_it_is_asked_for(
    run: Run, world: World, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.known.strangers = {INSZ.encode()}
    assert load(run, file) == 1
    shown = capsys.readouterr().out
    assert "line 3: unknown: the source has no record of this subject now" in shown
    assert "25 unknown in " in shown
    assert load(run, file, "--register-unknown") == 0
    assert "25 registered in " in capsys.readouterr().out


def test_a_broker_that_reads_whom_the_source_has_is_waited_for_as_long_as_it_says(
    run: Run, world: World, file: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.known.trouble = NotYetKnown("still reading", after_s=7)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 9:
            world.known.trouble = None

    monkeypatch.setattr(dossier_load.time, "sleep", pause)
    assert load(run, file) == 0
    assert pauses == [7] * 9
    assert "still reading: trying again in 7 s" in capsys.readouterr().err


def test_a_broker_that_is_away_for_a_moment_is_waited_for(
    run: Run, world: World, file: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.dossiers.trouble = KafkaUnavailable("not now")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            world.dossiers.trouble = None

    monkeypatch.setattr(dossier_load.time, "sleep", pause)
    assert load(run, file) == 0
    assert "not now: trying again in 1 s" in capsys.readouterr().err
    world.dossiers.trouble = KafkaUnavailable("not now")
    assert load(run, file) == 2
    assert pauses == [1, 2, 1, 2, 4, 8]


def test_what_is_no_such_file_or_none_at_all_is_one_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_text(f"{INSZ};P-1\n")
    assert load(run, tmp_path / "x.csv") == 1
    assert load(run, tmp_path / "absent.csv") == 1
    assert load(run, tmp_path / "x.csv", "--results", str(tmp_path / "no" / "folder")) == 1
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 3
    assert "the first line names the columns" in shown
    assert INSZ not in shown


def test_problems_of_a_hopeless_file_do_not_fill_the_screen(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("insz;referentie\n" + "1;?\n" * 1000)
    assert load(run, file) == 1
    assert len(capsys.readouterr().out.splitlines()) < 30


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (b"", []),
        (b"a;b", [Part(CSV, b"a;b\n", 0)]),
        (b"a;b\n1\n2\n3", [Part(CSV, b"a;b\n1\n2\n", 0), Part(CSV, b"a;b\n3", 2)]),
        (b"\n\na;b\n1\n2\n3\n", [Part(CSV, b"\n\na;b\n1\n2\n", 0), Part(CSV, b"\n\na;b\n3\n", 2)]),
        (b'"sep=;"\r\na\r\n1', [Part(CSV, b'"sep=;"\r\na\r\n1', 0)]),
        (b"\n{1\n{2\n{3", [Part(NDJSON, b"\n{1\n", 0), Part(NDJSON, b"{2\n{3", 2)]),
        (b"\xef\xbb\xbf{1", [Part(NDJSON, b"\xef\xbb\xbf{1\n", 0)]),
    ],
)
def test_parts_are_files_of_their_own(file: bytes, expected: list[Part]) -> None:
    assert list(parts(io.BytesIO(file), 2)) == expected
