"""When a quiet stream is a silent one: computed from what was delivered, what was decided and who serves the lanes.

A heartbeat is the word that the stream is whole up to an instant, although it holds nothing new: every record that the
source published until then was decided, and every lane has a router. Nothing is stored or sent for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from broker.delivery.looks import Progress


class Code(StrEnum):
    """Stable codes of alerts."""

    LANES_UNSERVED = "LANES_UNSERVED"
    SILENT = "SILENT"
    SOURCE_SILENT = "SOURCE_SILENT"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to look into; `since_ms` is None where it is not known."""

    code: Code
    since_ms: int | None
    text: str


def whole_through(progress: Progress, now_ms: int) -> int | None:
    """The instant up to which the stream is whole; None while that is not known, because a lane has no router."""
    if progress.undecided_since_ms is not None:
        return progress.undecided_since_ms
    return None if progress.unserved else now_ms


def alerts(
    progress: Progress, *, last_delivery_ms: int | None, began_ms: int, allowed_ms: int, now_ms: int
) -> Iterator[Alert]:
    """What is wrong with a stream in force since `began_ms`, if it may be quiet for `allowed_ms`."""
    if progress.unserved:
        lanes = ", ".join(map(str, progress.unserved))
        yield Alert(Code.LANES_UNSERVED, None, f"no router serves lane {lanes}: nothing of their subjects is decided")
    heard = max(last_delivery_ms or 0, whole_through(progress, now_ms) or 0, began_ms)
    if now_ms - heard > allowed_ms:
        yield Alert(Code.SILENT, heard, "no delivery, and no word that there was none to make")
    last_record = max(progress.last_record_ms or 0, began_ms)
    if now_ms - last_record > allowed_ms:
        yield Alert(Code.SOURCE_SILENT, progress.last_record_ms, "the source published nothing")
