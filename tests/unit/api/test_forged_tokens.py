"""Access tokens that must not open anything: each forgery is refused as a nonsense token is, and tells nothing.

The controls at the end show that the same door opens for the same token without the forgery.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from broker.api.identity.door import Tokens
from broker.api.identity.issuers import ByClient, Issuer
from broker.api.identity.jws import LARGEST_TOKEN
from broker.model.facts import Fact, FactType
from tests.unit.api.conftest import NOW as THEN
from tests.unit.api.conftest import World, opened
from tests.unit.api.tokens import AUDIENCE, NOW, Idp, base64url, compact, idp, public_der, public_pem, token

ES, RS, PS, ED = (idp(algorithm) for algorithm in ("ES256", "RS256", "PS256", "EdDSA"))
_ECDSA = ec.ECDSA(hashes.SHA256())
UNTRUSTED = idp("ES256", "https://elsewhere.example")
Forgery = Callable[[], str]


def parts(text: str) -> list[str]:
    return text.split(".")


def resigned(changed: Callable[[str], str], part: int) -> str:
    """A good token with one part's text changed, and the old signature."""
    said = parts(ES.token())
    said[part] = changed(said[part])
    return ".".join(said)


def raw(header: Any = None, claims: Any = None, by: Idp = ES) -> str:
    """Header and claims as exactly these texts, signed as they should be."""
    return token(header or by.header, claims or by.claims, by.private, by.algorithm)


def unsigned(algorithm: str, *, signature: str = "") -> str:
    head = base64url(compact({**ES.header, "alg": algorithm}).encode())
    return f"{head}.{base64url(compact(ES.claims).encode())}.{signature}"


def doubled(name: str, first: Any, members: dict[str, Any]) -> str:
    """An object that states a member twice, the forger's value first: lenient readers take the last."""
    return "{" + f'"{name}":{json.dumps(first)},' + compact(members)[1:]


def tampered(**claims: Any) -> str:
    said = parts(ES.token())
    return ".".join((said[0], base64url(compact({**ES.claims, **claims}).encode()), said[2]))


def high_bits(part: str) -> str:
    """Another spelling of the same bytes: the bits that base64 does not use."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return part[:-1] + alphabet[alphabet.index(part[-1]) ^ 1]


FORGERIES: dict[str, Forgery] = {
    # no signature, or nobody's
    "alg none": lambda: unsigned("none"),
    "alg None": lambda: unsigned("None", signature="AA"),
    "alg NONE with the old signature": lambda: unsigned("NONE", signature=parts(ES.token())[2]),
    "alg empty": lambda: unsigned("", signature="AA"),
    "no signature": lambda: ES.token().rpartition(".")[0] + ".",
    "two parts": lambda: ES.token().rpartition(".")[0],
    "four parts": lambda: ES.token() + ".AA",
    "five parts (JWE)": lambda: "a.b.c.d.e",
    "three dots": lambda: "...",
    "signature of zeros": lambda: resigned(lambda _: base64url(bytes(64)), 2),
    "signature of r and s beyond the order": lambda: resigned(lambda _: base64url(b"\xff" * 64), 2),
    "signature cut short": lambda: resigned(lambda part: part[:-4], 2),
    "signature in DER": lambda: resigned(
        lambda _: base64url(ES.private.sign(b".".join(p.encode() for p in parts(ES.token())[:2]), _ECDSA)), 2
    ),
    "signature of another token": lambda: resigned(lambda _: parts(ES.token(sub="kbo"))[2], 2),
    "claims changed": lambda: tampered(client_id="rijksregister-toepassing"),
    "expiry changed": lambda: tampered(exp=NOW + 400),
    "header changed": lambda: resigned(lambda _: base64url(compact({**ES.header, "typ": "JWT"}).encode()), 0),
    # another algorithm
    "HS256 over the public PEM": lambda: token({**RS.header, "alg": "HS256"}, RS.claims, public_pem(RS), "HS256"),
    "HS256 over the public DER": lambda: token({**RS.header, "alg": "HS256"}, RS.claims, public_der(RS), "HS256"),
    "HS256 over nothing": lambda: token({**ES.header, "alg": "HS256"}, ES.claims, b"", "HS256"),
    "HS384": lambda: token({**ES.header, "alg": "HS384"}, ES.claims, b"x", "HS256"),
    "RS256 where PS256 is stated": lambda: token({**PS.header, "alg": "RS256"}, PS.claims, PS.private, "RS256"),
    "PS256 where RS256 is stated": lambda: token({**RS.header, "alg": "PS256"}, RS.claims, RS.private, "PS256"),
    "PS256 signature under RS256's name": lambda: token(RS.header, RS.claims, RS.private, "PS256"),
    "EdDSA by another issuer's key": lambda: token({**ES.header, "alg": "EdDSA"}, ES.claims, ED.private, "EdDSA"),
    "ES384 stated": lambda: ES.token({"alg": "ES384"}),
    "alg in lower case": lambda: ES.token({"alg": "es256"}),
    "alg with a space": lambda: ES.token({"alg": "ES256 "}),
    "alg a list": lambda: ES.token({"alg": ["ES256"]}),
    "alg null": lambda: ES.token({"alg": None}),
    "alg missing": lambda: ES.token(without="alg"),
    # another key
    "key of an untrusted issuer": lambda: token(ES.header, ES.claims, UNTRUSTED.private, "ES256"),
    "key of another trusted issuer": lambda: token({**RS.header, "kid": "k1"}, RS.claims, PS.private, "RS256"),
    "kid unknown": lambda: ES.token({"kid": "k2"}),
    "kid missing": lambda: ES.token(without="kid"),
    "kid empty": lambda: ES.token({"kid": ""}),
    "kid a number": lambda: ES.token({"kid": 1}),
    "kid a list": lambda: ES.token({"kid": ["k1"]}),
    "kid a path": lambda: ES.token({"kid": "../../../../dev/null"}),
    "kid an SQL fragment": lambda: ES.token({"kid": "k1' UNION SELECT 'x"}),
    "kid a URL": lambda: ES.token({"kid": "https://elsewhere.example/key"}),
    "kid with a NUL": lambda: ES.token({"kid": "k1\0"}),
    "kid too long": lambda: ES.token({"kid": "k" * 256}),
    # a key or more in the header
    "jwk": lambda: ES.token({"jwk": {"kty": "EC"}}),
    "jku": lambda: ES.token({"jku": "https://elsewhere.example/jwks"}),
    "x5u": lambda: ES.token({"x5u": "https://elsewhere.example/cert"}),
    "x5c": lambda: ES.token({"x5c": ["MII"]}),
    "crit": lambda: ES.token({"crit": ["exp"]}),
    "crit empty": lambda: ES.token({"crit": []}),
    "b64 false": lambda: ES.token({"b64": False, "crit": ["b64"]}),
    "zip": lambda: ES.token({"zip": "DEF"}),
    "enc": lambda: ES.token({"enc": "A256GCM"}),
    "cty (a token in a token)": lambda: ES.token({"cty": "JWT"}),
    "iss in the header": lambda: ES.token({"iss": ES.url}),
    "a member of the header nobody knows": lambda: ES.token({"x-extra": 1}),
    # another type
    "typ missing": lambda: ES.token(without="typ"),
    "typ id token": lambda: ES.token({"typ": "id+jwt"}),
    "typ logout": lambda: ES.token({"typ": "logout+jwt"}),
    "typ dpop": lambda: ES.token({"typ": "dpop+jwt"}),
    "typ a number": lambda: ES.token({"typ": 1}),
    "ID token (nonce)": lambda: ES.token({"typ": "JWT"}, nonce="n"),
    "ID token (at_hash)": lambda: ES.token({"typ": "JWT"}, at_hash="h"),
    "refresh token": lambda: ES.token({"typ": "JWT"}, typ="Refresh"),
    "logout token": lambda: ES.token({"typ": "JWT"}, events={"x": {}}),
    # written otherwise
    "header not JSON": lambda: raw("{"),
    "header an array": lambda: raw("[]"),
    "header a member twice": lambda: raw(doubled("alg", "none", ES.header)),
    "header kid twice": lambda: raw(doubled("kid", "k2", ES.header)),
    "claims an array": lambda: raw(claims="[]"),
    "claims a string": lambda: raw(claims='"x"'),
    "claims not UTF-8": lambda: raw(claims=compact(ES.claims)[:-1] + ',"x":"\ud800"}'),
    "claims with a byte order mark": lambda: raw(claims="\ufeff" + compact(ES.claims)),
    "claims a member twice": lambda: raw(claims=doubled("client_id", "kbo", ES.claims)),
    "claims iss twice": lambda: raw(claims=doubled("iss", "https://elsewhere.example", ES.claims)),
    "claims a nested member twice": lambda: raw(claims=compact(ES.claims)[:-1] + ',"x":{"a":1,"a":2}}'),
    "claims with NaN": lambda: raw(claims=compact(ES.claims)[:-1] + ',"x":NaN}'),
    "claims very deep": lambda: raw(claims=compact(ES.claims)[:-1] + ',"x":' + "[" * 2500 + "]" * 2500 + "}"),
    "claims with a tail": lambda: raw(claims=compact(ES.claims) + "{}"),
    "padded": lambda: resigned(lambda part: part + "=", 2),
    "with the other alphabet": lambda: resigned(lambda _: "+/" * 43, 2),
    "spelled otherwise": lambda: resigned(high_bits, 2),
    "with a line break": lambda: resigned(lambda part: part[:9] + "\t" + part[9:], 1),
    "one base64 character": lambda: resigned(lambda _: "A", 1),
    "too large": lambda: ES.token(x="x" * LARGEST_TOKEN),
    # another issuer
    "iss unknown": lambda: raw(by=UNTRUSTED),
    "iss of another trusted issuer": lambda: ES.token(iss=RS.url),
    "iss with a slash": lambda: ES.token(iss=ES.url + "/"),
    "iss in capitals": lambda: ES.token(iss=ES.url.upper()),
    "iss longer": lambda: ES.token(iss=ES.url + ".elsewhere.example"),
    "iss a list": lambda: ES.token(iss=[ES.url]),
    "iss an object": lambda: ES.token(iss={}),
    "iss missing": lambda: ES.token(without="iss"),
    # another audience
    "aud another": lambda: ES.token(aud="https://elsewhere.example"),
    "aud ours and another": lambda: ES.token(aud=[AUDIENCE, "https://elsewhere.example"]),
    "aud ours twice": lambda: ES.token(aud=[AUDIENCE, AUDIENCE]),
    "aud empty": lambda: ES.token(aud=[]),
    "aud in a list in a list": lambda: ES.token(aud=[[AUDIENCE]]),
    "aud an object": lambda: ES.token(aud={AUDIENCE: True}),
    "aud longer": lambda: ES.token(aud=AUDIENCE + "/"),
    "aud null": lambda: ES.token(aud=None),
    "aud missing": lambda: ES.token(without="aud"),
    "aud the client": lambda: ES.token(aud="gent-toepassing"),
    # another time
    "expired": lambda: ES.token(iat=NOW - 400, exp=NOW - 61),
    "expired to the second of the leeway": lambda: ES.token(iat=NOW - 400, exp=NOW - 60),
    "not yet": lambda: ES.token(nbf=NOW + 61),
    "issued in the future": lambda: ES.token(iat=NOW + 61, exp=NOW + 200),
    "too long a life": lambda: ES.token(exp=NOW + 3601),
    "ends before it begins": lambda: ES.token(iat=NOW, exp=NOW - 1),
    "exp missing": lambda: ES.token(without="exp"),
    "iat missing": lambda: ES.token(without="iat"),
    "exp text": lambda: ES.token(exp=str(NOW + 300)),
    "exp true": lambda: ES.token(exp=True),
    "exp null": lambda: ES.token(exp=None),
    "exp a list": lambda: ES.token(exp=[NOW + 300]),
    "exp infinite": lambda: raw(claims=compact({**ES.claims, "exp": "X"}).replace('"X"', "1e999")),
    "exp of 400 digits": lambda: raw(claims=compact({**ES.claims, "exp": "X"}).replace('"X"', "9" * 400)),
    "exp of 5,000 digits": lambda: raw(claims=compact({**ES.claims, "exp": "X"}).replace('"X"', "9" * 5000)),
    "iat negative": lambda: ES.token(iat=-1),
    "iat in milliseconds": lambda: ES.token(iat=NOW * 1000, exp=NOW * 1000 + 300),
    "issued in the future, to be used now": lambda: ES.token(iat=NOW + 61, nbf=NOW, exp=NOW + 200),
    "nbf text": lambda: ES.token(nbf="0"),
    "nbf true": lambda: ES.token(nbf=True),
    "nbf infinite": lambda: raw(claims=compact({**ES.claims, "nbf": "X"}).replace('"X"', "1e999")),
    # nobody
    "sub missing": lambda: ES.token(without="sub"),
    "sub empty": lambda: ES.token(sub=""),
    "sub a number": lambda: ES.token(sub=1),
    "sub too long": lambda: ES.token(sub="s" * 256),
    "client missing": lambda: ES.token(without="client_id"),
    "client empty": lambda: ES.token(client_id=""),
    "client a list": lambda: ES.token(client_id=["gent-toepassing"]),
    "two clients": lambda: ES.token(azp="rijksregister-toepassing"),
    # more than a bearer can show
    "bound to a certificate": lambda: ES.token(cnf={"x5t#S256": "x"}),
    "bound to a key": lambda: ES.token(cnf={"jkt": "x"}),
    "in another's name": lambda: ES.token(act={"sub": "kbo"}),
}

CONTROLS: dict[str, Forgery] = {
    "ES256": ES.token,
    "RS256": RS.token,
    "PS256": PS.token,
    "EdDSA": ED.token,
    "typ JWT": lambda: ES.token({"typ": "JWT"}),
    "typ in full": lambda: ES.token({"typ": "application/at+JWT"}),
    "hash of a certificate": lambda: ES.token({"x5t": "x", "x5t#S256": "y"}),
    "aud a list of ours": lambda: ES.token(aud=[AUDIENCE]),
    "azp": lambda: ES.token(without="client_id", azp="gent-toepassing"),
    "azp and client_id": lambda: ES.token(azp="gent-toepassing"),
    "expired within the leeway": lambda: ES.token(iat=NOW - 400, exp=NOW - 59),
    "issued ahead within the leeway": lambda: ES.token(iat=NOW + 60),
    "nbf within the leeway": lambda: ES.token(nbf=NOW + 60),
    "fractions of a second": lambda: ES.token(iat=NOW + 0.25, exp=NOW + 300.5),
    "the longest life": lambda: ES.token(exp=NOW + 3600),
    "Keycloak's own type": lambda: ES.token({"typ": "JWT"}, typ="Bearer"),
    "other claims": lambda: ES.token(scope="x", realm_access={"roles": ["y"]}, acr="1"),
}


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    """Trusts four issuers, of one algorithm each; their client `gent-toepassing` acts as an agency."""
    trusted = [(Issuer("x", each.url, AUDIENCE, each.algorithm, 3600, ByClient()), each) for each in (ES, RS, PS, ED)]
    async with opened(tokens=Tokens(trusted, now=lambda: NOW)) as made:
        state = made.control.state
        for each in (ES, RS, PS, ED):
            data = {
                "issuer": each.url,
                "client": "gent-toepassing",
                "organisation": "gent-parkeren",
                "roles": ["agency"],
            }
            fact = Fact(each.url, FactType.CLIENT_BOUND, f"client/{each.url} gent-toepassing", 0, THEN, "t", data)
            assert state.apply(state.epoch + 1, fact)
        yield made


async def answer(world: World, presented: str) -> Any:
    return await world.http.get("/v1/agreements", headers=[("Authorization", f"Bearer {presented}")])


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_token_opens_nothing_and_is_told_nothing(world: World, name: str) -> None:
    nonsense, forged = await answer(world, "nonsense"), await answer(world, FORGERIES[name]())
    assert (forged.status_code, forged.content) == (401, nonsense.content)
    assert forged.headers["WWW-Authenticate"] == nonsense.headers["WWW-Authenticate"]


@pytest.mark.parametrize("name", CONTROLS)
async def test_the_same_token_without_the_forgery_opens(world: World, name: str) -> None:
    opened_ = await answer(world, CONTROLS[name]())
    assert (opened_.status_code, [each["id"] for each in opened_.json()["items"]]) == (200, ["parkeren", "wachtend"])


def test_there_are_eighty_forgeries_at_least_and_each_is_another() -> None:
    made = [forge() for forge in FORGERIES.values()]
    assert len(made) >= 80
    assert not {ES.token(), *(control() for control in CONTROLS.values())} & set(made)


async def test_two_credentials_in_one_request_are_none(world: World) -> None:
    both = [("Authorization", f"Bearer {ES.token()}"), ("Authorization", f"Bearer {ES.token()}")]
    assert (await world.http.get("/v1/agreements", headers=both)).status_code == 401


async def test_a_token_is_read_from_the_header_only(world: World) -> None:
    for place in (f"/v1/agreements?access_token={ES.token()}", f"/v1/agreements?token={ES.token()}"):
        assert (await world.http.get(place)).status_code == 401
    cookie = {"Cookie": f"access_token={ES.token()}"}
    assert (await world.http.get("/v1/agreements", headers=cookie)).status_code == 401


async def test_a_good_token_of_a_client_that_is_bound_to_nobody_is_forbidden(world: World) -> None:
    refused = await answer(world, ES.token(client_id="onbekend"))
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")


async def test_a_client_is_bound_under_its_own_issuer_only(world: World) -> None:
    key = (RS.url, "gent-toepassing")
    bound = world.control.state.clients.pop(key)
    try:
        assert (await answer(world, RS.token())).status_code == 403
        assert (await answer(world, ES.token())).status_code == 200
    finally:
        world.control.state.clients[key] = bound


async def test_keys_are_asked_for_only_of_the_issuer_that_the_token_names(world: World) -> None:
    for each in (ES, RS, PS, ED):
        each.lookups.clear()
    await answer(world, ES.token({"kid": "elders"}))
    assert [each.lookups for each in (ES, RS, PS, ED)] == [["elders"], [], [], []]
