"""`datanuts webhook`: the secret goes to a file or is shown once; a failed test event ends with code 2."""

import json
import stat
from pathlib import Path

import pytest

from broker.delivery.push_circuit import Failure
from broker.delivery.webhook_calls import Outcome
from tests.unit.api.conftest import World
from tests.unit.api.test_webhooks import URL, Desk, webhooks_of
from tests.unit.cli.conftest import Run

AS = ("parkeren", "--as", "gent-parkeren")


@pytest.fixture
def desk(world: World) -> Desk:
    return webhooks_of(world)


@pytest.mark.usefixtures("desk")
def test_a_secret_is_shown_once_or_kept_in_a_file(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "secret"
    assert run("webhook", "set", URL, *AS, "--secret-file", str(kept)) == 0
    told = capsys.readouterr().out
    assert "whsec_" not in told
    assert f"webhook of parkeren: active, to {URL}" in told
    assert kept.read_text().startswith("whsec_")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert run("webhook", "rotate", *AS) == 0
    assert "secret (shown once): whsec_" in capsys.readouterr().out
    assert run("webhook", "show", *AS) == 0
    told = capsys.readouterr().out
    assert "whsec_" not in told
    assert {"active", "webhook.set"} <= set(told.split())


def test_a_test_event_says_how_it_went_by_exit_code_too(
    run: Run, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("webhook", "test", *AS) == 1
    assert "NOT_FOUND" in capsys.readouterr().err
    assert run("webhook", "set", URL, *AS) == 0
    assert run("webhook", "test", *AS) == 0
    desk.receiver.outcome = Outcome(Failure.SERVER, 500)
    capsys.readouterr()
    assert run("webhook", "test", *AS) == 2
    assert capsys.readouterr().out == "not received: SERVER_ERROR (HTTP 500)\n"


@pytest.mark.usefixtures("desk")
def test_resume_and_remove_are_refused_or_done(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("webhook", "set", URL, *AS) == 0
    assert run("webhook", "resume", *AS) == 1
    assert run("webhook", "set", "http://10.0.0.1/", *AS) == 1
    capsys.readouterr()
    assert run("webhook", "remove", *AS, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"agreement": "parkeren", "state": "removed"}
