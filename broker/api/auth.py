"""Who calls: a bearer token, or organisation and token as Basic credentials, against the control log's credentials.

Tokens look like `dn_<credential id>_<random>`; only their SHA-256 is known here and it is compared in constant time.
A refusal never says which part was wrong.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from broker.api.services import Broker
from broker.errors import Forbidden, Unauthenticated
from broker.model.facts import Credential

AGENCY = "agency"
SOURCE_OWNER = "source-owner"
OPERATOR = "operator"

_PREFIX = "dn"
_NOBODY = Credential("", "", sha256(b"").hexdigest(), ())
_LONGEST_TOKEN = 512


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated organisation and the roles of its credential; every query takes it as tenant."""

    organisation: str
    roles: frozenset[str]

    @property
    def is_operator(self) -> bool:
        """Whether this is the broker's own operator, who administers but never sees a subject."""
        return OPERATOR in self.roles

    def require(self, *roles: str) -> None:
        """Raise `Forbidden` unless the credential holds one of `roles`."""
        if self.roles.isdisjoint(roles):
            raise Forbidden(f"this needs the role {' or '.join(roles)}")


def authenticate(header: str | None, credentials: Mapping[str, Credential]) -> Principal:
    """The principal of an Authorization header (RFC 6750 bearer, RFC 7617 Basic); raises `Unauthenticated`."""
    username, token = _presented(header or "")
    parts = token.split("_", 2)
    identifier = parts[1] if len(parts) == 3 and parts[0] == _PREFIX else ""  # noqa: PLR2004 - prefix, id, random
    known = credentials.get(identifier, _NOBODY)
    matches = compare_digest(sha256(token.encode()).hexdigest(), known.sha256)
    if not matches or known is _NOBODY or username not in {None, known.organisation}:
        raise Unauthenticated("a valid credential is needed")
    return Principal(known.organisation, frozenset(known.roles))


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


_declared = HTTPBearer(auto_error=False, description="Token of an organisation: `dn_…`", scheme_name="token")


async def principal(request: Request, broker: Broker, _shown: Annotated[object, Security(_declared)]) -> Principal:
    """The caller of this request; raises `Unauthenticated`."""
    return authenticate(request.headers.get("authorization"), broker.control.state.credentials)


Caller = Annotated[Principal, Depends(principal)]
