"""Where a reader of JSON pages stands: which page, how many of its items, since when, and the list's validators.

An item is known by its number and a salted digest of all items before it, never by a link or a token that the source
gave: those can hold personal data, and a cursor holds none.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from broker.errors import Invalid
from broker.model.identifiers import parse_insz

_SALT, _LONG = 8, 12
_MOST_ETAG = 200
_AHEAD = timedelta(days=1)
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Cursor:
    """`items` items of the trail that begins at page `page` were read, with digest `seen`.

    `since` is where the reading began, `most` the greatest change that it saw; `etag` and `modified` are of a list that
    came whole in one answer.
    """

    fingerprint: str
    salt: str
    page: int = 0
    items: int = 0
    seen: str = ""
    since: str = ""
    most: str = ""
    etag: str = ""
    modified: str = ""

    @classmethod
    def of(cls, text: str | None, fingerprint: str, random: Callable[[int], bytes]) -> "Cursor":
        """The cursor in `text`; a fresh one where there is none, or where it was made under another mapping."""
        try:
            made = cls(*json.loads(text or "null"))
        except (TypeError, ValueError):
            made = cls("", "")
        return made if made.fingerprint == fingerprint else cls(fingerprint, random(_SALT).hex())

    def text(self) -> str:
        """The cursor as the runner keeps it."""
        values = (self.fingerprint, self.salt, self.page, self.items, self.seen)
        return json.dumps([*values, self.since, self.most, self.etag, self.modified], separators=(",", ":"))

    def begun(self) -> "Cursor":
        """At the start of a reading from `since`."""
        return Cursor(self.fingerprint, self.salt, since=self.since)

    def over(self, etag: str = "", modified: str = "") -> "Cursor":
        """At the end of a reading."""
        since = later(self.most, self.since)
        return Cursor(self.fingerprint, self.salt, since=since, etag=etag, modified=modified)

    def at(self, trail: "Trail", most: str) -> "Cursor":
        """Behind the last item of `trail`."""
        return replace(self, page=trail.page, items=trail.items, seen=trail.digest, most=most, etag="", modified="")


class Diverged(Exception):
    """What the cursor knows is not what the source begins with any more."""


class Trail:
    """Items from the start of page `page` on: their number, a digest of them, and how many of them are known."""

    def __init__(self, salt: str, page: int, known: int = 0, seen: str = "") -> None:
        self.page = page
        self.items = 0
        self._salt, self._known, self._seen = salt, known, seen
        self._hash = blake2b(digest_size=_LONG, key=bytes.fromhex(salt), person=b"items")

    @property
    def digest(self) -> str:
        """Of all items that were added."""
        return self._hash.hexdigest()

    def add(self, item: Any) -> bool:
        """Go on by one item, and tell whether it is new. Raises `Diverged` at the last known one if they were others."""
        self.items += 1
        told = json.dumps(item, sort_keys=True, separators=(",", ":"))
        self._hash.update(f"{len(told)}/{told}".encode())
        if self.items == self._known and self.digest != self._seen:
            raise Diverged
        return self.items > self._known

    def end(self) -> None:
        """Nothing follows. Raises `Diverged` where known items did not come."""
        if self.items < self._known:
            raise Diverged

    def turned(self, page: int) -> "Trail":
        """A trail from the start of another page; raises as `end` does."""
        self.end()
        return Trail(self._salt, page)


def etag_of(stated: str | None) -> str:
    """An ETag (RFC 9110 §8.8.3) that can be kept; empty otherwise."""
    stated = stated or ""
    return stated if len(stated) <= _MOST_ETAG and stated.isascii() and stated.isprintable() else ""


def change_of(value: Any, now: datetime) -> str:
    """A date, an instant or a number as a cursor can hold it; empty for anything else.

    A number that could be a national number is none, and an instant of the day after tomorrow neither: one wrong row
    would otherwise end the reading for ever.
    """
    text = str(value).strip() if isinstance(value, str) or type(value) is int else ""
    if text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS:
        try:
            parse_insz(text)
        except Invalid:
            return text
        return ""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return text if _aware(instant) <= now + _AHEAD else ""


def later(one: str, other: str) -> str:
    """The later of two changes; empty is before everything, and of two that cannot be compared the first is later."""
    if not one or not other:
        return one or other
    if one.isdecimal() and other.isdecimal():
        return max(one, other, key=int)
    try:
        return max(one, other, key=lambda text: _aware(datetime.fromisoformat(text)))
    except ValueError:
        return one


def earlier_by(change: str, seconds: int) -> str:
    """The change so many seconds before; a number, or a date, is left as it is."""
    if not seconds or change.isdecimal() or "T" not in change:
        return change
    return (datetime.fromisoformat(change) - timedelta(seconds=seconds)).isoformat()


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
