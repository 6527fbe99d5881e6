"""Purposes that a caller states: never used, because a purpose is bound to an agreement, and noticed, because somebody tried."""

from collections.abc import Mapping

from fastapi import Request

from broker.telemetry import Event, log

HEADERS = frozenset({"purpose", "doel", "doeleinde", "x-purpose", "x-doel", "x-doeleinde", "x-purpose-of-use"})


def states_purpose(headers: Mapping[str, str]) -> bool:
    """Whether a header of the request states a purpose."""
    return any(name in headers for name in HEADERS)


def note_purpose(request: Request, organisation: str, *, in_token: bool) -> None:
    """Count and log a purpose in the caller's token or headers; the request goes on as if it were not there.

    `app.state.purposes_claimed` is the number of such requests to this process.
    """
    if not in_token and not states_purpose(request.headers):
        return
    request.app.state.purposes_claimed += 1
    log(Event.PURPOSE_CLAIMED, organisation=organisation, records=request.app.state.purposes_claimed)
