"""HTTP/1.1 of uvicorn, which tells an application nothing of the other end of a connection: here each request's scope does.

`extensions` get two entries: `tls` with the client's certificate in PEM (ASGI TLS extension 0.2), where one was shown and
verified by the TLS context, and `peer` with the address of the connection itself, whatever a header states.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_Scope = MutableMapping[str, Any]
_Application = Callable[[Any, Any, Any], Awaitable[None]]


class PeerProtocol(H11Protocol):
    """Speaks for one connection; what it tells is read once, when that is made."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """As uvicorn; from here on the application is told."""
        super().connection_made(transport)
        told: dict[str, Any] = {"peer": {"host": self.client[0] if self.client else None}}
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None:
            der = tls.getpeercert(binary_form=True)
            told["tls"] = {"client_cert_chain": [ssl.DER_cert_to_PEM_cert(der)] if der else []}
        self.app = _telling(self.app, told)


def _telling(app: Any, told: dict[str, Any]) -> _Application:
    async def application(scope: _Scope, receive: Any, send: Any) -> None:
        scope["extensions"] = {**scope.get("extensions", {}), **told}
        await app(scope, receive, send)

    return application
