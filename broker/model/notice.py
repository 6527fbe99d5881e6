"""A notice: a line in a delivery topic that tells the agency something about its stream, and nothing about a subject.

As a barrier it has no value: stock deserializers see null, our exits show a life-cycle event with its reason.
"""

from dataclasses import dataclass
from enum import StrEnum

from broker.model.barrier import BARRIER_TYPE
from broker.model.record import EVENT_NAMESPACE, Headers

NOTICE_TYPE = f"{EVENT_NAMESPACE}.agreement.notice"

LIFE_CYCLE = frozenset({BARRIER_TYPE, NOTICE_TYPE})
"""Types of the records in a delivery topic that are about the agreement, not about a subject."""

LIFE_CYCLE_KEYS = (b"barrier/", b"notice/")
"""What the keys of these begin with."""

_KEY = b"notice/"


class NoticeReason(StrEnum):
    """What a notice tells."""

    REPLAY_BEGINS = "REPLAY_BEGINS"
    REPLAY_ENDS = "REPLAY_ENDS"
    PRODUCT_RESUMED = "PRODUCT_RESUMED"
    OUTAGE = "OUTAGE"
    DEPRECATION = "DEPRECATION"
    INFORMATION = "INFORMATION"


OF_ONE_LANE = frozenset(
    {NoticeReason.PRODUCT_RESUMED, NoticeReason.OUTAGE, NoticeReason.DEPRECATION, NoticeReason.INFORMATION}
)
"""What one lane writes for all of them, so that each is one record; the others come from every lane."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice that a lane writes: its topic, and key, value and headers of the record."""

    topic: str
    row: tuple[bytes, None, Headers]


def notice(
    topic: str,
    lane: int,
    epoch: int,
    reason: NoticeReason,
    *,
    text: str = "",
    begins: str | None = None,
    ends: str | None = None,
) -> Notice:
    """What one lane tells because of the fact at `epoch`; `text` is for a person to read and names nobody."""
    stated = {"ce_text": text, "ce_begins": begins, "ce_ends": ends}
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", NOTICE_TYPE.encode()),
        ("ce_reason", reason.encode()),
        ("ce_epoch", str(epoch).encode()),
        *((name, value.encode()) for name, value in stated.items() if value),
    ]
    return Notice(topic, (_KEY + b"%d" % lane, None, headers))
