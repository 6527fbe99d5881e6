"""`datanuts quarantine` and `datanuts product declare`, as a source uses them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from broker.control.products import Products
from broker.control.quarantine import Quarantine
from broker.model.quarantine_book import Outcome, Place, Retry
from broker.routing.quarantine import closed
from tests.unit.api.conftest import ROOT, World
from tests.unit.api.test_quarantine import Past
from tests.unit.api.test_registry_writing import Kafka
from tests.unit.cli.conftest import Run

PRODUCT, PLACE, AS = "rijksregister/persoon.v1", "0/7", ("--as", "rijksregister")


@pytest.fixture
def past(world: World) -> Past:
    """A quarantine of one record."""
    made, app = Past(), world.http._transport.app
    made.set_aside(0, 7, "TRUNCATED", "2026-11-26T08:00:00Z")
    app.state.services = replace(
        app.state.services,
        quarantine=Quarantine(world.control, made),
        products=Products(world.control, Kafka(), Kafka(), 2),
    )
    return made


@pytest.mark.usefixtures("past")
def test_a_list_has_codes_and_places(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("quarantine", "list", PRODUCT, *AS) == 0
    told = capsys.readouterr().out.split()
    assert {"TRUNCATED", "1", PLACE, "insz", "open"} <= set(told)
    assert run("quarantine", "list", PRODUCT, "--json") == 0  # as the operator
    assert json.loads(capsys.readouterr().out)["items"] == []
    assert run("quarantine", "list", "rijksregister/none.v1", *AS) == 1


def test_what_is_retried_is_shown_until_it_is_closed(
    run: Run, world: World, past: Past, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("quarantine", "retry", PRODUCT, PLACE, *AS) == 0
    assert f"datanuts quarantine show {PRODUCT} {PLACE} --as rijksregister" in capsys.readouterr().out
    assert run("quarantine", "show", PRODUCT, PLACE, *AS) == 0
    assert "retry under way" in capsys.readouterr().out
    assert run("quarantine", "retry", PRODUCT, PLACE, *AS) == 1
    place = Place("rijksregister", "persoon.v1", 0, 7)
    past.note(closed(Retry(place, world.control.state.epoch), Outcome.SUPERSEDED, at="2026-11-26T09:00:00Z"))
    capsys.readouterr()
    assert run("quarantine", "show", PRODUCT, PLACE, *AS) == 0
    assert "SUPERSEDED" in capsys.readouterr().out
    assert run("quarantine", "list", PRODUCT, *AS) == 0
    assert "nothing is open" in capsys.readouterr().out


@pytest.mark.usefixtures("past")
def test_bytes_come_as_they_are_and_the_reason_is_kept(run: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("quarantine", "open", PRODUCT, PLACE, "--why", "Herstel van de bron", *AS) == 0
    assert capfdbinary.readouterr().out == b"bytes of 7"
    assert run("quarantine", "open", PRODUCT, PLACE, "--why", "Herstel van de bron", "--as", "operator") == 1
    assert run("quarantine", "show", PRODUCT, PLACE, *AS) == 0
    assert b"by rijksregister: Herstel van de bron" in capfdbinary.readouterr().out


@pytest.mark.usefixtures("past")
def test_a_next_version_is_looked_at_and_declared(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "schemas" / "persoon.v1.avsc").read_text().replace('"persoon.v1"', '"persoon.v2"')
    good, bad = tmp_path / "good.avsc", tmp_path / "bad.avsc"
    good.write_text(text)
    bad.write_text(text.replace('"class": "identifying"', '"class": "public"'))
    assert run("product", "declare", str(bad), "--dry-run", *AS) == 1
    shown = capsys.readouterr()
    assert "  REFUSED naam.achternaam: identifying may not become public" in shown.out
    assert "persoon.v2 is no compatible successor of persoon.v1 [CONFLICT]" in shown.err
    assert run("product", "declare", str(bad), *AS) == 1
    assert "[CLASS_WEAKENED]" in capsys.readouterr().err
    assert run("product", "declare", str(good), "--dry-run", *AS) == 0
    assert run("product", "declare", str(good), *AS, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["id"] == "persoon.v2"
    assert run("product", "declare", str(good), "--as", "kbo", "--json") == 0  # a product of its own
