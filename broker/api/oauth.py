"""The installation's own OAuth issuer (RFC 6749 §4.4): a credential of ours for a short-lived access token.

For programs that know only OpenID Connect's ways: discovery, a token endpoint with `client_secret_basic`, a key set. The
client is the organisation, its secret the token that `datanuts up` left for it.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request, Security
from fastapi.responses import JSONResponse
from fastapi.security.http import HTTPBase

from broker.api.auth import OPERATOR, Caller, credential_in
from broker.api.services import Broker, Issuer, Services
from broker.control.local_issuer import ALGORITHM, LIFETIME_S
from broker.errors import NotFound, Unauthenticated

routes = APIRouter(tags=["identity"])

_NO_STORE = {"Cache-Control": "no-store"}
_BRIEFLY = {"Cache-Control": "public, max-age=60"}
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 10
_BASIC = re.compile(r"basic ", re.IGNORECASE)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            _FORM: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"const": "client_credentials"},
                        "resource": {"type": "string", "description": "If given, the issuer's URL (RFC 8707)."},
                    },
                }
            }
        },
    },
}
_client = HTTPBase(
    scheme="basic", auto_error=False, description="Organisation and its token (`dn_…`)", scheme_name="client"
)


@routes.post("/oauth/token", openapi_extra=_BODY)
async def issue_token(request: Request, broker: Broker, _shown: Annotated[object, Security(_client)]) -> JSONResponse:
    """An access token for the organisation whose credential is shown; errors are those of RFC 6749 §5.2."""
    issuer, url = _issuer(broker)
    header = request.headers.get("authorization", "")
    try:
        credential = credential_in(header if _BASIC.match(header) else None, broker.control.state.credentials)
    except Unauthenticated:
        challenge = {"WWW-Authenticate": 'Basic realm="datanuts", charset="UTF-8"'}
        return _refused("invalid_client", HTTPStatus.UNAUTHORIZED, challenge)
    form = _form(request, await request.body())
    if form is None or not {"client_id", "client_secret"}.isdisjoint(form):
        return _refused("invalid_request")
    if form.get("grant_type") != "client_credentials":
        return _refused("unsupported_grant_type" if "grant_type" in form else "invalid_request")
    if form.get("resource", url) != url:
        return _refused("invalid_target")
    token = {"access_token": issuer.issue(credential), "token_type": "Bearer", "expires_in": LIFETIME_S}
    return JSONResponse(token, headers=_NO_STORE)


@routes.get("/oauth/jwks")
async def show_key_set(broker: Broker) -> JSONResponse:
    """Public keys of this issuer, as a JWK set."""
    return JSONResponse(_issuer(broker)[0].key_set(), headers=_BRIEFLY)


@routes.get("/.well-known/openid-configuration")
async def show_discovery(broker: Broker) -> JSONResponse:
    """What this issuer offers (OpenID Connect Discovery 1.0, RFC 8414); nobody signs in here, so that no ID token is."""
    _, url = _issuer(broker)
    offered = {
        "issuer": url,
        "token_endpoint": f"{url}/oauth/token",
        "jwks_uri": f"{url}/oauth/jwks",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    }
    return JSONResponse(offered, headers=_BRIEFLY)


@routes.post("/v1/issuer/rotate")
async def rotate_issuer(
    broker: Broker,
    caller: Caller,
    *,
    keep: Annotated[bool, Query(description="Trust tokens of the key before for as long as they last.")] = True,
) -> dict[str, Any]:
    """Sign with a new key from now on. `keep=false`, where a key was seen by others: all earlier tokens end at once."""
    caller.require(OPERATOR)
    issuer, _ = _issuer(broker)
    return {"key": await issuer.rotate(keep=keep, by=caller.organisation), "kept": keep}


def _issuer(broker: Services) -> tuple[Issuer, str]:
    """The issuer and its URL; raises `NotFound`."""
    issuer = broker.issuer
    if issuer is None or issuer.url is None:
        raise NotFound("this installation issues no access tokens of its own")
    return issuer, issuer.url


def _form(request: Request, body: bytes) -> Mapping[str, str] | None:
    """Fields of the form; None where it is none, or says something twice (RFC 6749 §3.2)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return None
    form = dict(pairs)
    return form if len(form) == len(pairs) else None


def _refused(
    error: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    return JSONResponse({"error": error}, status, {**_NO_STORE, **(headers or {})})
