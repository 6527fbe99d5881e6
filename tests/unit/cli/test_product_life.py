"""`datanuts product deprecate|succession|end`: what its owner is told of each agreement, for people and as JSON."""

import json
import re
import shlex
from dataclasses import replace

import pytest

from broker.cli.main import parser
from broker.control.product_lives import ProductLives
from broker.model.facts import Fact, FactType
from broker.policy import documents
from tests.unit.api.conftest import NOW, ROOT, World
from tests.unit.cli.conftest import Run
from tests.unit.schema.test_compatibility import at_end, version

PRODUCT = "rijksregister/persoon.v1"
DEPRECATE = (
    "product",
    "deprecate",
    PRODUCT,
    "--successor",
    "persoon.v2",
    "--sunset",
    "2027-06-30",
    "--reason",
    "Nieuw.",
)
OWNER = ("--as", "rijksregister")
PAGE = (ROOT / "docs" / "product-life-cycle.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def both(world: World) -> None:
    """Both versions are declared."""
    state = world.control.state
    data = {"id": "persoon.v2", "source": "rijksregister", "schema": version(at_end).text}
    assert state.apply(state.epoch + 1, Fact("v2", FactType.PRODUCT, "product/v2", 0, NOW, "rijksregister", data))
    app = world.http._transport.app
    app.state.services = replace(
        app.state.services, lives=ProductLives(world.control, world.agreements, now=lambda: NOW)
    )


def test_a_deprecation_names_each_agreement_whether_its_text_must_change_why_and_by_when(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*DEPRECATE, "--dry-run", *OWNER) == 0
    tried = capsys.readouterr().out
    assert "is live: nothing was announced" in tried
    assert run(*DEPRECATE, *OWNER) == 0
    told = capsys.readouterr().out
    assert "deprecated, sunset 2027-06-30T00:00:00+00:00, then persoon.v2" in told
    assert "parkeren version 1 of gent-parkeren (active): its text must change; by 2027-04-01T00:00:00+00:00" in told
    assert "[PRODUCT_NAMED]" in told
    assert "articles: 1 (Partijen), 4 (Meegedeelde gegevens)" in told
    assert tried.splitlines()[1:] == told.splitlines()[2:]


def test_json_is_the_answer_and_an_agency_sees_its_own(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*DEPRECATE, "--notice-days", "30", "--json", *OWNER) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["state"], done["noticeDays"], len(done["agreements"])) == ("deprecated", 30, 3)
    assert run("product", "succession", PRODUCT, "--json", "--as", "jeugddienst-leuven") == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)["agreements"]] == ["jeugd"]


def test_list_and_show_tell_state_sunset_successor_and_what_is_left(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*DEPRECATE, *OWNER) == 0
    capsys.readouterr()
    assert run("product", "list", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["state"], first["successor"], second["state"]) == ("deprecated", "persoon.v2", "live")
    assert run("product", "show", PRODUCT, *OWNER) == 0
    assert (
        "deprecated, sunset 2027-06-30T00:00:00+00:00, then persoon.v2; 2 agreement(s) in force"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("sunset", ["morgen", "2027-06-30T00:00:00"])
def test_a_sunset_is_a_day_or_an_instant_with_its_zone(
    run: Run, capsys: pytest.CaptureFixture[str], sunset: str
) -> None:
    with pytest.raises(SystemExit):
        run("product", "deprecate", PRODUCT, "--sunset", sunset, "--reason", "r", *OWNER)
    assert "zone" in capsys.readouterr().err


def test_a_version_that_is_still_used_is_not_ended(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("product", "end", PRODUCT, *OWNER) == 1
    assert "deprecate it first" in capsys.readouterr().err


def test_an_agreement_is_drafted_on_the_next_version_and_what_needs_a_decision_is_named(
    run: Run, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    move = ("agreement", "migrate", "parkeren", "--to", "persoon.v2", "--as", "gent-parkeren")
    assert run(*move, "--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    held = world.entry("parkeren").document
    same = documents.agreement_document(documents.agreement(held))
    assert shown["document"] == {**same, "id": "parkeren-v2", "product": "persoon.v2", "version": 1}
    assert (shown["drafted"], shown["undecided"], world.agreements.calls) == (False, [], [])
    assert run(*move, "--id", "parkeren-twee") == 0
    assert (
        f"parkeren-twee on persoon.v2 drafted from parkeren: {len(held['fields'])} field(s)" in capsys.readouterr().out
    )
    assert world.agreements.calls == [("draft", "parkeren-twee", "gent-parkeren")]


@pytest.mark.parametrize("line", re.findall(r"^\$ datanuts (.*)$", PAGE, flags=re.MULTILINE))
def test_every_command_that_the_page_shows_is_one(line: str) -> None:
    words = shlex.split(line, comments=True)
    assert parser(words[0]).parse_args(words).command == words[0]


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:unit|integration)/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 10
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (file := ROOT / "tests" / path).exists() or (name and f"def {name}(" not in file.read_text())
    ]
    assert missing == []
