"""Every route against every kind of caller: who gets what, and that refusals tell nothing."""

import base64

import pytest

from tests.unit.api.conftest import TOKENS, World, bearer, document, state, token

TRACE = "01" * 16
FORM = {"subject": "00000000000", "reference": "P-1", "capacity": "schuldeiser"}
CONSENT = {"subject": "00000000000", "reference": "T-1"}
CSV = "insz;referentie\n00000000000;P-1\n"
ADVICE = {"verdict": "favourable", "reference": "DPO-1", "textSha256": "ab" * 32}
SIGNATURE = {"function": "burgemeester", "mandate": "besluit 1", "textSha256": "ab" * 32}
ALL = frozenset(TOKENS)
PURPOSES = {"purposes": list(state().purposes)}
CEILING = "/v1/products/rijksregister/persoon.v1/ceilings/handhaving"
PARTIES = {"agency", "source", "operator"}

EVENTS = ("GET", "/v1/deliveries/parkeren/events")
# route → (body, callers that pass; the others get the status after it)
ROUTES = [
    ("GET", "/v1/agreements", None, ALL, {}),
    ("GET", "/v1/agreements/parkeren", None, PARTIES, {"*": 404}),
    ("GET", "/v1/agreements/parkeren/text", None, PARTIES, {"*": 404}),
    ("GET", "/v1/agreements/parkeren/text.pdf", None, PARTIES, {"*": 404}),
    ("GET", "/v1/agreements/parkeren/difference?from=1&to=1", None, PARTIES, {"*": 404}),
    ("GET", "/v1/agreements/events", None, ALL, {}),
    ("POST", "/v1/agreements/drafts", document("nieuw", "gent-parkeren"), {"agency", "operator"}, {"*": 403}),
    ("POST", "/v1/agreements", document("nieuw", "gent-parkeren"), {"agency"}, {"*": 403}),
    ("POST", "/v1/agreements/wachtend/request", None, {"agency"}, {"source": 403, "operator": 403, "*": 404}),
    ("POST", "/v1/agreements/wachtend/advice", ADVICE, {"agency", "source"}, {"operator": 403, "*": 404}),
    ("POST", "/v1/agreements/wachtend/signatures", SIGNATURE, {"agency", "source"}, {"operator": 403, "*": 404}),
    ("POST", "/v1/agreements/wachtend/publish", None, {"source"}, {"agency": 403, "operator": 403, "*": 404}),
    ("POST", "/v1/agreements/wachtend/withdraw", None, {"agency", "source"}, {"operator": 403, "*": 404}),
    ("POST", "/v1/agreements/wachtend/approve", None, {"source"}, {"agency": 403, "operator": 403, "*": 404}),
    ("POST", "/v1/agreements/parkeren/suspend", None, {"source", "operator"}, {"agency": 403, "*": 404}),
    ("POST", "/v1/agreements/parkeren/resume", None, {"source"}, {"agency": 403, "operator": 403, "*": 404}),
    ("POST", "/v1/agreements/parkeren/revoke", None, {"source", "operator"}, {"agency": 403, "*": 404}),
    ("POST", "/v1/agreements/parkeren/end", None, {"source", "agency"}, {"operator": 403, "*": 404}),
    ("POST", "/v1/agreements/parkeren/dossiers", FORM, {"agency"}, {"source": 403, "operator": 403, "*": 404}),
    ("POST", "/v1/agreements/parkeren/dossiers/end", {"subject": "1", "reference": "P-1"}, {"agency"},
     {"source": 403, "operator": 403, "*": 404}),
    ("GET", "/v1/agreements/parkeren/dossiers", None, {"agency"}, {"source": 403, "operator": 403, "*": 404}),
    ("GET", "/v1/agreements/parkeren/dossiers/count", None, {"agency"}, {"source": 403, "operator": 403, "*": 404}),
    ("POST", "/v1/agreements/parkeren/dossiers/bulk", CSV, {"agency"}, {"source": 403, "operator": 403, "*": 404}),
    ("POST", "/v1/agreements/parkeren/dossiers/end/bulk", CSV, {"agency"}, {"source": 403, "operator": 403, "*": 404}),
    ("POST", "/v1/agreements/parkeren/consents", CONSENT, {"agency"}, {"source": 403, "operator": 403, "*": 404}),
    ("POST", "/v1/agreements/parkeren/consents/withdraw", CONSENT, {"agency"},
     {"source": 403, "operator": 403, "*": 404}),
    ("GET", "/v1/agreements/parkeren/consents", None, {"agency"}, {"source": 403, "operator": 403, "*": 404}),
    ("GET", "/v1/deliveries/parkeren", None, {"agency"}, {"*": 404}),
    ("GET", "/v1/deliveries/parkeren/file", None, {"agency"}, {"*": 404}),
    (*EVENTS, None, {"agency"}, {"*": 404}),
    ("GET", "/v1/products", None, ALL, {}),
    ("GET", "/v1/products/rijksregister/persoon.v1", None, ALL, {}),
    ("POST", "/v1/products/rijksregister/persoon.v1/replacements", {"old": "1", "new": "2"}, {"source"}, {"*": 403}),
    ("GET", "/v1/products/rijksregister/persoon.v1/ceilings", None, ALL, {}),
    ("GET", CEILING, None, ALL, {}),
    ("PUT", CEILING, {"fields": []}, {"source"}, {"*": 403}),
    ("DELETE", CEILING, None, {"source"}, {"*": 403}),
    ("GET", "/v1/purposes", None, ALL, {}),
    ("GET", "/v1/purposes/statistiek", None, ALL, {}),
    ("PUT", "/v1/purposes", PURPOSES, {"operator"}, {"*": 403}),
    ("GET", "/v1/organisations", None, ALL, {}),
    ("POST", "/v1/organisations", {"id": "nieuw", "name": "Nieuw"}, {"operator"}, {"*": 403}),
    ("GET", "/v1/register-of-processing", None, ALL, {}),
    ("GET", "/v1/agreements/wachtend/odrl", None, PARTIES, {"*": 404}),
    ("POST", "/v1/policy/explain", {"agreement": "parkeren", "record": {}}, {"agency", "source"},
     {"operator": 403, "*": 404}),
    ("POST", "/v1/policy/compare", {"old": {"agreement": "parkeren"}, "new": {"agreement": "parkeren"}},
     {"agency", "source"}, {"operator": 403, "*": 404}),
    ("GET", "/v1/products/rijksregister/persoon.v1/growth?since=persoon.v1", None, ALL, {}),
    ("GET", f"/v1/traces/{TRACE}", None, {"operator"}, {"*": 403}),
    ("GET", "/subjects", None, ALL, {}),
    ("GET", "/schemas/types", None, ALL, {}),
    ("GET", "/schemas/ids/1", None, ALL, {}),
    ("GET", "/schemas/ids/2", None, {"agency", "operator"}, {"*": 404}),
    ("GET", "/subjects/delivery.gent-parkeren.parkeren-value/versions", None, {"agency", "operator"}, {"*": 404}),
    ("GET", "/subjects/delivery.gent-parkeren.parkeren-value/versions/latest", None, {"agency", "operator"},
     {"*": 404}),
]  # fmt: skip
IDS = [f"{method} {path}" for method, path, *_ in ROUTES]


@pytest.mark.parametrize(("method", "path", "body", "passing", "refusals"), ROUTES, ids=IDS)
@pytest.mark.parametrize("who", [*TOKENS, None, "wrong"])
async def test_who_gets_what(world: World, method, path, body, passing, refusals, who) -> None:
    headers = {None: {}, "wrong": {"Authorization": "Bearer dn_c1_geheim"}}.get(who) if who not in TOKENS else None
    headers = bearer(who) if headers is None else headers
    sent = {"content": body, "headers": headers | {"Content-Type": "text/csv"}} if body == CSV else {"json": body}
    if (method, path) == EVENTS:
        world.http._transport.app.state.open_answers.end()  # else the answer of who passes goes on
    answer = await world.http.request(method, path, **{"headers": headers} | sent)
    if who not in TOKENS:
        assert answer.status_code == 401
        assert "Bearer" in answer.headers["WWW-Authenticate"]
        assert answer.json()["code"] == "UNAUTHENTICATED"
    elif who in passing:
        assert answer.status_code in {200, 201}, answer.text
    else:
        assert answer.status_code == refusals.get(who, refusals.get("*")), answer.text


def test_every_route_is_in_the_matrix(world: World) -> None:
    app = world.http._transport.app
    asked = {(method, path.partition("?")[0]) for method, path, *_ in ROUTES}
    over_history = {"/v1/policy/what-if", "/v1/policy/redecide"}  # who may: test_policy_history.py
    pages = {"/protocollen", "/protocollen/{agreement}", "/protocollen/{agreement}/tekst"}
    own = "/v1/agreements/{agreement}/pseudonyms"
    pseudonyms = {own, f"{own}/rotate", f"{own}/map"}  # who may: test_pseudonyms.py
    templates = {f"/v1/templates/{verb}" for verb in ("preview", "onboard", "merge")}  # test_templates.py
    open_routes = {"/livez", "/readyz", *pages, *over_history, *pseudonyms, *templates}
    for path, methods in app.openapi()["paths"].items():
        if path in open_routes:
            continue
        pattern = path.split("/")
        for method in methods:
            assert any(
                method.upper() == known and _fits(pattern, asked_path.split("/")) for known, asked_path in asked
            ), f"{method} {path} has no line in the matrix"


def _fits(pattern: list[str], path: list[str]) -> bool:
    return len(pattern) == len(path) and all(
        part == other or part.startswith("{") for part, other in zip(pattern, path, strict=True)
    )


async def test_a_foreign_agreement_and_an_unknown_one_look_the_same(world: World) -> None:
    exits = [f"/v1/deliveries/{{}}{exit_}" for exit_ in ("", "/events", "/file")]
    for path in ("/v1/agreements/{}", "/v1/agreements/{}/dossiers", *exits):
        foreign = await world.http.get(path.format("parkeren"), headers=bearer("foreign"))
        unknown = await world.http.get(path.format("bestaat-niet"), headers=bearer("foreign"))
        assert (foreign.status_code, foreign.json()) == (unknown.status_code, unknown.json())


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
