"""An exit as a subscriber reads it: pages of items after a cursor, the same items whatever carries them."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from broker.client.api import NO_BROKER, Api
from broker.client.certificate import Certificate
from broker.client.delivery import Item
from broker.errors import BrokerUnavailable


@dataclass(frozen=True, slots=True)
class Page:
    """Items in their order, and the cursor behind them: of what was read, also where that held nothing to show."""

    items: tuple[Item, ...]
    next: str | None


class Exit(Protocol):
    """Reads one agreement's stream; raises `Retriable` where trying again may help, `Refused` where it does not."""

    async def read(self, after: str | None, *, limit: int, wait_s: float) -> Page:
        """At most `limit` items after a cursor (None: the oldest retained), waiting up to `wait_s` for the first.

        Raises `PositionExpired` where what lies after the cursor is no longer retained.
        """

    async def close(self) -> None:
        """Let go of everything that is open; what comes of it does not matter."""


@dataclass(frozen=True, slots=True)
class Kafka:
    """How the agency reaches Kafka with its own user; the password never shows in a representation.

    A `certificate` stands in place of user and password, and of everything behind them.
    """

    bootstrap: str
    username: str = ""
    password: str = field(default="", repr=False)
    protocol: str = "SASL_SSL"
    mechanism: str = "SCRAM-SHA-512"
    ca: Path | None = None
    certificate: Certificate | None = None

    def login(self) -> dict[str, Any]:
        """Arguments for a client of aiokafka; raises `ConfigError`."""
        if self.certificate is not None:
            return {"security_protocol": "SSL", "ssl_context": self.certificate.context()}
        encrypted = self.protocol == "SASL_SSL"
        return {
            "security_protocol": self.protocol,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "ssl_context": ssl.create_default_context(cafile=self.ca) if encrypted else None,
        }


class HttpExit:
    """The cursor pull of the HTTP interface."""

    def __init__(self, api: Api, agreement: str) -> None:
        self._api = api
        self._path = f"/v1/deliveries/{agreement}"

    async def read(self, after: str | None, *, limit: int, wait_s: float) -> Page:
        """As `Exit.read`."""
        body = await self._api.get(self._path, wait_s=wait_s, after=after, limit=limit, wait=wait_s)
        try:
            return Page(tuple(body["items"]), str(body["next"]))
        except (KeyError, TypeError):
            raise BrokerUnavailable(NO_BROKER, after_s=0) from None

    async def close(self) -> None:
        """Nothing is open between two reads."""
