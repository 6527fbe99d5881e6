"""Offline questions about documents: what a person and a script get, and that no value comes back in a refusal."""

import io
import json
from pathlib import Path

import pytest

from broker.cli.main import REFUSED, main

ROOT = Path(__file__).parents[3]
GENT = str(ROOT / "policies" / "agreements" / "inwoners-gent.yaml")
LEUVEN = str(ROOT / "policies" / "agreements" / "inwoners-leuven.yaml")
NIS = "verblijfplaats.gemeente.nis"


@pytest.fixture
def record(tmp_path: Path) -> str:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({NIS: "44021", "naam.achternaam": "Zeldzaam"}))
    return str(path)


def test_a_document_is_explained_offline(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agreement", "explain", GENT, "--record", record, "--at", "2026-06-01T00:00:00Z"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "released as initial, by fields"
    assert f"  yes  {NIS}: is 44021" in lines
    assert "  out    naam.achternaam: as it is" in lines
    assert not any("Zeldzaam" in line for line in lines)


def test_a_record_comes_from_standard_input_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({NIS: "24062"})))
    assert main(["agreement", "explain", GENT, "--record", "-", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["result"] == {"outcome": "not-a-member", "kind": None, "reason": "OUTSIDE_POPULATION"}


@pytest.mark.parametrize("text", ["Zeldzaam", '{"Zeldzaam": "x"}', '{"naam.achternaam": ["Zeldzaam"]}'])
def test_a_record_that_cannot_be_is_refused_without_repeating_it(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    assert main(["agreement", "explain", GENT, "--record", str(path)]) == REFUSED
    assert "Zeldzaam" not in "".join(capsys.readouterr())


def test_documents_are_compared_offline_with_a_record_of_each_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agreement", "compare", GENT, LEUVEN]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{LEUVEN} is incomparable with {GENT}"
    assert "  population.where: only the new one releases" in lines
    assert any(f"{NIS} = 24062" in line for line in lines)
    assert any("differs too, beside what is released: title, agency" in line for line in lines)
    assert main(["agreement", "compare", GENT, GENT, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "equal"


def test_a_version_that_is_no_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agreement", "compare", "inwoners-gent@laatste", "inwoners-gent"]) == REFUSED
    assert "a version is a number" in capsys.readouterr().err


def test_a_new_version_of_a_schema_is_reported_per_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = ROOT / "schemas" / "persoon.v1.avsc"
    schema = json.loads(old.read_text())
    leaf = {"name": "bijnaam", "type": ["null", "string"], "default": None, "iri": "https://example.org/bijnaam"}
    schema |= {
        "product": "persoon.v2",
        "fields": [*schema["fields"], leaf | {"doc": "Bijnaam.", "class": "identifying"}],
    }
    new = tmp_path / "persoon.v2.avsc"
    new.write_text(json.dumps(schema))
    assert main(["product", "growth", str(old), str(new), "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["source"] == "rijksregister"
    (field,) = report["fields"]
    assert (field["path"], field["class"], field["receivedBy"], field["mayAsk"]) == ("bijnaam", "identifying", [], [])
    assert "inwoners-gent" in [each["agreement"] for each in field["ownerFirst"]]
    assert main(["product", "growth", str(old), str(new)]) == 0
    shown = capsys.readouterr().out
    assert "bijnaam (identifying): nobody receives it" in shown
    assert "inwoners-gent" in shown
    assert main(["product", "growth", str(old), str(old)]) == 0
    assert "nothing is new" in capsys.readouterr().out
