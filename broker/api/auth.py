"""Who calls: an access token, one of our own tokens (`dn_…`), as a bearer or with its organisation, or a client certificate.

Tokens of ours look like `dn_<credential id>_<random>`; only their SHA-256 is known here and it is compared in constant time.
Access tokens (JWT) are checked in `broker.api.identity`. A refusal never says which part was wrong.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from broker.api.claimed import note_purpose
from broker.api.client_certificates import shown_certificate
from broker.api.identity.jws import LARGEST_TOKEN
from broker.api.services import Broker, Services
from broker.errors import Forbidden, Unauthenticated
from broker.model.control_state import ControlState
from broker.model.credentials import Credential
from broker.model.roles import AGENCY, CITIZEN, DPO, OPERATOR, OVER_ALL, READING, SOURCE_OWNER, SUPERVISOR
from broker.telemetry import Event, log
from broker.telemetry.safe import FromCode

__all__ = ["AGENCY", "DPO", "OPERATOR", "SOURCE_OWNER", "SUPERVISOR", "Caller", "Principal", "caller_of", "principal"]

_PREFIX = "dn"
_NOBODY = Credential("", "", sha256(b"").hexdigest(), ())
_LONGEST_TOKEN = 512
_SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated organisation and the roles of its credential; every query takes it as tenant.

    `credential` is the id of the one that was shown, where it is one of ours.
    """

    organisation: str
    roles: frozenset[str]
    credential: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether this is the broker's own operator, who administers but never sees a subject."""
        return OPERATOR in self.roles

    @property
    def oversees(self) -> bool:
        """Whether it may know of every agreement, whoever the parties are: the operator, and a supervisory authority."""
        return not self.roles.isdisjoint(OVER_ALL)

    def require(self, *roles: str) -> None:
        """Raise `Forbidden` unless the credential holds one of `roles`."""
        if self.roles.isdisjoint(roles):
            raise Forbidden(f"this needs the role {' or '.join(roles)}")


def credential_in(header: str | None, credentials: Mapping[str, Credential], at: datetime | None = None) -> Credential:
    """The credential of an Authorization header (RFC 6750 bearer, RFC 7617 Basic); raises `Unauthenticated`.

    One that has expired at `at` (None: now) is refused as a wrong one is.
    """
    username, token = _presented(header or "")
    parts = token.split("_", 2)
    identifier = parts[1] if len(parts) == 3 and parts[0] == _PREFIX else ""  # noqa: PLR2004 - prefix, id, random
    known = credentials.get(identifier, _NOBODY)
    matches = compare_digest(sha256(token.encode()).hexdigest(), known.sha256)
    if not matches or known is _NOBODY or username not in {None, known.organisation}:
        raise Unauthenticated("a valid credential is needed")
    if not known.holds(at or datetime.now(UTC)):
        raise Unauthenticated("a valid credential is needed")
    return known


def credential_of_certificate(thumbprint: str, state: ControlState, at: datetime | None = None) -> Credential:
    """The credential that is this certificate; raises `Unauthenticated` for one unknown, revoked or expired at `at`."""
    known = state.credential_of_certificate(thumbprint)
    if known is None or not known.holds(at or datetime.now(UTC)):
        raise Unauthenticated("a valid credential is needed")
    return known


def authenticate(header: str | None, credentials: Mapping[str, Credential]) -> Principal:
    """The principal of a header with a token of ours; raises `Unauthenticated`."""
    return _principal_of(credential_in(header, credentials))


def _principal_of(known: Credential) -> Principal:
    return Principal(known.organisation, frozenset(known.roles), known.id)


def _presented(header: str) -> tuple[str | None, str]:
    """User name (None for a bearer) and token; empty where nothing usable was sent."""
    scheme, _, rest = header.partition(" ")
    if len(header) > _LONGEST_TOKEN:
        return None, ""
    if scheme.lower() == "bearer":
        return None, rest.strip()
    if scheme.lower() == "basic":
        try:
            username, _, token = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None, ""
        return username, token
    return None, ""


async def caller_of(request: Request, broker: Services) -> Principal:
    """The caller of this request.

    Raises `TooManyRequests`, `Unauthenticated`, `IssuerUnavailable` where an access token cannot be checked now, and `Forbidden` for a caller
    who is nobody here, or who may only read and asks for more. A supervisor's request is logged before it is answered.
    """
    found, in_token = await _identified(request, broker)
    if not request.app.state.paces.take(found.organisation):
        await request.app.state.paces.refuse()
    request.app.state.uses.used(found.credential)
    note_purpose(request, found.organisation, in_token=in_token)
    if found.roles <= {CITIZEN}:
        raise Forbidden("there is no door for this role yet")
    if found.roles <= READING and request.method not in _SAFE_METHODS:
        raise Forbidden("this credential may only read")
    if SUPERVISOR in found.roles:
        _note_supervisor(request, found)
    return found


async def still_caller_of(request: Request, broker: Services) -> Principal:
    """The caller of a request that goes on, looked at again without noting it again.

    Raises `Unauthenticated` and `IssuerUnavailable`.
    """
    return (await _identified(request, broker))[0]


async def _identified(request: Request, broker: Services) -> tuple[Principal, bool]:
    """Who sent the request, and whether its access token states a purpose.

    With both a certificate and a token it is the token's, if both are of the same organisation.
    """
    stated = request.headers.getlist("authorization")
    shown = shown_certificate(request, request.app.state.proxies)
    certified = None if shown is None else credential_of_certificate(shown, broker.control.state)
    if certified is not None and not stated:
        return _principal_of(certified), False
    header = stated[0] if len(stated) == 1 else ""  # of two, which one counts depends on who reads
    scheme, _, token = header.partition(" ")
    state, in_token = broker.control.state, False
    if scheme.lower() == "bearer" and "." in token[:LARGEST_TOKEN]:  # tokens of ours have no dot
        accepted = await broker.tokens.accept(token.strip(), state)
        standing, in_token = accepted.standing, accepted.states_purpose
        found = Principal(standing.organisation, standing.roles, standing.credential)
    else:
        found = authenticate(header, state.credentials)
    if certified is not None and certified.organisation != found.organisation:
        raise Unauthenticated("a valid credential is needed")
    return found, in_token


def _note_supervisor(request: Request, caller: Principal) -> None:
    place = FromCode(f"{request.method} {getattr(request.scope.get('route'), 'path', '')}")
    given = request.path_params
    agreement, trace = given.get("agreement"), given.get("trace")
    log(Event.SUPERVISOR_READ, organisation=caller.organisation, place=place, agreement=agreement, trace=trace)


_declared = HTTPBearer(
    auto_error=False,
    description="Token of an organisation (`dn_…`), or an access token (JWT) of a trusted issuer",
    scheme_name="token",
)


async def principal(request: Request, broker: Broker, _shown: Annotated[object, Security(_declared)]) -> Principal:
    """As `caller_of`."""
    return await caller_of(request, broker)


Caller = Annotated[Principal, Depends(principal)]
