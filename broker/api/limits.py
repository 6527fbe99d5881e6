"""Bounds on what requests may make us hold and do: the size of a body, and the pace of anonymous ones."""

import asyncio
import re
import time
from collections.abc import Callable, Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.api.problems import respond
from broker.errors import TooLarge, TooManyRequests

_BURST_S = 3
"""Seconds' worth of requests that may come at once."""

_LATE_S = 1.0

LARGEST_BODY = 256 * 1024
"""Bytes; the largest body we expect is an agreement document, which the policy room bounds likewise."""


class BodyLimit:
    """ASGI middleware: a body beyond `largest` bytes is refused, by its stated length or as soon as it has come in.

    Paths that match one of `unbuffered` bound their bodies themselves.
    """

    def __init__(self, app: ASGIApp, largest: int = LARGEST_BODY, unbuffered: Collection[re.Pattern[str]] = ()) -> None:
        self._app = app
        self._largest = largest
        self._unbuffered = unbuffered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on unless it is too large."""
        if scope["type"] != "http" or any(known.fullmatch(scope["path"]) for known in self._unbuffered):
            await self._app(scope, receive, send)
            return
        stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not stated.isdigit() or int(stated) > self._largest:
            await self._refuse(scope, receive, send)
            return
        begun: list[Message] = []  # read ahead: once the application answers, a refusal comes too late
        size, more = 0, True
        while more:
            message = await receive()
            begun.append(message)
            size += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)
            if size > self._largest:
                await self._refuse(scope, receive, send)
                return
        read = iter(begun)

        async def again() -> Message:
            return next(read, None) or await receive()

        await self._app(scope, again, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(TooLarge(f"a request body has at most {self._largest} bytes"))(scope, receive, send)


class Pace:
    """At most `burst` at once and `rate` a second after that, in one process, whoever asks."""

    def __init__(self, rate: float = 20, burst: int = 60, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._at = float(burst), clock()

    def take(self) -> bool:
        """Whether one more may be answered now."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Paces:
    """A pace for every organisation, in one process: who asks faster waits, and nobody else does. `rate` None: no bound."""

    def __init__(
        self, rate: float | None = None, clock: Callable[[], float] = time.monotonic, *, late_s: float = _LATE_S
    ) -> None:
        self.late_s = late_s
        self._rate, self._clock = rate, clock
        self._paces: dict[str, Pace] = {}

    def take(self, organisation: str) -> bool:
        """Whether one more request of theirs may be answered now."""
        if self._rate is None:
            return True
        if organisation not in self._paces:
            self._paces[organisation] = Pace(self._rate, int(_BURST_S * self._rate), self._clock)
        return self._paces[organisation].take()

    async def refuse(self) -> None:
        """Raise `TooManyRequests`, but not at once.

        A refusal takes as much of the process as a small answer: at once, it would let who asks without a pause take all of it.
        """
        await asyncio.sleep(self.late_s)
        raise TooManyRequests("your organisation asks faster than it is answered here: wait a second", after_s=1)
