"""`datanuts agreement render|diff`: the same text from a file and from the broker, and what differs, read or counted."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

AGREEMENTS = Path(__file__).parents[3] / "policies" / "agreements"
GENT, LEUVEN = (str(AGREEMENTS / f"inwoners-{town}.yaml") for town in ("gent", "leuven"))


def test_what_is_printed_has_the_hash_that_is_signed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "render", GENT) == 0
    text = capsys.readouterr().out
    assert run("agreement", "render", GENT, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["text"] == text
    assert shown["sha256"] == sha256(text.encode()).hexdigest()
    assert shown["version"] == 1


def test_the_broker_s_agreement_is_rendered_by_its_id(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = tmp_path / "parkeren.pdf"
    assert run("agreement", "render", "parkeren", "--as", "gent-parkeren", "--pdf", str(paper)) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "SHA-256 of the text" in shown.err
    assert paper.read_bytes().startswith(b"%PDF-")
    assert run("agreement", "render", "parkeren", "--as", "jeugddienst-leuven") == 1
    assert run("agreement", "render", "parkeren", "--as", "gent-parkeren", "--version", "9") == 1


def test_a_pdf_that_cannot_be_written_is_told(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "render", GENT, "--pdf", str(tmp_path / "absent" / "x.pdf")) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_two_files_differ_per_clause(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "diff", GENT, LEUVEN) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{sum(not line.startswith(' ') for line in lines) - 1} clause(s) differ"
    assert lines[lines.index("~ agency: changed") + 1 :][:2] == ["    - stad-gent", "    + stad-leuven"]
    assert run("agreement", "diff", GENT, LEUVEN, "--json") == 0
    assert {"path": "agency", "label": "changed", "before": "stad-gent", "after": "stad-leuven"} in json.loads(
        capsys.readouterr().out
    )
    assert run("agreement", "diff", GENT, GENT) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_a_file_that_is_no_agreement_is_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "x.yaml"
    broken.write_text("id: x")
    assert run("agreement", "diff", GENT, str(broken)) == 1
    assert str(broken) in capsys.readouterr().err
    assert run("agreement", "render", str(broken)) == 1
    assert str(broken) in capsys.readouterr().err


def test_versions_of_an_agreement_are_compared_by_the_broker(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "diff", "parkeren", "1", "1", "--as", "gent-parkeren") == 0
    assert capsys.readouterr().out == "no difference\n"
    assert run("agreement", "diff", "parkeren", "1", "2", "--as", "gent-parkeren") == 1


def test_warnings_do_not_refuse(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "check", str(AGREEMENTS / "statistiek-vlaanderen.yaml")) == 0
    assert "  warning: verblijfplaats.gemeente.nis: " in capsys.readouterr().out
