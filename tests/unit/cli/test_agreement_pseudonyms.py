"""`datanuts agreement rotate-pseudonyms|pseudonym-map`: the file is there only if its seal holds."""

import json
import stat
from pathlib import Path

import pytest

from broker.control import pseudonyms
from broker.control.pseudonym_map import Scope, sealed, verify
from tests.unit.api.conftest import World
from tests.unit.api.test_pseudonyms import open_study
from tests.unit.cli.conftest import Run

AS = ("--as", "gent-parkeren")


@pytest.fixture
def kept(tmp_path: Path, world: World) -> Path:
    """Where the map goes."""
    open_study(world)
    return tmp_path / "map.ndjson"


def test_a_rotation_leaves_its_map(run: Run, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "rotate-pseudonyms", "onderzoek", "--map", str(kept), *AS) == 0
    assert "epoch 2 from now on" in capsys.readouterr().out
    lines = kept.read_bytes().splitlines(keepends=True)
    assert len(lines) == 3
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path.name for path in kept.parent.iterdir() if path.name.startswith("map")] == ["map.ndjson"]


def test_the_map_can_be_fetched_again_and_over_several_rotations(
    run: Run, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert run("agreement", "rotate-pseudonyms", "onderzoek", *AS, "--json") == 0
    known = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert run("agreement", "pseudonym-map", "onderzoek", str(kept), "--from", "1", *AS, "--json") == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 2
    scope, _ = verify(kept.read_bytes().splitlines(keepends=True), known["sealKey"])
    assert (scope.old, scope.new) == (1, 3)


@pytest.mark.parametrize("wrong", ["scope", "key", "cut short"])
def test_a_map_that_is_not_in_order_is_not_kept(
    run: Run, kept: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.write_text("what was there")

    def other(scope: Scope, pairs: list[tuple[bytes, bytes]], seed: bytes) -> list[bytes]:
        scope = Scope("een-ander", scope.purpose, scope.old, scope.new) if wrong == "scope" else scope
        seed = bytes(32) if wrong == "key" else seed
        pieces = list(sealed(scope, pairs, seed))
        return pieces[:-1] if wrong == "cut short" else pieces

    monkeypatch.setattr(pseudonyms, "sealed", other)
    assert run("agreement", "rotate-pseudonyms", "onderzoek", "--map", str(kept), *AS) == 1
    assert kept.read_text() == "what was there"
    assert not kept.with_name("map.ndjson.part").exists()


def test_the_operator_gets_no_map(run: Run, kept: Path) -> None:
    assert run("agreement", "rotate-pseudonyms", "onderzoek", "--map", str(kept), "--as", "operator") == 1
    assert not kept.exists()
