"""One GET as a source's reader needs it: bounded, within the origins it may call, with errors that say what to do.

A page must not be able to make the reader call other hosts (server-side request forgery), fill its memory or hold it
for ever. No address is in an error: a query can hold personal data.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

import httpx

from adapters.clock import HEARD
from broker.errors import Invalid, Retriable

MAX_DOCUMENT = 64 << 20
"""Bytes of one document that are read at all."""
TIMEOUT_S, LONGEST_S = 30.0, 300.0
"""Silence after which a server is given up, and the time that one whole answer may take."""

_OK, _REDIRECT, _TOO_MANY, _SERVER_ERROR = 200, 300, 429, 500
_BUSY = frozenset({408, 425, _TOO_MANY})
_MAX_REDIRECTS = 5
_LONGEST_ASKED_S = 3600
_PORTS = {"http": 80, "https": 443}
_REMEDIES = MappingProxyType(
    {
        400: "it does not take these parameters: compare them with the source's documentation",
        401: "give a valid credential",
        403: "ask the source's owner to admit this credential",
        404: "check the address",
        406: "it has no such form: check the Accept header",
        410: "what was there is gone for good: ask the source's owner where to read on",
    }
)
_CHECK = "check the address and the parameters with the source's owner"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `url` is where it came from after redirects; `body` is None where it is larger than allowed."""

    url: str
    status: int
    headers: httpx.Headers
    body: bytes | None

    @property
    def media_type(self) -> str:
        """Media type without parameters, in small letters."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    @property
    def next_link(self) -> str | None:
        """Target of the `Link: rel="next"` header (RFC 8288), as it is written."""
        for part in self.headers.get_list("link"):
            for link in httpx.Response(200, headers={"link": part}).links.values():
                if "next" in link.get("rel", "").lower().split():
                    return link.get("url")
        return None


async def get(
    client: httpx.AsyncClient,
    url: str,
    *,
    headers: Mapping[str, str] = MappingProxyType({}),
    accepted: Collection[int] = (),
    most_bytes: int = MAX_DOCUMENT,
    timeout_s: float = TIMEOUT_S,
    longest_s: float = LONGEST_S,
) -> Answer:
    """The answer at `url`, with a status of 2xx or one of `accepted`; redirects are followed within its origin.

    Raises `Retriable` where the server cannot answer now (with the seconds that its Retry-After asks for), `Invalid`
    where it refuses.
    """
    try:
        async with asyncio.timeout(longest_s):
            for _ in range(_MAX_REDIRECTS):
                async with client.stream("GET", url, headers=dict(headers), timeout=timeout_s) as answer:
                    if (skew := HEARD.get()) is not None:
                        skew.hear(answer.headers, datetime.now(UTC))
                    if answer.has_redirect_location:
                        url = _redirected(url, answer.headers["location"])
                        continue
                    if answer.status_code not in accepted:
                        check_status(answer.status_code, answer.headers)
                    return Answer(url, answer.status_code, answer.headers, await body_of(answer, most_bytes))
    except (httpx.RequestError, httpx.InvalidURL) as error:
        trouble = Retriable(f"the source cannot be reached ({type(error).__name__})")
    except TimeoutError:
        trouble = Retriable(f"the source took more than {longest_s:g} s for one answer")
    else:
        raise Invalid("the source redirects in circles")
    raise trouble


def check_status(status: int, headers: httpx.Headers, *, who: str = "the source") -> None:
    """Raise `Retriable` for what passes, `Invalid` for what does not; neither for 2xx."""
    if status >= _SERVER_ERROR or status in _BUSY:
        raise Retriable(f"{who} answered with status {status}", after_s=asked_s(headers.get("retry-after")))
    if not _OK <= status < _REDIRECT:
        raise Invalid(f"{who} answered with status {status}: {_REMEDIES.get(status, _CHECK)}")


def asked_s(retry_after: str | None) -> float:
    """Seconds of a `Retry-After` (RFC 9110 §10.2.3: seconds or a date), at most an hour; 1 where there is none."""
    if not retry_after:
        return 1
    if retry_after.isdecimal():
        return min(max(int(retry_after[:9]), 1), _LONGEST_ASKED_S)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 1
    left = (until if until.tzinfo else until.replace(tzinfo=UTC)) - datetime.now(UTC)
    return min(max(ceil(left.total_seconds()), 1), _LONGEST_ASKED_S)


def modified(headers: httpx.Headers) -> datetime:
    """When the answer changed, or failing that was given."""
    for name in ("last-modified", "date"):
        try:
            return parsedate_to_datetime(headers[name])
        except (KeyError, ValueError):
            continue
    return datetime.now(UTC)


def origin(url: str) -> str | None:
    """Scheme, host and port; None for what is no HTTP address."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}"


def same_origin(url: str, reference: str | None, also: Collection[str] = ()) -> str | None:
    """`reference` resolved against `url`; None where it is absent, or leads to an origin that is neither its nor in `also`."""
    if not reference:
        return None
    try:
        target = urljoin(url, reference)
    except ValueError:
        return None
    there = origin(target)
    return target if there is not None and (there == origin(url) or there in also) else None


async def body_of(answer: httpx.Response, most_bytes: int) -> bytes | None:
    """The whole body, None where it is larger."""
    body = bytearray()
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > most_bytes:
            return None
    return bytes(body)


def _redirected(url: str, location: str) -> str:
    target = same_origin(url, location)
    if target is None:
        raise Invalid("the source redirects to another host: state the address where it is now, if you trust it")
    return target
