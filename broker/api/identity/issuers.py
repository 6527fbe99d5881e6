"""Issuers whose tokens count here: a reviewed file (DATANUTS_ISSUERS), and how each one's claims name an organisation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, Field, model_validator

from broker.errors import Forbidden, Invalid
from broker.model import roles
from broker.model.control_state import ControlState
from broker.policy.forms import Form, Slug, read
from broker.policy.yamltext import load

_URL = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
_CODES: Mapping[str, str] = {"GID": "ovo", "LB": "kbo"}
"""Which official code `vo_orgcode` is, by `vo_doelgroepcode`: a Flemish entity's OVO code, a local authority's KBO number."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whom a caller acts for, and as what; `credential` is the id of the one of ours that the token was issued on."""

    organisation: str
    roles: frozenset[str]
    credential: str | None = None


class Mapped(Protocol):
    """How the claims of one issuer name an organisation."""

    def standing(self, issuer: str, client: str, claims: Mapping[str, Any], state: ControlState) -> Standing:
        """Whom the client, or the person who uses it, acts for; raises `Forbidden` or `Unauthenticated`."""


@dataclass(frozen=True, slots=True)
class ByClient:
    """The client is bound to an organisation in the control log (`broker.control.clients`); claims name nobody."""

    def standing(self, issuer: str, client: str, claims: Mapping[str, Any], state: ControlState) -> Standing:
        """Raises `Forbidden` for a client that is not bound."""
        del claims
        bound = state.clients.get((issuer, client))
        if bound is None or bound.organisation not in state.organisations:
            raise Forbidden("the client of this token is bound to no organisation here: ask the operator")
        return Standing(bound.organisation, frozenset(bound.roles))


@dataclass(frozen=True, slots=True)
class ByAcmIdm:
    """ACM/IDM names the organisation of the person who signed in (`vo_*`), and that person's rights there.

    `clients` are the applications that people sign in to. A right counts where its key is that organisation's own code.
    """

    rights_claim: str
    rights: Mapping[str, str]
    clients: frozenset[str]

    def standing(self, issuer: str, client: str, claims: Mapping[str, Any], state: ControlState) -> Standing:
        """Raises `Forbidden` for another application, an organisation we do not know, and for nobody's rights."""
        del issuer
        if client not in self.clients:
            raise Forbidden("people sign in here through other applications: ask the operator")
        code, group = claims.get("vo_orgcode"), claims.get("vo_doelgroepcode")
        field = _CODES.get(group) if isinstance(group, str) else None
        if field is None or not isinstance(code, str) or not code:
            raise Forbidden("this person signed in for no Flemish entity and no local authority")
        known = [one.id for one in state.organisations.values() if getattr(one, field) == code]
        if len(known) != 1:
            raise Forbidden("the organisation that this person signed in for is not known here: ask the operator")
        stated = claims.get(self.rights_claim)
        listed = [stated] if isinstance(stated, str) else stated if isinstance(stated, list) else []
        named = (each.rpartition(":") for each in listed if isinstance(each, str))
        held = frozenset(self.rights[right] for right, _, key in named if key == code and right in self.rights)
        if not held:
            raise Forbidden("this person holds no right on this application for this organisation")
        return Standing(known[0], held)


@dataclass(frozen=True, slots=True)
class Issuer:
    """One trusted issuer; `name` is ours, for logs. `longest_s` is the longest life of a token, in seconds."""

    name: str
    url: str
    audience: str
    algorithm: str
    longest_s: int
    mapping: Mapped


def _url(stated: str) -> str:
    if not (_URL.fullmatch(stated) or _LOOPBACK.fullmatch(stated)):
        raise ValueError("an https URL (http on this machine only), exactly as the issuer writes it in `iss`")
    return stated


class _RightsForm(Form):
    claim: Annotated[str, Field(min_length=1, max_length=100)]
    clients: Annotated[tuple[str, ...], Field(min_length=1)]
    rights: Annotated[dict[str, str], Field(min_length=1)]

    @model_validator(mode="after")
    def _within(self) -> "_RightsForm":
        if not set(self.rights.values()) <= roles.ROLES - roles.OVER_ALL:
            raise ValueError(f"a right gives one of {', '.join(sorted(roles.ROLES - roles.OVER_ALL))}")
        return self


class _IssuerForm(Form):
    name: Slug
    issuer: Annotated[str, AfterValidator(_url)]
    audience: Annotated[str, Field(min_length=1, max_length=255)]
    algorithm: Literal["EdDSA", "ES256", "PS256", "RS256"]
    longest_seconds: Annotated[int, Field(ge=60, le=86_400)] = 3600
    acm_idm: _RightsForm | None = None

    def value(self) -> Issuer:
        mapping: Mapped = ByClient()
        if (stated := self.acm_idm) is not None:
            mapping = ByAcmIdm(stated.claim, stated.rights, frozenset(stated.clients))
        return Issuer(self.name, self.issuer, self.audience, self.algorithm, self.longest_seconds, mapping)


class _IssuersForm(Form):
    issuers: tuple[_IssuerForm, ...]


def issuers(text: str) -> tuple[Issuer, ...]:
    """Issuers of a YAML document, in its order; raises `Invalid` naming the place."""
    found = tuple(each.value() for each in read(_IssuersForm, load(text)).issuers)
    for what in ("name", "url"):
        if len({getattr(each, what) for each in found}) != len(found):
            raise Invalid(f"issuers: two have the same {'issuer' if what == 'url' else what}")
    return found
