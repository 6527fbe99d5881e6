"""What a person or a script gets from each command, and the exit code it ends with."""

import io
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from broker.cli.datadir import DataDir
from broker.cli.main import main
from broker.errors import ConfigError
from broker.model.facts import Fact, FactType
from tests.unit.api.conftest import NOW, World
from tests.unit.cli.conftest import Run

ROOT = Path(__file__).parents[3]
AGREEMENTS = ROOT / "policies" / "agreements"
INSZ = "84621512345"


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "64 wrong usage" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["", "nothing", "consume", "consume x", "trace zz", "dossier add --agreement x"])
def test_wrong_usage_ends_with_64(run: Run, line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*line.split())
    assert ended.value.code == 64


def test_agreements_are_checked_offline(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(AGREEMENTS / f"{name}.yaml") for name in ("inwoners-gent", "nationaliteit-onderzoek")]
    assert run("agreement", "check", files[0]) == 0
    assert run("agreement", "check", "--json", *files) == 1
    good, bad = map(json.loads, capsys.readouterr().out.splitlines()[1:])
    assert (good["ok"], bad["ok"]) == (True, False)
    assert bad["findings"][0]["code"] == "ABOVE_CEILING"


def test_files_that_are_no_document_are_told_like_broken_clauses_and_do_not_stop_the_others(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.yaml").write_text("id: [")
    (tmp_path / "y.yaml").write_bytes(b"\xff")
    good = AGREEMENTS / "inwoners-gent.yaml"
    assert (
        run("agreement", "check", *(str(tmp_path / name) for name in ("x.yaml", "y.yaml", "absent.yaml")), str(good))
        == 1
    )
    shown = capsys.readouterr()
    assert shown.err == ""
    assert [line.rpartition("[")[2] for line in shown.out.splitlines() if line.startswith("  ")] == [
        "NOT_YAML]",
        "UNREADABLE]",
        "UNREADABLE]",
    ]
    assert shown.out.endswith(f"{good}: ok\n")


def test_an_agreement_is_applied_approved_and_revoked(
    run: Run, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("agreement", "apply", str(AGREEMENTS / "parkeerboetes-gent.yaml")) == 0
    assert run("agreement", "approve", "wachtend", "--as", "rijksregister") == 0
    assert run("agreement", "revoke", "parkeren", "--as", "rijksregister") == 0
    assert world.agreements.calls == [
        ("request", "parkeerboetes-gent", "gent-parkeren"),
        ("approve", "wachtend", "rijksregister"),
        ("revoke", "parkeren", "rijksregister"),
    ]
    assert "after them: 0 records" in capsys.readouterr().out


def test_a_refusal_is_one_line_or_one_problem_object(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "approve", "wachtend") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("datanuts: only the owner of the source (rijksregister) may do this")
    assert line.endswith("[FORBIDDEN]")
    assert run("agreement", "approve", "wachtend", "--json") == 1
    assert json.loads(capsys.readouterr().out)["code"] == "FORBIDDEN"


def test_no_running_broker_is_told_with_what_to_do(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("agreement", "list", "--data-dir", str(tmp_path)) == 2
    assert f"datanuts up --data-dir {tmp_path}" in capsys.readouterr().err


def test_an_unknown_organisation_is_told_which_there_are(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "list", "--as", "brugge") == 1
    assert "rijksregister" in capsys.readouterr().err
    assert run("agreement", "list", "--as", "../../etc/passwd") == 1


def test_a_subject_comes_from_standard_input_and_shows_nowhere(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, f"{INSZ}\n")
    assert run("dossier", "add", "--agreement", "parkeren", "--as", "gent-parkeren", "--ref", "P-17") == 0
    ((_, given),) = world.dossiers.calls
    assert (given["subject"], given["reference"]) == (INSZ, "P-17")
    shown = capsys.readouterr()
    assert shown.out == "P-17: registered\n"
    assert INSZ not in shown.err


def test_a_dossier_on_a_stranger_is_refused_unless_it_is_asked_for(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.known.strangers = {INSZ.encode()}
    line = ("dossier", "add", "--agreement", "parkeren", "--as", "gent-parkeren", "--ref", "P-17")
    typed(monkeypatch, f"{INSZ}\n")
    assert run(*line) == 1
    shown = capsys.readouterr()
    assert "[UNKNOWN_SUBJECT]" in shown.err
    assert INSZ not in shown.err
    typed(monkeypatch, f"{INSZ}\n")
    assert run(*line, "--register-unknown") == 0


def test_a_dossier_without_a_subject_is_refused(run: Run, world: World, monkeypatch) -> None:
    typed(monkeypatch, "\n")
    assert run("dossier", "end", "--agreement", "parkeren", "--as", "gent-parkeren", "--ref", "P-17") == 1
    assert world.dossiers.calls == []


def test_files_are_listed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dossier", "list", "--agreement", "parkeren", "--as", "gent-parkeren", "--json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["reference"] for line in lines] == ["P-1", "P-2", "P-3"]
    assert run("dossier", "count", "--agreement", "parkeren", "--as", "gent-parkeren") == 0
    assert capsys.readouterr().out == "3 files, 2 of them open\n"


def test_deliveries_are_read_up_to_a_maximum_and_from_a_cursor(
    run: Run, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.deliver(*"abc")
    assert run("consume", "parkeren", "--as", "gent-parkeren", "--max", "2", "--json") == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["data"]["achternaam"] for line in shown.out.splitlines()] == ["a", "b"]
    after = shown.err.split()[-1]
    assert run("consume", "parkeren", "--as", "gent-parkeren", "--after", after) == 0
    assert '{"achternaam": "c"}' in capsys.readouterr().out


def test_a_value_cannot_drive_the_terminal(run: Run, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.deliver("\x1b[2J\x9b31m\u202eabc")
    assert run("consume", "parkeren", "--as", "gent-parkeren", "--max", "1") == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown


def test_a_foreign_agency_reads_nothing(run: Run, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.deliver("a")
    assert run("consume", "parkeren", "--as", "jeugddienst-leuven") == 1
    assert capsys.readouterr().out == ""


def test_products_are_listed_and_shown(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("product", "list") == 0
    assert "persoon.v1" in capsys.readouterr().out
    assert run("product", "show", "rijksregister/persoon.v1") == 0
    assert "national-number" in capsys.readouterr().out


def test_lists_and_documents_are_shown(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "list") == 0
    assert "gent-parkeren" in capsys.readouterr().out
    assert run("agreement", "show", "parkeren") == 0
    assert "delivery.gent-parkeren.parkeren" in capsys.readouterr().out


def test_a_trace_shows_steps_and_decisions(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("trace", f"00-{'01' * 16}-{'02' * 8}-01") == 0
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines() if " ms" in line and line.startswith("+")] == [
        ["+0.0", "ms", "2.0", "ms", "adapter", "adapter.publish"],
        ["+3.0", "ms", "3.5", "ms", "router", "router.route"],
        ["+8.0", "ms", "1.0", "ms", "api", "deliver.pull", "parkeren"],
    ]
    assert "release" in shown


@pytest.mark.parametrize(
    ("agency", "told"),
    [
        ("gent-parkeren", "parkeren: delivered as changed, delivery 0202"),
        ("jeugddienst-leuven", "jeugd: withheld [NO_DOSSIER]: "),
    ],
)
def test_why_says_in_one_line_what_an_agency_got(run: Run, capsys, agency: str, told: str) -> None:
    assert run("trace", "01" * 16, "--why", agency) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith(told)


def test_a_trace_says_who_could_read_for_the_agency(run: Run, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    begin = NOW - timedelta(days=1)
    data = {"organisation": "gent-parkeren", "processor": "softwarehuis", "reference": "VO-1"}
    fact = Fact("m", FactType.MANDATE_GIVEN, "mandate/gent-parkeren/softwarehuis", 0, begin, "gent-parkeren", data)
    assert world.control.state.apply(world.control.state.epoch + 1, fact)
    line = "  parkeren: softwarehuis could read it for gent-parkeren [VO-1] since 2026-11-23T12:00:00Z"
    for words in (("trace", "01" * 16), ("trace", "01" * 16, "--why", "gent-parkeren")):
        assert run(*words) == 0
        assert [told for told in capsys.readouterr().out.splitlines() if told.startswith(line)]
    assert run("trace", "01" * 16, "--why", "gent-parkeren", "--json") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (told["principal"], told["actors"][0]["processor"]) == ("gent-parkeren", "softwarehuis")


def test_why_names_default_deny_for_an_agency_without_agreement(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("trace", "01" * 16, "--why", "brugge") == 1
    assert "default deny" in capsys.readouterr().err


def test_a_credential_that_others_may_read_is_refused(run: Run) -> None:
    home = DataDir(Path(os.environ["DATANUTS_DATA_DIR"]))
    path = home.root / "credentials" / "operator.json"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        home.credential("operator")
    assert run("agreement", "list") == 2


@pytest.mark.usefixtures("run")
def test_secrets_do_not_show_in_a_representation() -> None:
    shown = repr(DataDir(Path(os.environ["DATANUTS_DATA_DIR"])).credential("gent-parkeren"))
    assert "geheim" not in shown
    assert "pw" not in shown
