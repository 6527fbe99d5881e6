"""Credentials of a source over HTTP: secrets from the environment or a file, and OAuth 2.0 client credentials.

A secret is read when it is used and kept nowhere: not in the mapping, not in arguments, not in a text of an error.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, model_validator

from adapters import web
from broker.errors import Invalid, Retriable

_MOST_BYTES = 64 * 1024
_EARLY_S, _SHORTEST_S = 30.0, 60.0
_UNSAID_S = 300.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Secret(_Form):
    """Where a secret is: the name of a variable of the environment, or a file of which it is the only line."""

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret is {env: NAME} or {file: path}")
        return self

    def read(self, folder: Path) -> str:
        """The secret, one line; a relative `file` is below `folder`. Raises `Invalid` where it is not there."""
        found, place = self._found(folder)
        if not found or not found.isprintable() or not found.isascii():
            raise Invalid(f"there is no secret in the {place}: put it there, on one line")
        return found

    def text(self, folder: Path) -> str:
        """The same for a secret of several lines, as a private key is."""
        found, place = self._found(folder)
        if not found or not found.isascii():
            raise Invalid(f"there is no secret in the {place}: put it there")
        return found + "\n"

    def _found(self, folder: Path) -> tuple[str, str]:
        if self.env is not None:
            return os.environ.get(self.env, "").strip(), f"variable {self.env} of the environment"
        try:
            found = (folder / str(self.file)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            found = ""
        return found, f"file {self.file}"


class ClientCredentials(_Form):
    """How a token is had (RFC 6749 §4.4). `basic`: the secret goes in the Authorization header rather than the body."""

    token_url: str
    client_id: str
    secret: Secret
    scope: str | None = None
    audience: str | None = None
    basic: bool = True


@dataclass(slots=True)
class Tokens:
    """Has a token ready, and asks for another one before it expires. `clock` is monotonic seconds."""

    form: ClientCredentials
    folder: Path
    clock: Callable[[], float] = time.monotonic
    _token: str = field(default="", repr=False)
    _until: float = 0.0

    async def header(self, client: httpx.AsyncClient) -> str:
        """Value of the Authorization header. Raises `Retriable` and `Invalid`."""
        if not self._token or self.clock() >= self._until:
            self._token, seconds = await self._asked(client)
            self._until = self.clock() + max(seconds - _EARLY_S, min(seconds, _SHORTEST_S) / 2)
        return f"Bearer {self._token}"

    def forget(self) -> None:
        """The source does not take this token."""
        self._token = ""

    async def _asked(self, client: httpx.AsyncClient) -> tuple[str, float]:
        form, secret = self.form, self.form.secret.read(self.folder)
        stated = {"grant_type": "client_credentials", "scope": form.scope, "audience": form.audience}
        data = {name: value for name, value in stated.items() if value is not None}
        auth = httpx.BasicAuth(form.client_id, secret) if form.basic else None
        if auth is None:
            data |= {"client_id": form.client_id, "client_secret": secret}
        trouble = ""
        try:
            async with client.stream("POST", form.token_url, data=data, auth=auth) as answer:
                if answer.status_code not in {400, 401, 403}:
                    web.check_status(answer.status_code, answer.headers, who="the token service")
                else:
                    place = f"variable {form.secret.env}" if form.secret.env else f"file {form.secret.file}"
                    trouble = f"status {answer.status_code}: check client_id, scope and the secret in the {place}"
                body = await web.body_of(answer, _MOST_BYTES)
        except httpx.RequestError as error:
            raise Retriable(f"the token service cannot be reached ({type(error).__name__})") from None
        if trouble:
            raise Invalid(f"the token service answered with {trouble}")
        return _token_of(body)


def private(url: str) -> bool:
    """Whether a credential may go to this address: over TLS, or within this machine."""
    return web.origin(url) is not None and (urlsplit(url).scheme == "https" or urlsplit(url).hostname in _LOOPBACK)


def _token_of(body: bytes | None) -> tuple[str, float]:
    try:
        found = json.loads(body or b"")
        token, seconds = found["access_token"], float(found.get("expires_in", _UNSAID_S))
        kind = found.get("token_type", "Bearer").lower()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        token, seconds, kind = None, 0.0, ""
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or kind != "bearer":
        raise Retriable("the token service answered without a bearer token")
    return token, seconds
