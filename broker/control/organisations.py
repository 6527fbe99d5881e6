"""Organisations and their credentials: one HTTP token and one Kafka login each, shown once, known here by digest only."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from broker.control.log import ControlLog
from broker.errors import NotFound
from broker.model import topics
from broker.model.facts import FactType, Organisation
from broker.policy.organisations import organisation_document

_TOKEN_BYTES = 32


class Logins(Protocol):
    """SCRAM users of Kafka; `broker.kafka.admin` behind it."""

    async def ensure_scram_user(self, name: str, password: str) -> None:
        """Create a user, or replace the password of an existing one."""

    async def delete_scram_user(self, name: str) -> None:
        """Delete a user."""


@dataclass(frozen=True, slots=True)
class Issued:
    """What the organisation must keep: it is not stored here. The token is for HTTP, the password for Kafka."""

    id: str
    organisation: str
    roles: tuple[str, ...]
    token: str = field(repr=False)
    kafka_username: str
    kafka_password: str = field(repr=False)


async def register(control: ControlLog, organisation: Organisation, *, by: str) -> bool:
    """Make the organisation known under its slug; whether that took a fact: none if it is known as such already."""
    topics.slug(organisation.id, "organisation")
    await control.read_to_head()
    if control.state.organisations.get(organisation.id) == organisation:
        return False
    data = organisation_document(organisation)
    await control.append(FactType.ORGANISATION, f"organisation/{organisation.id}", data, by=by)
    return True


class Organisations:
    """Registers public bodies and issues their credentials."""

    def __init__(
        self, control: ControlLog, logins: Logins, *, random: Callable[[int], str] = secrets.token_urlsafe
    ) -> None:
        self._control = control
        self._logins = logins
        self._random = random

    async def register(self, organisation: Organisation, *, by: str) -> None:
        """Make the organisation known under its slug; nothing is written if it is known as such already."""
        await register(self._control, organisation, by=by)

    async def issue(self, organisation: str, roles: tuple[str, ...], *, by: str) -> Issued:
        """A new credential; its Kafka password replaces the organisation's previous one. Raises `NotFound`."""
        await self._control.read_to_head()
        if organisation not in self._control.state.organisations:
            raise NotFound(f"no organisation {organisation}: register it first")
        identifier = secrets.token_hex(4)
        token = f"dn_{identifier}_{self._random(_TOKEN_BYTES)}"
        password = self._random(_TOKEN_BYTES)
        await self._logins.ensure_scram_user(organisation, password)
        data = {
            "id": identifier,
            "organisation": organisation,
            "sha256": sha256(token.encode()).hexdigest(),
            "roles": list(roles),
        }
        await self._control.append(FactType.CREDENTIAL, f"credential/{identifier}", data, by=by)
        return Issued(identifier, organisation, roles, token, organisation, password)

    async def revoke(self, credential: str, *, by: str) -> None:
        """Withdraw a credential: its token and its organisation's Kafka login are refused from now on."""
        await self._control.read_to_head()
        known = self._control.state.credentials.get(credential)
        if known is None:
            raise NotFound("no such credential")
        await self._control.append(FactType.CREDENTIAL_REVOKED, f"credential/{credential}", {"id": credential}, by=by)
        await self._logins.delete_scram_user(known.organisation)
