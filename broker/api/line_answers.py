"""Answers to files, line by line, once the whole file is in.

An answer that began before the whole request was sent would block clients that only then start to read. So what is told of
the lines waits in a file without a name.
"""

from collections.abc import AsyncIterator, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect

from broker.api.dossier_lines import LARGEST_FILE
from broker.errors import Invalid, TooLarge

NDJSON = "application/x-ndjson"

_IN_MEMORY = 4 << 20
_PIECE = 1 << 16


def require_size(request: Request) -> None:
    """Raise `TooLarge` for a file that is stated to be too large, before it is read."""
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > LARGEST_FILE:
        raise TooLarge(f"a file has at most {LARGEST_FILE >> 20} MiB: send it in parts")


async def answered(parts: AsyncIterator[bytes], status: int = 200) -> StreamingResponse:
    """An answer of everything that `parts` tells as it reads the body; raises what it does, and `Invalid` for a body cut short."""
    told: IO[bytes] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed once it is sent
    try:
        async for part in parts:
            told.write(part)
    except ClientDisconnect:
        told.close()
        raise Invalid("the file was cut short: send it again") from None
    except BaseException:
        told.close()
        raise
    told.seek(0)
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(_pieces(told), status, headers, NDJSON, BackgroundTask(told.close))


def _pieces(told: IO[bytes]) -> Iterator[bytes]:
    while piece := told.read(_PIECE):
        yield piece
