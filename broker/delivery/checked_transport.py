"""HTTP that connects to checked addresses only: no proxy, no redirect, no cookie, no second look-up of a name.

The address replaces the name in the connection only: Host, SNI and the certificate's name stay those of the URL.
"""

import ssl

import httpx

from broker.delivery.egress_guard import EgressGuard

_MOST_ADDRESSES = 3


class CheckedTransport(httpx.AsyncBaseTransport):
    """Transport for one receiver, over at most one connection; `trust` says which certificates count."""

    def __init__(self, guard: EgressGuard, trust: ssl.SSLContext) -> None:
        self._guard = guard
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)
        self._inner = httpx.AsyncHTTPTransport(verify=trust, trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send to the first address that takes the connection; raises `AddressRefused`, `OSError` or httpx's errors."""
        target = self._guard.target(str(request.url))
        named = {} if target.literal is not None else {"sni_hostname": target.host}
        trouble: httpx.TransportError | None = None
        for place in (await self._guard.addresses(target))[:_MOST_ADDRESSES]:
            try:
                return await self._inner.handle_async_request(
                    httpx.Request(
                        request.method,
                        request.url.copy_with(host=place),
                        headers=request.headers,
                        stream=request.stream,
                        extensions={**request.extensions, **named},
                    )
                )
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                trouble = error
        raise trouble or httpx.ConnectError("no address")

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()
