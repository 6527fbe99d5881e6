"""Credentials as use-cases: a token for HTTP and a Kafka user of its own each, shown once, known here by digest only.

Or, on a request for one, a client certificate for both: the key stays with who asked, and there is nothing to keep secret.
A writer of a raw topic has the Kafka user only: its secret lies with a connector, and opens nothing over HTTP.
A Kafka user has one password, so that every credential has its own: `<organisation>~<credential>`, which no slug can be.
The fact comes first: nobody else takes a user away that a fact names, and none has rights that no fact gave.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from broker.control.client_authority import ClientAuthority
from broker.control.log import ControlLog
from broker.control.logins import NO_QUOTA, Quota, Rights, remove, streams_of
from broker.errors import BrokerError, Conflict, Invalid, NotFound
from broker.model import topics
from broker.model.credentials import THUMBPRINT, Credential
from broker.model.facts import FactType

OVERLAP = timedelta(hours=24)
"""How long a rotated credential works beside the one that replaces it, where nobody says otherwise."""

_TOKEN_BYTES = 32


class Logins(Rights, Protocol):
    """SCRAM users of Kafka; `broker.kafka.admin` behind it."""

    async def ensure_scram_user(self, name: str, password: str) -> None:
        """Create a user, or replace the password of an existing one."""


@dataclass(frozen=True, slots=True)
class Issued:
    """What the organisation must keep: it is not stored here. The token is for HTTP, the password for Kafka.

    Both Kafka texts are empty where there is no Kafka user, the token where it is for Kafka only; `replaced_until` is when the one it follows expires. With a
    `certificate` (PEM, its authority's behind it) there is neither token nor password.
    """

    id: str
    organisation: str
    roles: tuple[str, ...]
    token: str = field(repr=False)
    kafka_username: str
    kafka_password: str = field(repr=False)
    expires: datetime | None = None
    replaced_until: datetime | None = None
    certificate: str | None = None


class Credentials:
    """Issues, rotates and revokes; `by` is the organisation that acts, `shown` the credential that it showed.

    Who may is the caller's to check. Every method raises `KafkaUnavailable` where Kafka does not confirm. `authority` signs
    certificates, without one there are only tokens; `quota` is what every new Kafka user may take.
    """

    def __init__(
        self,
        control: ControlLog,
        logins: Logins,
        *,
        authority: ClientAuthority | None = None,
        quota: Quota = NO_QUOTA,
        random: Callable[[int], str] = secrets.token_urlsafe,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._control = control
        self._logins = logins
        self._authority = authority
        self._quota = quota
        self._random = random
        self._now = now

    async def issue(
        self,
        organisation: str,
        roles: tuple[str, ...],
        *,
        by: str,
        kafka: bool = True,
        lasting: timedelta | None = None,
        shown: str | None = None,
        csr: str | None = None,
    ) -> Issued:
        """A new credential, with a Kafka user that reads the streams the organisation has now, and later ones.

        `lasting` None: until revoked. With `csr` (PKCS#10, PEM) it is a certificate for that key. Raises `NotFound` for an
        unknown organisation, `Conflict` if `shown` was revoked, `Invalid` for a request that cannot be signed.
        """
        await self._control.read_to_head()
        if organisation not in self._control.state.organisations:
            raise NotFound(f"no organisation {organisation}: register it first")
        also = {"issued_with": shown}
        return await self._issue(organisation, roles, by, kafka=kafka, lasting=lasting, csr=csr, also=also)

    async def issue_writer(
        self,
        organisation: str,
        name: str,
        *,
        by: str,
        lasting: timedelta | None = None,
        shown: str | None = None,
        csr: str | None = None,
    ) -> Issued:
        """A Kafka user, or a certificate for one, that may write the organisation's raw topic `name` and nothing else.

        Raises `NotFound` where it is not declared, `Conflict` and `Invalid` as `issue`.
        """
        topic = topics.raw(organisation, name)
        await self._control.read_to_head()
        if (organisation, name) not in self._control.state.raw.declared:
            raise NotFound(f"no raw source {name} of {organisation}: declare it first")
        also = {"issued_with": shown, "writes": topic}
        return await self._issue(organisation, (), by, kafka=True, lasting=lasting, csr=csr, also=also)

    async def rotate(
        self,
        credential: str,
        *,
        by: str,
        overlap: timedelta = OVERLAP,
        lasting: timedelta | None = None,
        shown: str | None = None,
        csr: str | None = None,
    ) -> Issued:
        """A credential that replaces another one, which expires by itself after `overlap`; either may be a certificate.

        Raises `NotFound`, `Conflict` for one that has expired or was revoked meanwhile, `Invalid` as `issue`.
        """
        await self._control.read_to_head()
        held, now = self._live(credential), self._now()
        if not held.holds(now):
            raise Conflict("this credential has expired: issue another one")
        until = min(now + overlap, held.expires or now + overlap)
        also = {"issued_with": shown, "replaces": held.id, "until": until.isoformat(), "writes": held.writes}
        kafka = held.kafka_user is not None
        return await self._issue(held.organisation, held.roles, by, kafka=kafka, lasting=lasting, csr=csr, also=also)

    async def revoke(self, credential: str, *, by: str) -> None:
        """Withdraw a credential: its token and its Kafka user are refused from now on. Raises `NotFound`."""
        await self._control.read_to_head()
        held = self._live(credential)
        await self._revoke(held, by, {})
        await self._forget(held)

    async def compromised(self, credential: str, since: datetime, *, by: str) -> tuple[Credential, ...]:
        """Revoke it, and all that was issued with it since the last known good use; returns these, itself first.

        Asked again, it completes what an interrupted call left undone. Raises `NotFound` for one that never was.
        """
        await self._control.read_to_head()
        if self._control.state.credential(credential) is None:
            raise NotFound("no such credential")
        fallen: list[str] = []
        # A revocation stands in the log behind whatever was issued with the credential until then, and before nothing.
        while rest := [each for each in _descent(self._control.state, credential, since) if each not in fallen]:
            for each in rest:
                held = self._control.state.credentials.get(each)
                if held is not None:
                    await self._revoke(held, by, {"compromised_since": since.isoformat()})
            fallen += rest
        found = tuple(filter(None, map(self._control.state.credential, fallen)))
        for held in found:
            await self._forget(held)
        return found

    async def _issue(
        self,
        organisation: str,
        roles: tuple[str, ...],
        by: str,
        *,
        kafka: bool,
        lasting: timedelta | None,
        csr: str | None,
        also: dict[str, str | None],
    ) -> Issued:
        identifier = secrets.token_hex(4)
        name = f"{organisation}~{identifier}"
        user = name if kafka else None
        expires = None if lasting is None else self._now() + lasting
        token, certificate = "", None
        if csr is None and also.get("writes") is not None:
            digest = {"sha256": ""}  # of no token
        elif csr is None:
            token = f"dn_{identifier}_{self._random(_TOKEN_BYTES)}"
            digest = {"sha256": sha256(token.encode()).hexdigest()}
        else:
            certificate, thumbprint = self._certificate(csr, name, expires)
            digest = {THUMBPRINT: thumbprint}
        data = {
            "id": identifier,
            "organisation": organisation,
            **digest,
            "roles": list(roles),
            "kafka_user": user,
            "expires": expires and expires.isoformat(),
        } | {key: value for key, value in also.items() if value is not None}
        await self._control.append(FactType.CREDENTIAL, f"credential/{identifier}", data, by=by)
        password = self._random(_TOKEN_BYTES) if user and csr is None else ""
        if user is not None:
            await self._let_in(self._control.state.credentials[identifier], user, password, by)
        replaced = self._control.state.credential(also.get("replaces") or "")
        until = None if replaced is None else replaced.expires
        return Issued(identifier, organisation, roles, token, user or "", password, expires, until, certificate)

    def _certificate(self, csr: str, name: str, expires: datetime | None) -> tuple[str, str]:
        """A certificate in PEM and its digest."""
        if self._authority is None or expires is None:
            raise Invalid("csr: no certificates are made here: ask for a token")
        made = self._authority.issue(csr, name, since=self._now(), until=expires)
        return made.pem, made.thumbprint

    async def _let_in(self, made: Credential, user: str, password: str, by: str) -> None:
        """Its Kafka user with its rights; where that fails, nobody keeps a credential that nobody was shown.

        The quota comes first: nobody who can log in has none. A certificate needs no login of its own.
        """
        try:
            if self._quota:
                await self._logins.limit_user(user, self._quota)
            if password:
                await self._logins.ensure_scram_user(user, password)
            if made.writes is not None:
                await self._logins.allow_write_topic(user, made.writes)
            for topic in sorted(streams_of(self._control.state, made, self._now())):
                await self._logins.allow_read_topic(user, topic, topic)
        except BrokerError:
            with suppress(BrokerError):
                await self._revoke(made, by, {})
            raise

    async def _revoke(self, held: Credential, by: str, why: dict[str, Any]) -> None:
        try:
            data = {"id": held.id, **why}
            await self._control.append(FactType.CREDENTIAL_REVOKED, f"credential/{held.id}", data, by=by)
        except Conflict:
            if held.id in self._control.state.credentials:
                raise

    async def _forget(self, held: Credential) -> None:
        if held.kafka_user is not None:
            await remove(self._logins, held.kafka_user)

    def _live(self, credential: str) -> Credential:
        held = self._control.state.credentials.get(credential)
        if held is None:
            raise NotFound("no such credential")
        return held


def _descent(state: Any, credential: str, since: datetime) -> Iterator[str]:
    """A credential, and what was issued with it since an instant, directly or through another one, revoked or not."""
    yield credential
    known = [*state.credentials.values(), *state.revoked_credentials.values()]
    reached, following = {credential}, [credential]
    while following:
        shown = following.pop()
        for each in known:
            if each.issued_with == shown and each.id not in reached and each.issued >= since:
                reached.add(each.id)
                following.append(each.id)
                yield each.id
