"""Every operation of the OpenAPI document against every kind of caller; who may is in `expectations.py`."""

import base64
from collections.abc import AsyncIterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from broker.api import templates
from broker.api.limits import Pace
from broker.control.clients import Clients
from broker.control.local_issuer import LocalIssuer
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.roles import ROLES
from tests.unit.api import stand_ins
from tests.unit.api.conftest import NOW, ROOT, Keys, World, bearer, document, opened, token
from tests.unit.api.expectations import ALL, ANONYMOUS, CALLERS, ELSEWHERE, ROWS, Row, as_table, expected
from tests.unit.api.test_pseudonyms import open_study

ISSUER = "https://idp.example"


@dataclass
class Gate:
    """The application, made once; every cell of the matrix gets the same control log."""

    world: World
    base: ControlState

    async def ask(self, row: Row, who: str, **named: str) -> httpx.Response:
        """The answer to `who`, over a control log that nobody changed yet."""
        app = self.world.http._transport.app
        self.world.control.state = deepcopy(self.base)
        app.state.public_pace = Pace()
        app.state.open_answers.end()  # else an answer that streams goes on
        sent: dict[str, Any] = {"headers": _authorisation(who)}
        if isinstance(row.body, str):
            sent |= {"content": row.body, "headers": {**sent["headers"], "Content-Type": row.form}}
        elif row.body is not None:
            sent["json"] = row.body
        return await self.world.http.request(row.method, row.path(**named), **sent)


@pytest.fixture(scope="module")
async def gate() -> AsyncIterator[Gate]:
    """One application for the whole module."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(templates._Request, "read", lambda *_: (None, SimpleNamespace(rows=())))
        async with opened(**stand_ins.usual()) as world:
            yield _gate(world)


def _gate(world: World) -> Gate:
    control = world.control
    _callers(control.state)
    open_study(world)
    world.deliver("Peeters")
    bound = {"issuer": ISSUER, "client": "gent-toepassing", "organisation": "gent-parkeren", "roles": ["agency"]}
    _write(control.state, FactType.CLIENT_BOUND, f"client/{ISSUER} gent-toepassing", bound)
    purpose = world.entry("onderzoek").document["purpose"]
    rotation = {"agency": "gent-parkeren", "purpose": purpose, "epoch": 2}
    _write(control.state, FactType.PSEUDONYM_ROTATED, f"pseudonym/gent-parkeren/{purpose}", rotation)
    app, issuer = world.http._transport.app, LocalIssuer(control, Keys())
    issuer.reached_at("http://broker.test")
    app.state.services = replace(
        app.state.services,
        credentials=stand_ins.credentials(control),
        history=stand_ins.History(control.state),
        issuer=issuer,
        clients=Clients(control, frozenset({ISSUER})),
    )
    return Gate(world, control.state)


def _callers(state: ControlState) -> None:
    for who, (organisation, role) in {**CALLERS, "spare": CALLERS["agency"]}.items():
        if organisation not in state.organisations:
            _write(state, FactType.ORGANISATION, f"organisation/{organisation}", {"id": organisation, "name": "x"})
        digest = sha256(_token(who).encode()).hexdigest()
        data = {"id": f"m-{who}", "organisation": organisation, "sha256": digest, "roles": [role]}
        _write(state, FactType.CREDENTIAL, f"credential/m-{who}", data)


def _write(state: ControlState, kind: FactType, aggregate: str, data: Mapping[str, Any]) -> None:
    fact = Fact(f"m{state.epoch}", kind, aggregate, state.version(aggregate), NOW + timedelta(hours=1), "test", data)
    assert state.apply(state.epoch + 1, fact)


def _token(who: str) -> str:
    return f"dn_m-{who}_geheim"


def _authorisation(who: str) -> dict[str, str]:
    return {} if who == "nobody" else {"Authorization": f"Bearer {_token(who)}"}


@pytest.mark.parametrize("row", ROWS, ids=[row.operation for row in ROWS])
async def test_who_gets_what(gate: Gate, row: Row) -> None:
    wrong = []
    for who in (*CALLERS, *ANONYMOUS):
        answer = await gate.ask(row, who)
        status, wanted = answer.status_code, expected(row, who)
        if status != wanted if wanted else not answer.is_success:
            wrong.append(f"{who}: {status} instead of {wanted or 'passing'}: {answer.text[:200]}")
        elif wanted == 401:
            assert answer.json() == {
                **answer.json(),
                "code": "UNAUTHENTICATED",
                "detail": "a valid credential is needed",
            }
            assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if "{agreement}" in row.template and not row.public],
    ids=lambda row: row.operation,
)
async def test_a_foreign_agreement_and_an_unknown_one_look_the_same(gate: Gate, row: Row) -> None:
    for who in ALL - row.passes:
        foreign, unknown = await gate.ask(row, who), await gate.ask(row, who, agreement="bestaat-niet")
        if foreign.status_code == 404:
            assert (foreign.content, unknown.status_code) == (unknown.content, 404), who


def test_every_operation_has_one_row(gate: Gate) -> None:
    described = gate.world.http._transport.app.openapi()["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    assert sorted({row.operation for row in ROWS} | ELSEWHERE) == sorted(operations)
    assert len({row.operation for row in ROWS}) == len(ROWS)


def test_the_table_of_the_docs_is_this_one() -> None:
    """Made again by `python -m tests.unit.api.expectations >> docs/identity.md`, after the mark."""
    written = (ROOT / "docs" / "identity.md").read_text().partition("<!-- operations -->\n")[2]
    assert written == as_table()


def test_every_role_is_among_the_callers() -> None:
    assert {role for _, role in CALLERS.values()} == ROLES | {"citizen"}


async def test_a_listing_holds_own_agreements_only(world: World) -> None:
    async def listed(who: str) -> list[str]:
        return [item["id"] for item in (await world.http.get("/v1/agreements", headers=bearer(who))).json()["items"]]

    assert await listed("agency") == ["parkeren", "wachtend"]
    assert await listed("foreign") == ["jeugd"]
    assert await listed("other-source") == []
    assert await listed("operator") == ["jeugd", "parkeren", "wachtend"]


async def test_a_listing_is_read_page_by_page(world: World) -> None:
    first = (await world.http.get("/v1/agreements?limit=2", headers=bearer("operator"))).json()
    rest = (await world.http.get(f"/v1/agreements?after={first['next']}", headers=bearer("operator"))).json()
    assert ([i["id"] for i in first["items"]], first["next"]) == (["jeugd", "parkeren"], "parkeren")
    assert ([i["id"] for i in rest["items"]], rest["next"]) == (["wachtend"], None)


async def test_an_agency_cannot_request_in_anothers_name_nor_take_its_id(world: World) -> None:
    for asked in (document("nieuw", "jeugddienst-leuven"), document("jeugd", "gent-parkeren")):
        answer = await world.http.post("/v1/agreements", json=asked, headers=bearer("agency"))
        assert answer.status_code == 403
    assert world.agreements.calls == []


async def test_the_source_of_another_product_approves_nothing(world: World) -> None:
    await world.http.post("/v1/agreements/wachtend/approve", headers=bearer("other-source"))
    assert world.agreements.calls == []


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


async def test_stock_registry_clients_use_organisation_and_token(world: World) -> None:
    good = await world.http.get("/schemas/ids/2", headers=basic("gent-parkeren", token("agency")))
    assert good.status_code == 200
    for username, password in (("jeugddienst-leuven", token("agency")), ("", token("agency")), ("gent-parkeren", "")):
        assert (await world.http.get("/schemas/ids/2", headers=basic(username, password))).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "", "Bearer", "Bearer ", "Bearer dn", "Bearer dn__", "Bearer dn_c1_", "Bearer dn_onbekend_geheim_agency",
        "Basic ????", "Basic /w==", "Digest x", "bearer " + "x" * 10_000, "Bearer dn_c1_geheim_agency x",
    ],
)  # fmt: skip
async def test_odd_authorization_headers_are_refused_alike(world: World, header: str) -> None:
    answer = await world.http.get("/v1/agreements", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["detail"] == "a valid credential is needed"
