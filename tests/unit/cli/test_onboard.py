"""`datanuts agreement onboard|accessions|merge` over the application in memory: what the operator sees and gets."""

import asyncio
import json
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.api.app import create_app
from broker.api.services import Services
from broker.cli import client
from broker.cli.datadir import Connection, DataDir, LocalCredential
from broker.cli.main import main
from broker.control.dev_signing import bring_into_force
from broker.control.onboarding import Onboarding
from broker.model.facts import FactType
from broker.model.registered import Organisation
from tests.unit.cli.conftest import Run
from tests.unit.control.room import NOW, Room, open_room
from tests.unit.control.test_onboarding import Files

POLICIES = Path(__file__).parents[3] / "policies"
TWO = "gemeente-aalst\n# met een opmerking\ngemeente-ronse  # en nog een\n"


@pytest.fixture
def room() -> Room:
    return asyncio.run(open_room())


@pytest.fixture
def run(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line as the operator."""
    asyncio.run(room.organisations.register(Organisation("operator", "Operator"), by="t"))
    issued = asyncio.run(room.organisations.issue("operator", ("operator",), by="t"))
    home = DataDir(tmp_path / "data")
    home.make()
    home.save_connection(Connection("http://broker.test", "127.0.0.1:1", 1, 8))
    home.save_credential(LocalCredential("operator", issued.roles, issued.token, "operator", "pw"))
    monkeypatch.setenv("DATANUTS_DATA_DIR", str(home.root))
    steps = partial(bring_into_force, room.agreements)
    templates = Onboarding(room.control, room.organisations, room.agreements, Files(), steps, lambda: NOW)
    rooms: dict[str, Any] = dict.fromkeys(each.name for each in fields(Services))
    app = create_app(Services(**rooms | {"control": room.control, "templates": templates}))

    def answer(request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
                sent = httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
                answered = await http.send(sent)
                return httpx.Response(answered.status_code, headers=answered.headers, content=answered.content)

        return asyncio.run(ask())

    made = client.Client.__init__
    monkeypatch.setattr(
        client.Client, "__init__", lambda self, url, key: made(self, url, key, transport=httpx.MockTransport(answer))
    )
    room.since()
    return lambda *arguments: main(arguments)


@pytest.fixture
def two(tmp_path: Path) -> str:
    file = tmp_path / "two.txt"
    file.write_text(TWO)
    return str(file)


def written(room: Room) -> list[Any]:
    return [done for done in room.since() if isinstance(done, FactType)]


def onboard(run: Run, *options: str, template: str = "inwoners") -> int:
    return run("agreement", "onboard", "--template", template, *options)


def test_a_dry_run_shows_the_preview_and_writes_nothing(
    run: Run, room: Room, two: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert onboard(run, "--authorities", two, "--dry-run") == 0
    assert capsys.readouterr().out == (
        "inwoners: persoon.v1 of rijksregister for inwonersbestand, 7 fields\n"
        "2: 2 not there yet\n"
        "2 to draft: gemeente-aalst, gemeente-ronse\n"
        "2 to be registered as organisations\n"
    )
    assert written(room) == []


def test_all_285_are_drafted_and_asking_again_does_only_the_rest(
    run: Run, room: Room, two: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert onboard(run, "--authorities", two) == 0
    assert onboard(run, "--authorities", "all-gemeenten", "--json") == 0
    items = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(items) == 285
    assert {item["state"] for item in items} == {"draft"}
    assert written(room).count(FactType.AGREEMENT_DRAFTED) == 285
    assert onboard(run, "--authorities", "all-gemeenten") == 0
    assert written(room) == []
    assert "285 of 285: 285 draft" in capsys.readouterr().err


def test_who_is_still_missing_and_what_each_waits_for(
    run: Run, two: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = tmp_path / "one.txt"
    one.write_text("gemeente-aalst\n")
    assert onboard(run, "--authorities", str(one), "--sign", "dev") == 0
    capsys.readouterr()
    arguments = ("agreement", "accessions", "--template", "inwoners", "--authorities", two)
    assert run(*arguments) == 0
    shown = capsys.readouterr().out
    assert "2: 1 active, 1 not there yet" in shown
    assert run(*arguments, "--missing", "--json") == 0
    (missing,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (missing["authority"], missing["waitsFor"]) == ("gemeente-ronse", "draft by the operator")


def test_an_amendment_is_reviewed_as_one_with_those_that_deviate(
    run: Run, room: Room, two: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (POLICIES / "templates" / "inwoners.yaml").read_text(encoding="utf-8")
    onboard(run, "--authorities", two)
    other = tmp_path / "anders.yaml"
    other.write_text(text.replace("retention_days: 14", "retention_days: 7"))
    deviating = tmp_path / "ook.txt"
    deviating.write_text("gemeente-aalter\n")
    onboard(run, "--authorities", str(deviating), template=str(other))
    changed = tmp_path / "gewijzigd.yaml"
    line = "    - {path: verblijfplaats.gemeente.naam, why: Nodig om de brief te bezorgen.}\n"
    more = line + "    - {path: verblijfplaats.gemeente.nis, why: Toont de gemeente aan een toepassing.}\n"
    changed.write_text(text.replace(line, more))
    all_three = tmp_path / "drie.txt"
    all_three.write_text(TWO + "gemeente-aalter\n")
    capsys.readouterr()
    written(room)
    assert onboard(run, "--authorities", str(all_three), "--dry-run", template=str(changed)) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "2 instances: fields +1" in shown
    assert "1 deviate: fields +1, retention_days ~1 (gemeente-aalter)" in shown
    assert onboard(run, "--authorities", str(all_three), template=str(changed)) == 0
    assert written(room) == []
    assert "3 say something else than the template: see --amend --dry-run" in capsys.readouterr().out
    assert onboard(run, "--authorities", str(all_three), "--amend", template=str(changed)) == 0
    assert written(room) == [FactType.AGREEMENT_DRAFTED] * 3


def test_what_cannot_be_is_told_with_who_and_fails(
    run: Run, room: Room, two: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (POLICIES / "templates" / "inwoners.yaml").read_text(encoding="utf-8")
    above = tmp_path / "boven.yaml"
    above.write_text(text.replace("purpose: inwonersbestand", "purpose: leeftijdscontrole"))
    assert onboard(run, "--authorities", two, "--dry-run", template=str(above)) == 1
    assert "2 cannot: " in (shown := capsys.readouterr().out)
    assert "[ABOVE_CEILING]" in shown
    assert onboard(run, "--authorities", "all-ocmws", "--dry-run") == 1
    assert "is no gemeente: template inwoners is not for it" in capsys.readouterr().err
    gone = tmp_path / "weg.txt"
    gone.write_text("gemeente-melle\n")
    assert onboard(run, "--authorities", str(gone)) == 1
    assert "gemeente-merelbeke-melle took over" in capsys.readouterr().err
    assert written(room) == []


def test_a_merger_is_shown_before_it_is_done(
    run: Run, room: Room, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "namen.txt"
    names.write_text("gemeente-melle\n")
    onboard(run, "--authorities", str(names), "--on", "2024-06-01", "--sign", "dev")
    names.write_text("gemeente-merelbeke-melle\n")
    arguments = ("agreement", "merge", "--from", "gemeente-melle", "--to", "gemeente-merelbeke-melle")
    assert run(*arguments, "--dry-run") == 1
    assert "cannot be yet: inwoners-gemeente-merelbeke-melle: " in capsys.readouterr().out
    onboard(run, "--authorities", str(names), "--sign", "dev")
    capsys.readouterr()
    assert run(*arguments, "--dry-run") == 0
    assert capsys.readouterr().out == (
        "inwoners: to inwoners-gemeente-merelbeke-melle of gemeente-merelbeke-melle\n"
        "  inwoners-gemeente-melle: end (fusie: Gemeente Merelbeke-Melle volgt Gemeente Melle op)\n"
    )
    assert run(*arguments) == 0
    assert "  inwoners-gemeente-melle: ended; 0 dossier(s) moved\n" in capsys.readouterr().out
    assert room.control.state.agreements["inwoners-gemeente-melle"].state == "ended"
