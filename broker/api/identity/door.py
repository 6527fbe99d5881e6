"""The one way from an access token to an organisation and its roles."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from broker.api.identity import claims as rules
from broker.api.identity.issuers import Issuer, Standing
from broker.api.identity.jws import check_signature, read, refuse
from broker.control.local_issuer import ALGORITHM, LIFETIME_S, LocalIssuer
from broker.model.control_state import ControlState


class Keys(Protocol):
    """Where an issuer's keys are."""

    async def key(self, kid: str) -> Any:
        """The key of this id, or None; raises `IssuerUnavailable` while that cannot be known."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Whom a token speaks for; `states_purpose`: it claims a purpose, which counts for nothing."""

    standing: Standing
    states_purpose: bool


@dataclass(frozen=True, slots=True)
class ByCredential:
    """Tokens of the local issuer: the credential that they were issued on gives organisation and roles, while it holds."""

    now: Callable[[], float]

    def standing(self, issuer: str, client: str, claims: Mapping[str, Any], state: ControlState) -> Standing:
        """Raises `Unauthenticated` once the credential was revoked or has expired."""
        del issuer
        named = claims.get("credential")
        known = state.credentials.get(named) if isinstance(named, str) else None
        at = datetime.fromtimestamp(self.now(), UTC)
        if known is None or known.organisation != client or not known.holds(at):
            refuse()
        return Standing(known.organisation, frozenset(known.roles), known.id)


class Tokens:
    """Checks access tokens of the given issuers, and of the installation's own; `now` is in seconds since 1970."""

    def __init__(
        self,
        issuers: Iterable[tuple[Issuer, Keys]],
        local: LocalIssuer | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuers: Mapping[str, tuple[Issuer, Keys]] = {issuer.url: (issuer, keys) for issuer, keys in issuers}
        self._local = local
        self._now = now

    async def accept(self, text: str, state: ControlState) -> Accepted:
        """Whom the token speaks for.

        Raises `Unauthenticated` alike for every token that is not whole, current and for us, `Forbidden` for a good one
        of somebody who is nobody here, and `IssuerUnavailable`.
        """
        token = read(text)
        found = self._of(token.claims.get("iss"))
        if found is None or token.algorithm != found[0].algorithm:
            refuse()
        issuer, keys = found
        key = await keys.key(token.kid)
        if key is None:
            refuse()
        check_signature(token, key, issuer.algorithm)
        client = rules.check(
            token.claims, issuer=issuer.url, audience=issuer.audience, longest_s=issuer.longest_s, now=self._now()
        )
        standing = issuer.mapping.standing(issuer.url, client, token.claims, state)
        return Accepted(standing, rules.claims_purpose(token.claims))

    def _of(self, stated: Any) -> tuple[Issuer, Keys] | None:
        if not isinstance(stated, str):
            return None
        local = self._local
        if local is not None and local.url == stated:
            return Issuer("local", stated, stated, ALGORITHM, LIFETIME_S, ByCredential(self._now)), local
        return self._issuers.get(stated)


NO_TOKENS = Tokens(())
"""For an installation that trusts no issuer: every access token is refused."""
