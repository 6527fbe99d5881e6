"""`datanuts drop`: the key to admit is shown; a failed test ends with code 2."""

import json
from pathlib import Path

import pytest

from broker.delivery.push_circuit import Failure
from tests.unit.api.conftest import World
from tests.unit.api.test_drops import HOST_KEY, Desk, drops_of
from tests.unit.cli.conftest import Run

AS = ("parkeren", "--as", "gent-parkeren")


@pytest.fixture
def desk(world: World) -> Desk:
    return drops_of(world)


def test_it_is_set_shown_tried_and_removed(
    run: Run, desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = tmp_path / "sftp.hostkey"
    where = ("drop", "set", "sftp.gent.be", *AS, "--username", "datanuts", "--host-key-file", str(known))
    assert run(*where) == 2
    assert str(known) in capsys.readouterr().err
    known.write_text(f"{HOST_KEY}\n")
    assert run(*where) == 0
    told = capsys.readouterr().out
    assert "drop of parkeren: active, to sftp.gent.be" in told
    assert "its user has to admit: ssh-ed25519 " in told
    assert run("drop", "show", *AS) == 0
    assert {"sftp.gent.be", "ndjson", "drop.set"} <= set(capsys.readouterr().out.split())
    assert run("drop", "test", *AS) == 0
    desk.disk.failure = Failure.LOGIN
    capsys.readouterr()
    assert run("drop", "test", *AS) == 2
    assert capsys.readouterr().out == "not received: LOGIN_REFUSED\n"
    assert run("drop", "resume", *AS) == 1
    capsys.readouterr()
    assert run("drop", "remove", *AS, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"agreement": "parkeren", "state": "removed"}
