"""Open forms at the command line: what is printed is the form itself, for a file or the next program."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest

from broker.cli.main import main
from broker.policy import documents
from broker.policy.odrl import to_odrl
from tests.unit.api.conftest import World
from tests.unit.cli.conftest import Run

ROOT = Path(__file__).parents[3]


def test_an_exported_agreement_reads_back_as_its_document(
    run: Run, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("agreement", "export-odrl", "parkeren", "--as", "gent-parkeren") == 0
    exported = tmp_path / "parkeren.jsonld"
    exported.write_text(capsys.readouterr().out)
    assert json.loads(exported.read_text())["type"] == "Agreement"
    assert main(["agreement", "import-odrl", str(exported)]) == 0
    read = documents.agreement(json.loads(capsys.readouterr().out))
    assert read == documents.agreement(world.entry("parkeren").document)


def test_a_changed_export_is_refused_with_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = to_odrl(documents.agreement((ROOT / "policies" / "agreements" / "inwoners-gent.yaml").read_text()))
    document["permission"][0]["target"]["canary"] = "canary"
    other = tmp_path / "other.jsonld"
    other.write_text(json.dumps(document))
    assert main(["agreement", "import-odrl", str(other)]) != 0
    refused = capsys.readouterr()
    assert refused.out == ""
    assert "document.permission.0.target" in refused.err
    assert "canary" not in refused.err


def test_the_register_is_a_table_or_a_row_per_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "export-register", "--as", "rijksregister") == 0
    written = capsys.readouterr().out
    assert written.startswith("\ufeffKenmerk;")
    table = list(csv.DictReader(StringIO(written.removeprefix("\ufeff")), delimiter=";"))
    assert [line["Kenmerk"] for line in table] == ["jeugd", "parkeren"]
    for asked in (["--format", "json"], ["--json"]):
        assert run("agreement", "export-register", "--as", "rijksregister", *asked) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["Kenmerk"] for line in lines] == ["jeugd", "parkeren"]


def test_the_operator_exports_its_own_register(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "export-register", "--format", "json") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["Verwerkingsverantwoordelijke (a)"] == "gent-parkeren"
