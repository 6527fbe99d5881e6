"""Our own issuer as a program that knows only OpenID Connect sees it, clients bound by the operator, and what is noticed."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import httpx
import jwt
import pytest

from broker.api.identity.door import Tokens
from broker.api.identity.issuers import ByClient, Issuer
from broker.control.clients import Clients
from broker.control.local_issuer import LIFETIME_S, LocalIssuer
from broker.telemetry import logs
from tests.unit.api.conftest import TOKENS, Keys, World, bearer, opened, token
from tests.unit.api.test_access import _callers, _token
from tests.unit.api.tokens import AUDIENCE, idp
from tests.unit.api.tokens import NOW as THEN

HERE = "http://broker.test"
IDP = idp("ES256")
OUTSIDE = Issuer("idp", IDP.url, AUDIENCE, "ES256", 3600, ByClient())
GRANT = {"grant_type": "client_credentials"}


@dataclass
class Place:
    """An installation with an issuer of its own, one trusted outside issuer, and a clock."""

    world: World
    now: float = float(THEN)
    lines: StringIO = field(default_factory=StringIO)

    @property
    def http(self) -> httpx.AsyncClient:
        return self.world.http

    def instant(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    async def grant(self, who: str = "agency", **form: str) -> httpx.Response:
        return await self.http.post("/oauth/token", data=GRANT | form, auth=(TOKENS[who][1], token(who)))

    async def token(self, who: str = "agency") -> str:
        return str((await self.grant(who)).json()["access_token"])

    async def status(self, text: str) -> int:
        answer = await self.http.get("/v1/agreements", headers={"Authorization": f"Bearer {text}"})
        return answer.status_code

    async def rotate(self, *, keep: bool) -> httpx.Response:
        path = f"/v1/issuer/rotate?keep={str(keep).lower()}"
        return await self.http.post(path, headers=bearer("operator"))

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with opened() as world:
        made = Place(world)
        issuer = LocalIssuer(world.control, Keys(), now=made.instant)
        issuer.reached_at(HERE)
        app = world.http._transport.app
        app.state.services = replace(
            app.state.services,
            issuer=issuer,
            tokens=Tokens([(OUTSIDE, IDP)], issuer, now=lambda: made.now),
            clients=Clients(world.control, frozenset({IDP.url})),
        )
        _callers(world.control.state)
        stop = logs.start("api", "INFO", made.lines)
        yield made
        stop()


async def test_a_client_that_knows_only_openid_connect_gets_in(place: Place) -> None:
    found = (await place.http.get("/.well-known/openid-configuration")).json()
    assert found["issuer"] == HERE
    answer = await place.http.post(found["token_endpoint"], data=GRANT, auth=("gent-parkeren", token("agency")))
    granted = answer.json()
    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", LIFETIME_S)
    assert answer.headers["cache-control"] == "no-store"
    keys = jwt.PyJWKSet.from_dict((await place.http.get(found["jwks_uri"])).json())
    header = jwt.get_unverified_header(granted["access_token"])
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(
        granted["access_token"], keys[header["kid"]].key, ["EdDSA"], options, audience=HERE, issuer=HERE
    )
    assert (header["typ"], claims["client_id"], claims["exp"] - claims["iat"]) == (
        "at+jwt",
        "gent-parkeren",
        LIFETIME_S,
    )
    listed = await place.http.get("/v1/agreements", headers={"Authorization": f"Bearer {granted['access_token']}"})
    assert [item["id"] for item in listed.json()["items"]] == ["parkeren", "wachtend"]


async def test_a_token_of_one_agency_shows_nothing_of_another(place: Place) -> None:
    authorised = {"Authorization": f"Bearer {await place.token('foreign')}"}
    assert (await place.http.get("/v1/agreements/parkeren", headers=authorised)).status_code == 404
    assert (await place.http.get("/v1/agreements/jeugd", headers=authorised)).status_code == 200


async def test_a_token_ends_with_its_time_and_with_its_credential(place: Place) -> None:
    held = await place.token()
    assert await place.status(held) == 200
    credential = place.world.control.state.credentials.pop("c1")
    assert await place.status(held) == 401
    place.world.control.state.credentials["c1"] = replace(credential, expires=place.instant())
    assert await place.status(held) == 401
    place.world.control.state.credentials["c1"] = credential
    assert await place.status(held) == 200
    place.now += LIFETIME_S + 60
    assert await place.status(held) == 401


async def test_a_rotation_overlaps_for_as_long_as_a_token_lives(place: Place) -> None:
    before = await place.token()
    assert (await place.rotate(keep=True)).json() == {"key": 2, "kept": True}
    after = await place.token()
    kids = [each["kid"] for each in (await place.http.get("/oauth/jwks")).json()["keys"]]
    assert kids == [jwt.get_unverified_header(each)["kid"] for each in (after, before)]
    assert [await place.status(before), await place.status(after)] == [200, 200]
    rotated_at = place.world.control.state.signing_epochs[0].until
    place.now = (rotated_at + timedelta(seconds=LIFETIME_S + 61)).timestamp()
    assert len((await place.http.get("/oauth/jwks")).json()["keys"]) == 1


async def test_a_key_that_was_seen_is_dropped_with_all_tokens_it_signed(place: Place) -> None:
    before = await place.token()
    await place.rotate(keep=True)
    between = await place.token()
    await place.rotate(keep=False)
    assert [await place.status(each) for each in (before, between, await place.token())] == [401, 401, 200]
    assert len((await place.http.get("/oauth/jwks")).json()["keys"]) == 1


@pytest.mark.parametrize(
    ("sent", "error", "status"),
    [
        ({"data": GRANT}, "invalid_client", 401),
        ({"data": GRANT, "auth": ("gent-parkeren", "dn_c1_anders")}, "invalid_client", 401),
        ({"data": GRANT, "auth": ("jeugddienst-leuven", token("agency"))}, "invalid_client", 401),
        ({"data": GRANT, "headers": bearer("agency")}, "invalid_client", 401),
        ({"data": GRANT, "headers": {"Authorization": "Basic ????"}}, "invalid_client", 401),
        ({"data": {"grant_type": "password"}}, "unsupported_grant_type", 400),
        ({"data": {}}, "invalid_request", 400),
        ({"json": GRANT}, "invalid_request", 400),
        ({"data": {"grant_type": ["client_credentials", "client_credentials"]}}, "invalid_request", 400),
        ({"data": GRANT | {"client_secret": "x"}}, "invalid_request", 400),
        ({"data": GRANT | {"resource": "https://elsewhere.example"}}, "invalid_target", 400),
        (
            {"content": b"\xff", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
            "invalid_request",
            400,
        ),
    ],
)
async def test_the_token_endpoint_refuses_as_rfc_6749_says(
    place: Place, sent: dict[str, Any], error: str, status: int
) -> None:
    shown = {} if "auth" in sent or status == 401 else {"auth": ("gent-parkeren", token("agency"))}
    answer = await place.http.post("/oauth/token", **sent, **shown)
    assert (answer.status_code, answer.json()) == (status, {"error": error})
    assert answer.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_an_installation_that_issues_nothing_has_no_issuer(world: World) -> None:
    for path in ("/.well-known/openid-configuration", "/oauth/jwks"):
        assert (await world.http.get(path)).status_code == 404
    assert (await world.http.post("/oauth/token", data=GRANT)).status_code == 404


async def bind(place: Place, verb: str = "", **form: Any) -> httpx.Response:
    named = {"issuer": IDP.url, "client": "gent-toepassing"}
    said = named if verb else named | {"organisation": "gent-parkeren", "roles": ["agency"]}
    return await place.http.post(f"/v1/clients{verb}", json=said | form, headers=bearer("operator"))


async def test_an_outside_client_gets_in_once_it_is_bound_and_until_it_is_unbound(place: Place) -> None:
    assert await place.status(IDP.token()) == 403
    assert [(await bind(place)).status_code, (await bind(place)).status_code] == [201, 200]
    assert await place.status(IDP.token()) == 200
    own = (await place.http.get("/v1/clients", headers=bearer("agency"))).json()["items"]
    foreign = (await place.http.get("/v1/clients", headers=bearer("foreign"))).json()["items"]
    assert ([each["client"] for each in own], foreign) == (["gent-toepassing"], [])
    assert (await bind(place, "/unbind")).status_code == 200
    assert await place.status(IDP.token()) == 403
    assert (await bind(place, "/unbind")).status_code == 404


async def test_a_client_never_changes_hands_in_one_step(place: Place) -> None:
    await bind(place)
    assert (await bind(place, organisation="jeugddienst-leuven")).status_code == 409
    assert (await bind(place, roles=["agency", "dpo"])).json()["roles"] == ["agency", "dpo"]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"issuer": "https://elsewhere.example"}, 400),
        ({"issuer": HERE}, 400),
        ({"organisation": "onbekend"}, 404),
        ({"roles": ["citizen"]}, 400),
        ({"roles": ["root"]}, 400),
        ({"roles": []}, 400),
        ({"client": ""}, 400),
        ({"client": "a\nb"}, 400),
        ({"purpose": "x"}, 400),
    ],
)
async def test_only_what_can_count_is_bound(place: Place, form: dict[str, Any], status: int) -> None:
    assert (await bind(place, **form)).status_code == status
    assert place.world.control.state.clients == {}


@pytest.mark.parametrize(
    "claimed",
    [
        {"headers": {"Purpose": "handhaving"}},
        {"headers": {"X-Doel": "handhaving"}},
        {"claims": {"purpose": "handhaving"}},
        {"claims": {"Doel": ["handhaving"]}},
    ],
)
async def test_a_purpose_that_a_caller_claims_changes_nothing_and_is_noticed(
    place: Place, claimed: dict[str, Any]
) -> None:
    await bind(place)
    plain = await place.http.get("/v1/agreements", headers={"Authorization": f"Bearer {IDP.token()}"})
    assert place.logged() == []
    presented = {"Authorization": f"Bearer {IDP.token(**claimed.get('claims', {}))}", **claimed.get("headers", {})}
    answer = await place.http.get("/v1/agreements", headers=presented)
    assert (answer.status_code, answer.content) == (200, plain.content)
    (line,) = place.logged()
    assert (line["event"], line["organisation"], line["records"]) == ("purpose.claimed", "gent-parkeren", 1)
    assert "handhaving" not in place.lines.getvalue()


async def test_every_read_by_a_supervisor_is_logged_with_what_was_read(place: Place) -> None:
    supervisor = {"Authorization": f"Bearer {_token('supervisor')}"}
    trace = "01" * 16
    for path in ("/v1/agreements/parkeren/text", f"/v1/traces/{trace}", "/v1/agreements/bestaat-niet"):
        await place.http.get(path, headers=supervisor)
    await place.http.get("/v1/agreements/parkeren", headers=bearer("agency"))
    seen = [
        {name: line.get(name) for name in ("event", "organisation", "place", "agreement", "trace")}
        for line in place.logged()
    ]
    assert [list(line.values()) for line in seen] == [
        ["supervisor.read", "vtc", "GET /v1/agreements/{agreement}/text", "parkeren", None],
        ["supervisor.read", "vtc", "GET /v1/traces/{trace}", None, trace],
        ["supervisor.read", "vtc", "GET /v1/agreements/{agreement}", "bestaat-niet", None],
    ]
