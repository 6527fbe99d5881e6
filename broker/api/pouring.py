"""Answers that go on: piece by piece in bounded memory, at no faster pace than their reader's, ended with the server."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from broker.errors import BrokerError, TooManyRequests

MOST_OPEN = 8
"""Open answers of one organisation in one process."""

WRITE_S = 20.0
"""Seconds that a reader may take for one piece before it is given up."""

_LAST_S = 1.0


class OpenAnswers:
    """At most `most` answers that go on at once for one organisation, in one process; `end` ends all of them."""

    def __init__(self, most: int = MOST_OPEN, *, write_s: float = WRITE_S) -> None:
        self.write_s = write_s
        self.ending = asyncio.Event()
        self._most = most
        self._open: dict[str, int] = {}

    def end(self) -> None:
        """End every answer, and each later one as it begins."""
        self.ending.set()

    def take(self, organisation: str) -> "Place":
        """A place for one more; raises `TooManyRequests`."""
        held = self._open.get(organisation, 0)
        if held >= self._most:
            raise TooManyRequests(
                f"an organisation has at most {self._most} streams and downloads open: close one first"
            )
        self._open[organisation] = held + 1
        return Place(self, organisation)

    def give_back(self, organisation: str) -> None:
        """One less; called by `Place`."""
        self._open[organisation] -= 1
        if not self._open[organisation]:
            del self._open[organisation]


class Place:
    """The right to one open answer."""

    def __init__(self, answers: OpenAnswers, organisation: str) -> None:
        self.answers = answers
        self._organisation = organisation
        self._held = True

    def release(self) -> None:
        """Give it back; again does nothing."""
        if self._held:
            self._held = False
            self.answers.give_back(self._organisation)

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Give it back if the block fails; otherwise the answer made in it does so."""
        try:
            yield
        except BaseException:
            self.release()
            raise


class Poured(StreamingResponse):
    """The pieces in a chunked body; `place` is given back when the answer ends, for whatever reason.

    What breaks off (an error, a reader that takes nothing for `write_s`) is cut without the last chunk (RFC 9112 §7.1),
    so that its reader knows. So is a `whole` one that the server's end interrupts; any other simply ends there.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        place: Place,
        media_type: str,
        headers: Mapping[str, str],
        whole: bool,
    ) -> None:
        super().__init__(pieces, headers=headers, media_type=media_type)
        self._pieces, self._place, self._whole = pieces, place, whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; returns once the reader has it all, is gone, or is given up."""
        del scope
        ending = self._place.answers.ending
        tasks: list[asyncio.Task[object]] = []
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            pouring = asyncio.create_task(self._pour(send))
            tasks += (pouring, asyncio.create_task(_gone(receive)), asyncio.create_task(ending.wait()))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._place.release()
        if not pouring.cancelled():
            pouring.result()
        elif ending.is_set() and not self._whole:
            await _end(send)

    async def _pour(self, send: Send) -> None:
        async with aclosing(self._pieces) as pieces:
            try:
                async for piece in pieces:
                    async with asyncio.timeout(self._place.answers.write_s):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            except (BrokerError, TimeoutError):
                return
        await _end(send)


async def _end(send: Send) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
