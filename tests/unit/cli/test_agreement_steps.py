"""The life cycle on the command line: what each step states, in whose name, and what is said to follow."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from broker.model.agreement import State
from broker.model.lifecycle import Advice, Method, Signature, Verdict
from tests.unit.api.conftest import NOW, World
from tests.unit.cli.conftest import Run

TEXT = "ab" * 32
WAITING = "wachtend"
SOURCE, AGENCY = "rijksregister", "gent-parkeren"


def put(world: World, state: State, **changes: object) -> None:
    entry = world.entry(WAITING)
    document = {**entry.document, "bases": [{"instrument": "protocol-vl"}]}
    made = replace(entry, state=state, text_sha256=TEXT, document=document, **changes)
    world.control.state.agreements[WAITING] = made


def advice(side: str) -> Advice:
    return Advice(side, Verdict.FAVOURABLE, "DPO-1", TEXT)


def signature(side: str) -> Signature:
    return Signature(side, "burgemeester", "besluit 1", Method.DEV, TEXT, None, NOW)


def test_a_draft_is_kept_from_its_file(run: Run, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[3] / "policies" / "agreements" / "parkeerboetes-gent.yaml"
    assert run("agreement", "draft", str(path)) == 0
    assert world.agreements.calls == [("draft", "parkeerboetes-gent", "operator")]
    assert capsys.readouterr().out == (
        "parkeerboetes-gent version 1: draft\n"
        "next: gent-parkeren: datanuts agreement request parkeerboetes-gent --as gent-parkeren\n"
    )


@pytest.mark.parametrize(
    ("verb", "who"),
    [("request", AGENCY), ("approve", SOURCE), ("publish", SOURCE), ("withdraw", AGENCY), ("withdraw", SOURCE),
     ("suspend", "operator"), ("resume", SOURCE), ("end", AGENCY)],
)  # fmt: skip
def test_a_step_is_taken_in_the_name_of_its_actor(run: Run, world: World, verb: str, who: str) -> None:
    assert run("agreement", verb, WAITING, "--as", who) == 0
    assert world.agreements.calls == [(verb, WAITING, who)]


def test_why_and_in_which_function_go_along(run: Run, world: World) -> None:
    said = ("--why", "Onderzoek loopt.", "--function", "dienst Toezicht")
    for verb in ("suspend", "revoke"):
        assert run("agreement", verb, "parkeren", *said) == 0
    assert world.agreements.said == [{"why": "Onderzoek loopt.", "function": "dienst Toezicht"}] * 2


def test_an_advice_is_about_the_present_text_unless_another_is_named(run: Run, world: World) -> None:
    put(world, State.REQUESTED)
    given = ("agreement", "advise", WAITING, "--as", AGENCY, "--verdict", "unfavourable", "--reference", "DPO-1")
    assert run(*given, "--departure", "Wettelijke taak.") == 0
    assert run(*given, "--text", "cd" * 32) == 0
    first, second = (said["advice"] for said in world.agreements.said)
    assert first == Advice(AGENCY, Verdict.UNFAVOURABLE, "DPO-1", TEXT, "Wettelijke taak.")
    assert (second.text_sha256, second.departure) == ("cd" * 32, None)


def test_a_signature_states_function_and_mandate(run: Run, world: World) -> None:
    put(world, State.APPROVED)
    given = ("agreement", "sign", WAITING, "--as", SOURCE, "--function", "leidend ambtenaar", "--mandate", "besluit 1")
    assert run(*given) == 0
    ((made, pdf),) = [(said["signature"], said["pdf"]) for said in world.agreements.said]
    assert (made.organisation, made.function, made.mandate) == (SOURCE, "leidend ambtenaar", "besluit 1")
    assert (made.method, made.text_sha256, pdf) == (Method.DEV, TEXT, None)


def test_a_signed_document_is_handed_in_as_it_is(run: Run, world: World, tmp_path: Path) -> None:
    put(world, State.APPROVED)
    (tmp_path / "signed.pdf").write_bytes(b"%PDF-1.7 \x00 signed")
    given = ("agreement", "sign", WAITING, "--as", SOURCE, "--function", "leidend ambtenaar & c°", "--mandate", "b")
    assert run(*given, "--method", "qes-document", "--document", str(tmp_path / "signed.pdf")) == 0
    (said,) = world.agreements.said
    assert (said["signature"].method, said["pdf"]) == (Method.QES_DOCUMENT, b"%PDF-1.7 \x00 signed")
    assert said["signature"].function == "leidend ambtenaar & c°"


@pytest.mark.parametrize(
    "wrong",
    [("--method", "qes-document"), ("--document", "x.pdf"), ("--method", "qes-document", "--document", "x.pdf")],
)
def test_a_document_goes_with_its_method_only(
    run: Run, world: World, capsys: pytest.CaptureFixture[str], wrong: tuple[str, ...]
) -> None:
    put(world, State.APPROVED)
    assert run("agreement", "sign", WAITING, "--as", SOURCE, "--function", "f", "--mandate", "m", *wrong) == 1
    assert capsys.readouterr().err.startswith("datanuts: ")
    assert world.agreements.calls == []


def test_without_a_text_nothing_is_signed(run: Run, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "sign", WAITING, "--as", SOURCE, "--function", "f", "--mandate", "m") == 1
    assert "its agency requests it first" in capsys.readouterr().err
    assert world.agreements.calls == []


FOLLOWS = [
    (State.REQUESTED, (), (), f"{SOURCE}: datanuts agreement approve wachtend --as {SOURCE}"),
    (State.APPROVED, (SOURCE,), (), f"{AGENCY}: datanuts agreement advise wachtend --verdict favourable --reference R --as {AGENCY}"),
    (State.APPROVED, (SOURCE, AGENCY), (SOURCE,), f"{AGENCY}: datanuts agreement sign wachtend --function F --mandate M --as {AGENCY}"),
    (State.SIGNED, (SOURCE, AGENCY), (SOURCE, AGENCY), f"{SOURCE}: datanuts agreement publish wachtend --as {SOURCE}"),
    (State.PUBLISHED, (SOURCE, AGENCY), (SOURCE, AGENCY), None),
]  # fmt: skip


@pytest.mark.parametrize(("state", "advised", "signed", "following"), FOLLOWS, ids=range(len(FOLLOWS)))
def test_what_follows_is_said_with_its_command(
    run: Run, world: World, capsys: pytest.CaptureFixture[str], state, advised, signed, following
) -> None:
    put(world, state, advice=tuple(map(advice, advised)), signatures=tuple(map(signature, signed)))
    assert run("agreement", "show", WAITING) == 0
    said = [line.removeprefix("next: ") for line in capsys.readouterr().out.splitlines() if line.startswith("next: ")]
    assert said == ([following] if following else [])
    if following:  # and it is a command that there is
        assert run(*following.partition(": datanuts ")[2].split()) == 0


def test_the_history_is_shown_over_all_versions(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agreement", "history", "parkeren") == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["1", "requested", "test"],
        ["1", "activated", "test"],
    ]
    assert run("agreement", "history", "parkeren", "--json") == 0
    assert [step["type"] for step in json.loads(capsys.readouterr().out)] == ["requested", "activated"]
