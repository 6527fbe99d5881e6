"""The broker's HTTP interface, as far as a subscriber needs it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from broker.client.certificate import Certificate, tls_refusal
from broker.client.problems import refusal
from broker.errors import BrokerUnavailable, ConfigError

Token = str | Callable[[], Awaitable[str]] | Certificate
"""A token of the broker's own, or what gives an access token that still lasts: it is asked before every request.

Or a client certificate in place of either.
"""

NO_BROKER = "what answers there is not a broker"
_ANSWER_S = 30.0


class Api:
    """Speaks for one agency; raises what the broker refuses with, `BrokerUnavailable` where it does not answer.

    `transport` reaches the broker in a way of your own: a private authority, a client certificate, a proxy.
    """

    def __init__(self, url: str, token: Token, transport: httpx.AsyncBaseTransport | None = None) -> None:
        address = httpx.URL(url)
        if address.scheme not in {"http", "https"} or not address.host:
            raise ConfigError("the broker's address must look like https://broker.example")
        self._token = _checked(token) if isinstance(token, str) else token
        if isinstance(token, Certificate) and address.scheme != "https":
            raise ConfigError("a client certificate is shown over https only")
        self._http = httpx.AsyncClient(
            base_url=address,
            headers={"User-Agent": "datanuts-client"},
            transport=transport,
            verify=token.context() if isinstance(token, Certificate) else True,
            # A proxy of the environment only sees the token where it cannot read it.
            trust_env=address.scheme == "https",
        )

    async def get(self, path: str, *, wait_s: float = 0.0, **query: object) -> Mapping[str, Any]:
        """JSON object at `path`; the broker may take `wait_s` seconds longer than usual to answer."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        shown, timeout = await self._shown(), httpx.Timeout(_ANSWER_S, read=_ANSWER_S + wait_s)
        try:
            answer = await self._http.get(path, params=given, headers=shown, timeout=timeout)
            body: Any = answer.json() if answer.is_success else None
        except httpx.HTTPError as error:
            if (refused := tls_refusal(error)) is not None:
                raise refused from None
            # Never its text: it may quote a header.
            raise BrokerUnavailable("the broker does not answer", operator=type(error).__name__, after_s=0) from None
        except ValueError:
            raise BrokerUnavailable(NO_BROKER, after_s=0) from None
        if not answer.is_success:
            raise refusal(answer)
        if not isinstance(body, dict):
            raise BrokerUnavailable(NO_BROKER, after_s=0)
        return body

    async def _shown(self) -> dict[str, str]:
        """The header that says who asks; none where the connection itself does."""
        if isinstance(self._token, Certificate):
            return {}
        token = self._token if isinstance(self._token, str) else _checked(await self._token())
        return {"Authorization": f"Bearer {token}"}

    async def close(self) -> None:
        """Let go of every connection."""
        await self._http.aclose()


def _checked(token: str) -> str:
    """The token, if it can stand in a header; raises `ConfigError` without showing it."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError("the token is empty, or not as it was issued")
    return token
