"""The kit as its users meet it: a pytest of their own, and the report that it leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.conformance.catalogue import CHECKS, table
from adapters.conformance.report import package_digest
from broker.errors import Invalid
from tests.contract.conformance import faulty
from tests.contract.conformance.playing import ROOT, SAMPLE

MODULE = "theirs.roads"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A package of somebody else, with an adapter in it."""
    package = tmp_path / "theirs"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "roads.py").write_text("from adapters.example import build\n")
    return tmp_path


def kit(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(home), "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=110, check=False)


def test_the_kit_runs_by_itself_and_writes_a_report(theirs: Path) -> None:
    (theirs / "test_of_theirs.py").write_text("def test_other():\n    raise AssertionError\n")
    done = kit(theirs, "--adapter", f"{MODULE}:build", "--source", str(SAMPLE), "--report", "report.json")
    assert done.returncode == 0, done.stdout
    report = json.loads((theirs / "report.json").read_text())
    about = {key: report[key] for key in ("format", "adapter", "module", "source", "product", "http", "passed")}
    assert about == {
        "format": "datanuts-conformance/1",
        "adapter": "example",
        "module": MODULE,
        "source": "stad-gent",
        "product": "hinder.v1",
        "http": False,
        "passed": True,
    }
    assert [each["code"] for each in report["checks"]] == [each.code for each in CHECKS]
    assert report["package"].startswith("sha256:")


def test_a_failure_says_what_to_do(theirs: Path) -> None:
    fault = "    async def body(self):\n        return (await super().body()).decode('utf-8-sig', 'replace').encode()\n"
    good = Path(faulty.__file__).read_text().partition("class DrawsItsIds")[0]
    (theirs / "theirs" / "roads.py").write_text(f"{good}\n\nclass build(Good):\n{fault}")
    done = kit(theirs, "--adapter", MODULE, "--source", str(SAMPLE), "--report", "report.json")
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert "Mend: decode strictly" in done.stdout
    report = json.loads((theirs / "report.json").read_text())
    assert not report["passed"]
    assert [each["code"] for each in report["checks"] if each["outcome"] == "failed"] == ["WRONG_ENCODING_IS_TOLD"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--adapter", MODULE), "--source names a good sample"),
        (("--adapter", MODULE, "--source", "https://bron.example/feed"), "with --http"),
        (("--adapter", "nergens", "--source", str(SAMPLE)), "the adapter cannot be made"),
        (("--adapter", MODULE, "--source", str(SAMPLE), "--product", "persoon.v1"), "name one product"),
        (("--mapping", "weg.yaml", "--source", str(SAMPLE)), "weg.yaml cannot be read"),
    ],
)
def test_what_is_asked_wrongly_is_said(theirs: Path, arguments: tuple[str, ...], told: str) -> None:
    done = kit(theirs, *arguments)
    assert done.returncode == 4
    assert told in done.stderr


def test_without_its_options_the_plugin_does_nothing(theirs: Path) -> None:
    (theirs / "test_of_theirs.py").write_text(
        "import sys\n\ndef test_other():\n    assert 'adapters.conformance.run' not in sys.modules\n"
    )
    done = kit(theirs)
    assert "1 passed" in done.stdout


def test_a_package_is_known_by_all_its_sources(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(theirs)
    before = package_digest(MODULE)
    assert package_digest("theirs") == before
    mapping = theirs / "mapping.yaml"
    mapping.write_text("adapter: wegen\n")
    assert package_digest(MODULE, [mapping]) != before
    (theirs / "theirs" / "more.py").write_text("x = 1\n")
    assert package_digest(MODULE) != before
    with pytest.raises(Invalid):
        package_digest("nergens.te_vinden")


def test_the_page_has_the_checks_as_they_are() -> None:
    assert table() in (ROOT / "docs" / "conformance.md").read_text()
