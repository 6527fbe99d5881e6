"""One call to one receiver: signed, bounded in time and bytes, and judged by its status alone."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Protocol

import httpx

from broker.delivery import webhook_signature
from broker.delivery.checked_transport import CheckedTransport
from broker.delivery.egress_guard import EgressGuard
from broker.delivery.push_circuit import Failure
from broker.delivery.webhook_event import CONTENT_TYPE, Call
from broker.errors import AddressRefused

MOST_ANSWERED = 64 << 10
"""Bytes of an answer that are read, so that its connection can be used again; what is longer is cut off."""

_BEGINS = "http11.send_request_headers.started"
_SECONDS = re.compile(r"[0-9]{1,7}", re.ASCII)
_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_ASK_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: of a whole call, of its connection, between two pieces of it, and for the rest of a good answer."""

    total: float = 15.0
    connect: float = 5.0
    between: float = 10.0
    rest: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: received (`failure` is None) or not; `asked_s` is how long the receiver asks to wait."""

    failure: Failure | None
    status: int | None = None
    asked_s: float | None = None


class Calls(Protocol):
    """Whom one subscription calls, as a courier sees it."""

    async def call(
        self, url: str, call: Call, keys: Sequence[bytes], may_begin: Callable[[], Awaitable[None]]
    ) -> Outcome:
        """See `Receiver.call`."""


class Receiver:
    """Whom one subscription calls; it holds at most one connection."""

    def __init__(self, guard: EgressGuard, trust: ssl.SSLContext, limits: Limits, now: Callable[[], datetime]) -> None:
        self._transport = CheckedTransport(guard, trust)
        self._limits = limits
        self._now = now

    async def call(
        self, url: str, call: Call, keys: Sequence[bytes], may_begin: Callable[[], Awaitable[None]]
    ) -> Outcome:
        """Call once. `may_begin` is awaited when the connection stands, right before the first byte: what it raises passes."""

        async def trace(event: str, _about: Any) -> None:
            if event == _BEGINS:
                await may_begin()

        headers = {
            **webhook_signature.signed(keys, call.id, int(self._now().timestamp()), call.body),
            "Content-Type": CONTENT_TYPE,
            "User-Agent": "datanuts-webhooks",
            "Accept-Encoding": "identity",
        }
        timeouts = httpx.Timeout(self._limits.between, connect=self._limits.connect).as_dict()
        request = httpx.Request(
            "POST", url, headers=headers, content=call.body, extensions={"timeout": timeouts, "trace": trace}
        )
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._judged(await self._transport.handle_async_request(request))
        except AddressRefused:
            return Outcome(Failure.ADDRESS)
        except (TimeoutError, httpx.TimeoutException):
            return Outcome(Failure.TIMEOUT)
        except httpx.ConnectError as error:
            return Outcome(Failure.TLS if _of_tls(error) else Failure.CONNECT)
        except (httpx.TransportError, httpx.StreamError, httpx.InvalidURL):
            return Outcome(Failure.PROTOCOL)
        except OSError:
            return Outcome(Failure.NAME)

    async def close(self) -> None:
        """Close the connection."""
        await self._transport.aclose()

    async def _judged(self, response: httpx.Response) -> Outcome:
        try:
            if response.status_code in _SUCCESS:
                with suppress(TimeoutError, httpx.TransportError):
                    async with asyncio.timeout(self._limits.rest):
                        await _drain(response)
            return judged(response.status_code, response.headers.get("retry-after"), self._now())
        finally:
            await response.aclose()


def judged(status: int, retry_after: str | None, now: datetime) -> Outcome:
    """What a status means: 2xx received, 410 never again, everything else not received."""
    if status in _SUCCESS:
        return Outcome(None, status)
    if status == HTTPStatus.GONE:
        return Outcome(Failure.GONE, status)
    if status in _REDIRECT:
        return Outcome(Failure.REDIRECT, status)
    failure = Failure.CLIENT if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR else Failure.SERVER
    later = status in _ASK_LATER or failure is Failure.SERVER
    return Outcome(failure, status, _asked(retry_after or "", now) if later else None)


def _asked(retry_after: str, now: datetime) -> float | None:
    """Seconds of a Retry-After (RFC 9110 §10.2.3): a number or a date; None for anything else."""
    if _SECONDS.fullmatch(retry_after):
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # a date without a zone cannot be compared
        return None


async def _drain(response: httpx.Response) -> None:
    read = 0
    async for piece in response.aiter_raw():
        read += len(piece)
        if read > MOST_ANSWERED:
            return


def _of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
