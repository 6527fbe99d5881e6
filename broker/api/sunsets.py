"""What every HTTP exit says of a deprecated product in its headers: since when, until when, and what follows it.

`Deprecation` is RFC 9745 (a Date of RFC 9651, in whole seconds), `Sunset` RFC 8594, the link `successor-version` RFC 5829.
"""

from datetime import UTC
from email.utils import format_datetime

from broker.model.control_state import ControlState


def sunset_headers(state: ControlState, agreement: str, *links: str) -> dict[str, str]:
    """Headers of an answer about the agreement's stream; `links` are its other ones (RFC 8288). Empty if there is nothing."""
    entry = state.agreements[agreement]
    told, found = state.life_of(entry.document).deprecation, list(links)
    headers = {}
    if told is not None:
        headers["Deprecation"] = f"@{int(told.since.timestamp())}"
        headers["Sunset"] = format_datetime(told.sunset.astimezone(UTC), usegmt=True)
        products = f"/v1/products/{entry.source}"
        found.append(f'<{products}/{entry.document["product"]}/succession>; rel="deprecation"; type="application/json"')
        if told.successor is not None:
            found.append(f'<{products}/{told.successor}>; rel="successor-version"')
    return headers | ({"Link": ", ".join(found)} if found else {})
