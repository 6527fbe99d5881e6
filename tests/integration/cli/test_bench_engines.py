"""A policy engine in a program of its own is timed, checked against ours, and told where it ends badly."""

import sys
from pathlib import Path

import pytest

from bench.policy_engines import compare
from bench.population import PRODUCT
from broker.cli.documents import PolicyFolder
from broker.errors import Fatal

SCHEMA = PolicyFolder.of(None, None).product_schemas()[PRODUCT]
RIGHT = """
import json, sys
cases = json.load(open(sys.argv[1], "rb"))
answers = [
    sorted(a["id"] for a in cases["agreements"] if a["allowed"] and a["nis"] == record["nis"])
    for record in cases["records"][: cases["checked"]]
]
form = {"prepare_s": 0.5, "cpu_ns": 2000.0, "wall_ns": 3000.0, "answers": answers}
print(json.dumps({"version": "7", "forms": {"lookup": form}}))
"""
WRONG = RIGHT.replace('a["allowed"] and ', "")
ENDED = "raise SystemExit('no policy could be read')"


def test_an_engine_is_told_beside_ours(tmp_path: Path) -> None:
    rates = compare(SCHEMA, _programs(tmp_path, RIGHT), turns=2, progress=_quiet, seconds=0, sizes=[10])
    assert {(rate.engine, rate.form) for rate in rates} == {("ours", "first"), ("ours", "stays"), ("some 7", "lookup")}
    (some,) = (rate.as_json() for rate in rates if rate.engine == "some 7")
    assert (some["ns"], some["wall_ns"], some["decisions_per_cpu_s"], some["agreements"]) == (2000, 3000, 500_000, 10)


@pytest.mark.parametrize(("program", "told"), [(WRONG, "other answers"), (ENDED, "some ended with 1")])
def test_an_engine_that_is_wrong_or_ends_badly_gives_no_figures(tmp_path: Path, program: str, told: str) -> None:
    with pytest.raises(Fatal, match=told):
        compare(SCHEMA, _programs(tmp_path, program), turns=1, progress=_quiet, seconds=0, sizes=[10])


def _programs(folder: Path, text: str) -> dict[str, list[str]]:
    (folder / "program.py").write_text(text)
    return {"some": [sys.executable, "-I", str(folder / "program.py")]}


def _quiet(_: str) -> None:
    pass
