"""`datanuts agreement plan|apply`: the reviewed folder and the control log, brought together without anyone's approval."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.cli import client
from broker.cli.datadir import Connection, DataDir, LocalCredential
from broker.cli.main import main
from broker.errors import Forbidden, Refused
from broker.model.agreement import State
from broker.model.facts import FactType
from tests.unit.api.office import ROLES, ROOT, Office, token

REGISTER = "rijksregister/persoon.v1"


class Desk:
    """An office, a copy of the reviewed policies on persons, and the command line with everybody's credential."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.office, self.folder, self.home = Office(), root / "policies", DataDir(root / "data")
        asyncio.run(self.office.open())
        self.home.make()
        self.home.save_connection(Connection("http://broker.test", "127.0.0.1:1", 1, 8))
        for name, roles in ROLES.items():
            self.home.save_credential(LocalCredential(name, roles, token(name), name, "pw"))
        for part in ("ceilings", "agreements"):
            (self.folder / part).mkdir(parents=True)
        reviewed = ROOT / "policies"
        shutil.copy(reviewed / "purposes.yaml", self.folder)
        shutil.copy(reviewed / "ceilings" / "persoon.v1.yaml", self.folder / "ceilings")
        for name in ("inwoners-gent", "statistiek-vlaanderen"):
            shutil.copy(reviewed / "agreements" / f"{name}.yaml", self.folder / "agreements")
        lines = [f"  - {{id: {name}, name: {name}, roles: [{', '.join(roles)}]}}" for name, roles in ROLES.items()]
        lines = [line for line in lines if "operator" not in line]
        (self.folder / "organisations.yaml").write_text("\n".join(["organisations:", *lines]))
        monkeypatch.setenv("DATANUTS_DATA_DIR", str(self.home.root))
        app, made = self.office.app(), client.Client.__init__

        def answer(request: httpx.Request) -> httpx.Response:
            async def ask() -> httpx.Response:
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
                    answered = await http.send(
                        httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
                    )
                    return httpx.Response(answered.status_code, headers=answered.headers, content=answered.content)

            return asyncio.run(ask())

        monkeypatch.setattr(
            client.Client,
            "__init__",
            lambda self, url, key: made(self, url, key, transport=httpx.MockTransport(answer)),
        )

    def run(self, verb: str, *arguments: str) -> int:
        return main(["agreement", verb, *arguments, "--policies", str(self.folder)])

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        path = self.folder / file
        path.write_text(change(path.read_text()))

    def without_credential(self, organisation: str) -> None:
        (self.home.root / "credentials" / f"{organisation}.json").unlink()

    def state_of(self, agreement: str) -> State:
        return self.office.log.state.agreements[agreement].state


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


@pytest.fixture
def planned(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Exit code and JSON of a plan."""

    def made(*arguments: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = desk.run("plan", "--json", *arguments)
        return code, json.loads(capsys.readouterr().out)

    return made


def actions(made: dict[str, Any], *kinds: str) -> dict[str, str]:
    return {each["name"]: each["action"] for each in made["items"] if each["kind"] in kinds}


def test_a_folder_is_planned_applied_and_then_there_is_nothing_to_do(desk: Desk, planned: Any, capsys: Any) -> None:
    code, made = planned()
    assert code == 2
    assert actions(made, "agreement") == {"inwoners-gent": "create", "statistiek-vlaanderen": "create"}
    assert set(actions(made, "purpose").values()) == {"create"}
    assert actions(made, "ceiling")[f"{REGISTER}/statistiek"] == "create"
    assert actions(made, "ceiling")["kbo/persoon.v1/statistiek"] == "create"
    assert desk.office.log.written == []

    assert desk.run("apply") == 0
    assert "agreement inwoners-gent: done, version 1 requested" in capsys.readouterr().out
    kinds = [kind for kind, _, _ in desk.office.log.written]
    assert kinds == sorted(kinds, key=[FactType.PURPOSES, FactType.CEILING, FactType.AGREEMENT_REQUESTED].index)
    by = {aggregate: who for _, aggregate, who in desk.office.log.written}
    assert by["purposes"] == "operator"
    assert by[f"ceiling/{REGISTER}/statistiek"] == "rijksregister"
    assert by["agreement/inwoners-gent"] == "stad-gent"

    code, made = planned()
    assert (code, made["summary"]["create"], made["summary"]["change"], made["summary"]["gone"]) == (0, 0, 0, 0)
    written = list(desk.office.log.written)
    assert desk.run("apply") == 0
    assert desk.office.log.written == written


def test_each_agreement_is_told_with_its_state_and_what_it_waits_for(desk: Desk, capsys: Any) -> None:
    desk.run("apply")
    capsys.readouterr()
    assert desk.run("plan") == 0
    told = capsys.readouterr().out
    assert "agreement inwoners-gent: unchanged; version 1 requested, waits for rijksregister to approve it" in told
    assert "plan: 0 create, 0 change" in told


def test_an_apply_that_was_interrupted_is_taken_up_where_it_stopped(
    desk: Desk, planned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, left = desk.office.log.append, iter(range(9))

    async def failing(*arguments: Any, **named: Any) -> int:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return await append(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(desk.office.log, "append", failing)
        assert desk.run("apply") == 130
    assert len(desk.office.log.written) == 9
    assert planned()[0] == 2
    assert desk.run("apply") == 0
    aggregates = [aggregate for _, aggregate, _ in desk.office.log.written]
    assert len(aggregates) == len(set(aggregates))


def test_a_tightened_ceiling_shows_what_it_cuts_before_it_is_applied(desk: Desk, planned: Any, capsys: Any) -> None:
    desk.run("apply")
    desk.edit(
        "ceilings/persoon.v1.yaml",
        lambda text: "\n".join(line for line in text.splitlines() if "naam.voornamen" not in line),
    )
    code, made = planned()
    assert code == 2
    assert {each["name"] for each in made["cuts"]} >= {f"{REGISTER}/inwonersbestand"}
    cut = next(each for each in made["cuts"] if each["name"] == f"{REGISTER}/inwonersbestand")["cut"]
    assert [(each["agreement"], each["findings"][0]["path"]) for each in cut] == [("inwoners-gent", "naam.voornamen")]
    own = next(each for each in made["items"] if each["name"] == "inwoners-gent")
    assert [each["path"] for each in own["findings"] if each["code"] == "ABOVE_CEILING"] == ["naam.voornamen"]
    assert desk.run("apply") == 0
    assert "cuts inwoners-gent version 1 (requested)" in capsys.readouterr().out


def test_what_the_folder_no_longer_holds_is_told_and_stays(desk: Desk, planned: Any, capsys: Any) -> None:
    desk.run("apply")
    (desk.folder / "agreements" / "inwoners-gent.yaml").unlink()
    desk.edit("purposes.yaml", lambda text: text.replace("code: hergebruik", "code: hergebruik-anders"))
    desk.edit("ceilings/persoon.v1.yaml", lambda text: text.split("  - purpose: verkiezingen")[0])
    desk.edit("organisations.yaml", lambda text: text.replace("id: stad-gent,", "id: stad-brugge,"))
    code, made = planned()
    assert code == 2
    gone = {each["name"] for each in made["items"] if each["action"] == "gone"}
    ceilings = {"kbo/persoon.v1/verkiezingen", f"{REGISTER}/verkiezingen"}
    assert gone == {"inwoners-gent", "hergebruik", "stad-gent"} | ceilings
    assert desk.run("apply") == 0
    assert "- agreement inwoners-gent: not in the folder, it stays; version 1 requested" in capsys.readouterr().out
    state = desk.office.log.state
    assert {"inwoners-gent"} <= set(state.agreements)
    assert {"hergebruik", "hergebruik-anders"} <= {each["code"] for each in state.purposes}
    assert {"stad-gent", "stad-brugge"} <= set(state.organisations)
    assert state.ceilings["rijksregister", "persoon.v1", "verkiezingen"]["fields"]


@pytest.mark.parametrize(
    ("file", "old", "new", "place"),
    [
        ("agreements/inwoners-gent.yaml", "path: naam.achternaam", "path: naam.bijnaam", "naam.bijnaam"),
        ("agreements/inwoners-gent.yaml", "version: 1", "version: 2", "version"),
        ("agreements/inwoners-gent.yaml", "version: 1", "version: 1\nstate: active", "state"),
        ("agreements/inwoners-gent.yaml", "version: 1", "version: [", "line"),
        ("agreements/inwoners-gent.yaml", "purpose: inwonersbestand", "purpose: onbekend", "purpose"),
        ("agreements/inwoners-gent.yaml", "source: rijksregister", "source: stad-gent", "product"),
        ("ceilings/persoon.v1.yaml", "path: geslacht", "path: bijnaam", "fields"),
        ("ceilings/persoon.v1.yaml", "purpose: handhaving", "purpose: onbekend", "purpose"),
        ("ceilings/persoon.v1.yaml", "product: persoon.v1", "product: auto.v1", "product"),
        ("ceilings/persoon.v1.yaml", "product: persoon.v1", "product: 1", "document"),
        ("purposes.yaml", "parents: [openbare-taak]", "parents: [onbekend]", "document"),
        ("organisations.yaml", "id: kbo", "id: KBO", "document"),
    ],
)
def test_what_is_refused_names_file_and_place(
    desk: Desk, planned: Any, file: str, old: str, new: str, place: str
) -> None:
    desk.edit(file, lambda text: text.replace(old, new))
    code, made = planned()
    assert code == 1
    refused = [each for each in made["items"] if each["action"] == "refused"]
    assert file in {each["file"] for each in refused}
    assert any(finding["path"].startswith(place) for each in refused for finding in each["findings"])


def test_what_is_refused_does_not_hold_up_the_rest(desk: Desk, capsys: Any) -> None:
    desk.edit("agreements/inwoners-gent.yaml", lambda text: text.replace("path: naam.achternaam", "path: naam.bijnaam"))
    assert desk.run("apply") == 1
    assert "agreement inwoners-gent: refused" in capsys.readouterr().out
    assert set(desk.office.log.state.agreements) == {"statistiek-vlaanderen"}


def test_a_broker_that_does_not_answer_is_no_change(desk: Desk, capsys: Any) -> None:
    desk.home.forget_connection()
    assert desk.run("plan") == 69
    assert desk.run("apply") == 2
    assert "no broker runs" in capsys.readouterr().err


def test_neither_door_gets_past_the_approval_of_the_owner(desk: Desk) -> None:
    assert desk.run("apply") == 0
    assert {desk.state_of(name) for name in desk.office.log.state.agreements} == {State.REQUESTED}
    steps = {kind for kind, _, _ in desk.office.log.written}
    assert steps == {FactType.PURPOSES, FactType.CEILING, FactType.AGREEMENT_REQUESTED}
    # The folder again, with more in it: still a request, under the same version, that the owner has not approved.
    desk.edit(
        "agreements/inwoners-gent.yaml",
        lambda text: text.replace("aan te schrijven", "te schrijven"),
    )
    assert desk.run("apply") == 0
    assert desk.state_of("inwoners-gent") is State.REQUESTED
    assert [by for _, aggregate, by in desk.office.log.written if aggregate == "agreement/inwoners-gent"] == [
        "stad-gent",
        "stad-gent",
    ]


def test_the_operator_alone_brings_no_ceiling_and_no_agreement_in(desk: Desk, capsys: Any) -> None:
    for name in ("rijksregister", "kbo", "stad-gent", "statistiek-vlaanderen"):
        desk.without_credential(name)
    assert desk.run("apply") == 1
    told = capsys.readouterr().out
    assert f"ceiling {REGISTER}/handhaving: missing credential, needs the credential of rijksregister" in told
    assert "agreement inwoners-gent: missing credential, needs the credential of stad-gent" in told
    assert {kind for kind, _, _ in desk.office.log.written} == {FactType.PURPOSES}


def test_the_operator_cannot_do_it_over_http_either(desk: Desk) -> None:
    operator = client.Client("http://broker.test", token("operator"))
    with pytest.raises(Forbidden):
        operator.put(f"/v1/products/{REGISTER}/ceilings/handhaving", {"fields": [], "selectable": []})
    desk.run("apply")
    for step in ("approve", "publish"):
        with pytest.raises(Refused):
            operator.post(f"/v1/agreements/inwoners-gent/{step}")
    assert desk.state_of("inwoners-gent") is State.REQUESTED


def test_an_organisation_that_acts_for_itself_uses_no_others_credential(desk: Desk, planned: Any) -> None:
    _, made = planned("--as", "stad-gent")
    assert actions(made, "agreement") == {"inwoners-gent": "create"}
    assert desk.run("apply", "--as", "stad-gent") == 1
    assert desk.office.log.written == []
    desk.run("apply")
    desk.office.log.written.clear()
    desk.edit("agreements/inwoners-gent.yaml", lambda text: text.replace("aan te schrijven", "te schrijven"))
    assert desk.run("apply", "--as", "stad-gent") == 0
    assert [by for _, _, by in desk.office.log.written] == ["stad-gent"]


def test_files_alone_are_requested_by_their_own_agency(desk: Desk, capsys: Any) -> None:
    desk.run("apply")
    (desk.folder / "agreements" / "inwoners-gent.yaml").write_text("id: [")
    other = ROOT / "policies" / "agreements" / "nationaliteit-onderzoek.yaml"
    capsys.readouterr()
    assert desk.run("apply", str(other)) == 1
    told = capsys.readouterr().out
    assert "nationaliteiten.code" in told
    assert "inwoners-gent" not in told
