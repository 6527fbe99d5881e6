"""How a dossier stands in the compacted topic `subjects.dossiers`; the subject is there as its lane key only.

partition   the subject's lane
key         <lane key, 32 hex>/<agreement>/<file, 16 hex>: the first eight characters still give the lane;
            file = BLAKE2b of (reference, begin) keyed with k_lane, so that a key tells nothing about either
value       {"reference", "capacity", "begin", "end", "registered"}: JSON, RFC 3339 instants in UTC, `end` or null;
            null once the file is forgotten

Two registrations of one file (same subject, agreement, reference and begin) are one record: the last one counts.
"""

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from broker.errors import Invalid
from broker.model.agreement import Dossier
from broker.model.keyed import digest
from broker.model.topics import slug

_KEY = re.compile(rb"([0-9a-f]{32})/([a-z0-9-]+)/[0-9a-f]{16}")
_FILE_BYTES = 8
_FILE_DIGITS = 2 * _FILE_BYTES
_written_value = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Place(NamedTuple):
    """Whose file a record is about, by its key."""

    subject: bytes
    agreement: str


def place_of(key: bytes | None) -> Place | None:
    """What the key says; None if it is not one of ours."""
    found = _KEY.fullmatch(key or b"")
    if found is None:
        return None
    agreement = agreement_of(found[2])
    return None if agreement is None else Place(found[1], agreement)


def file_of(key: bytes) -> bytes:
    """The file (8 bytes) in a key that has a place; it is one of the subject's under that agreement."""
    return bytes.fromhex(key[-_FILE_DIGITS:].decode())


def key_of(place: Place, file: bytes) -> bytes:
    """The key with this place and file."""
    return b"%b/%b/%b" % (place.subject, place.agreement.encode(), file.hex().encode())


def decode(place: Place, value: bytes) -> Dossier | None:
    """The file; None if `value` is not one, whatever else it is."""
    try:
        held = json.loads(value)
        return Dossier(
            agreement=place.agreement,
            key=place.subject,
            capacity=written_text(held["capacity"]),
            reference=written_text(held["reference"]),
            begin=written_instant(held["begin"]),
            end=None if held["end"] is None else written_instant(held["end"]),
            registered=written_instant(held["registered"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def encode(dossier: Dossier, k_lane: bytes) -> tuple[bytes, bytes]:
    """Key and value."""
    begin = _written(dossier.begin)
    file = digest(k_lane, b"dossier", dossier.reference.encode(), begin.encode())[:_FILE_BYTES]
    value = {
        "reference": dossier.reference,
        "capacity": dossier.capacity,
        "begin": begin,
        "end": None if dossier.end is None else _written(dossier.end),
        "registered": _written(dossier.registered),
    }
    return key_of(Place(dossier.key, dossier.agreement), file), _written_value(value).encode()


@lru_cache(maxsize=4096)
def agreement_of(named: bytes) -> str | None:
    """The agreement that a part of a key names; None if it can be none."""
    try:
        return slug(named.decode())
    except Invalid:
        return None


def written_text(held: object) -> str:
    """A text that is there, and can be delivered; raises `ValueError`."""
    if not isinstance(held, str) or not held:
        raise ValueError("not a text")
    held.encode()  # a lone surrogate passes JSON, and would stop the lane that delivers it
    return held


def written_instant(held: object) -> datetime:
    """An instant with its zone, in UTC; raises `ValueError`."""
    at = datetime.fromisoformat(written_text(held))
    if at.tzinfo is None:
        raise ValueError("an instant without its zone")
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def _written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
