"""`datanuts identity` against the application in memory."""

import json
from dataclasses import replace
from typing import Any

import pytest

from broker.control.clients import Clients
from broker.control.local_issuer import LocalIssuer
from tests.unit.api.conftest import Keys, World
from tests.unit.cli.conftest import Run

IDP = "https://idp.example"
NAMED = ("gent-toepassing", "--issuer", IDP)


@pytest.fixture(autouse=True)
def trusting(world: World) -> None:
    """The installation trusts an issuer, and is one."""
    app: Any = world.http._transport.app
    issuer = LocalIssuer(world.control, Keys())
    issuer.reached_at("http://broker.test")
    clients = Clients(world.control, frozenset({IDP}))
    app.state.services = replace(app.state.services, clients=clients, issuer=issuer)


def test_a_client_is_bound_listed_and_unbound(run: Run, capsys) -> None:
    assert run("identity", "bind", *NAMED, "--organisation", "gent-parkeren", "--role", "agency") == 0
    assert "gent-toepassing acts as gent-parkeren (agency)" in capsys.readouterr().out
    assert run("identity", "clients", "--json", "--as", "gent-parkeren") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["client"], listed["roles"]) == ("gent-toepassing", ["agency"])
    assert run("identity", "unbind", *NAMED) == 0
    assert run("identity", "unbind", *NAMED) == 1


def test_only_the_operator_binds(run: Run, world: World, capsys) -> None:
    asked = ("identity", "bind", *NAMED, "--organisation", "gent-parkeren", "--role", "agency", "--as", "gent-parkeren")
    assert run(*asked) == 1
    assert "FORBIDDEN" in capsys.readouterr().err
    assert world.control.state.clients == {}


def test_the_issuers_key_is_rotated_with_and_without_an_overlap(run: Run, world: World, capsys) -> None:
    assert run("identity", "rotate-key") == 0
    assert "signed with key 2; tokens of the key before end by themselves" in capsys.readouterr().out
    assert run("identity", "rotate-key", "--drop", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"key": 3, "kept": False}
    assert not any(each.trusted for each in world.control.state.signing_epochs)
