"""Credentials of organisations, and the fold of the facts about them: issued, rotated, revoked.

A credential has one of two forms: a token, or a client certificate. Whatever holds for one holds for the other.

A credential that was issued with another one (its caller's token) is refused by every reader once that other one is
revoked earlier in the log: who stole a token cannot outrun its revocation with a fresh one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from broker.model.instants import optional_instant

THUMBPRINT = "x5t#S256"
"""Name of a certificate's digest in a fact, as in RFC 8705."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A token for HTTP, of which only the SHA-256 is kept (hex), and a Kafka user beside it, if it has one.

    Or a certificate for both, known by its `thumbprint` (`x5t#S256`, RFC 8705 §3.1: SHA-256 over DER, base64url); `sha256` is
    empty then, which no token's is. Instants are in UTC. `expires` None: until revoked. `issued_by` is the organisation that asked for it, `issued_with` the
    credential that it showed, `replaces` the one that was rotated into it. With `writes`, a raw topic, it opens nothing but the writing of
    that topic on Kafka: it has no token (`sha256` empty) and no roles. In a fact of before there were such fields the
    organisation is its Kafka user.
    """

    id: str
    organisation: str
    sha256: str
    roles: tuple[str, ...]
    kafka_user: str | None = None
    issued: datetime | None = None
    issued_by: str = ""
    expires: datetime | None = None
    issued_with: str | None = None
    replaces: str | None = None
    revoked: datetime | None = None
    thumbprint: str | None = None
    writes: str | None = None

    def holds(self, instant: datetime) -> bool:
        """Whether it opens anything at `instant`."""
        return self.revoked is None and (self.expires is None or instant < self.expires)


@dataclass(slots=True)
class CredentialBook:
    """Credentials by id: those that were not revoked, expired ones included, and those that were."""

    live: dict[str, Credential] = field(default_factory=dict)
    revoked: dict[str, Credential] = field(default_factory=dict)
    _by_thumbprint: dict[str, str] = field(default_factory=dict)

    def of_certificate(self, thumbprint: str) -> Credential | None:
        """The credential, not revoked, that is this certificate."""
        return self.live.get(self._by_thumbprint.get(thumbprint, ""))

    def issue(self, data: Mapping[str, Any], at: datetime, by: str) -> bool:
        """Take one in; with `replaces`, the one it follows expires at `until`, or earlier where it does already.

        False, and nothing changed, where it was issued with a credential, or follows one, that is not live, and for a
        certificate that is a credential already.
        Raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` where `data` is not of its type.
        """
        identifier, followed, shown = data["id"], data.get("replaces"), data.get("issued_with")
        if any(other is not None and other not in self.live for other in (followed, shown)):
            return False
        thumbprint = data.get(THUMBPRINT)
        if thumbprint is not None and (not isinstance(thumbprint, str) or thumbprint in self._by_thumbprint):
            return False
        made = Credential(
            identifier,
            data["organisation"],
            data["sha256"] if thumbprint is None else "",
            tuple(data["roles"]),
            data.get("kafka_user", data["organisation"]),
            at,
            by,
            optional_instant(data.get("expires")),
            shown,
            followed,
            thumbprint=thumbprint,
            writes=data.get("writes"),
        )
        if followed is not None:
            until, held = datetime.fromisoformat(data["until"]), self.live[followed]
            self.live[followed] = replace(held, expires=min(until, held.expires or until))
        self.live[identifier] = made
        if thumbprint is not None:
            self._by_thumbprint[thumbprint] = identifier
        return True

    def revoke(self, identifier: str, at: datetime) -> bool:
        """Move it to the revoked; False where it is not live."""
        held = self.live.pop(identifier, None)
        if held is not None:
            self.revoked[identifier] = replace(held, revoked=at)
        return held is not None
