"""How a consent stands in the compacted topic `subjects.dossiers`, beside the files; the subject is there as its lane key.

partition   the subject's lane
key         <lane key, 32 hex>/<agreement>/consent-<consent, 16 hex>: BLAKE2b of its reference keyed with k_lane
value       {"reference", "givenBy", "begin", "end", "registered", "fields"}: JSON, RFC 3339 instants in UTC; `end` and
            `fields` (the released fields it is limited to) may be null

Two registrations of one consent (same subject, agreement and reference) are one record: the last one counts.
"""

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from broker.control.dossier_records import Place, agreement_of, written_instant, written_text
from broker.model.agreement import Consent, GivenBy
from broker.model.keyed import digest

_KEY = re.compile(rb"([0-9a-f]{32})/([a-z0-9-]+)/consent-[0-9a-f]{16}")
_ID_BYTES = 8
_NONE: Mapping[bytes, Consent] = MappingProxyType({})


class ConsentBook:
    """The consents in some lanes, by subject: the last record of every key counts, so a compacted log tells the same.

    A record that is none of ours, or whose value is damaged, leaves no consent: without one nothing is delivered.
    """

    def __init__(self) -> None:
        self._consents: dict[bytes, Mapping[bytes, Consent]] = {}

    def apply(self, key: bytes | None, value: bytes | None, appended_ms: int | None = None) -> Place | None:
        """Take one record, in the order of the log; returns whose consent it may have changed. Raises nothing."""
        del appended_ms  # a withdrawal counts from the instant it states, which may be long before
        place = consent_place(key)
        if place is None or key is None:
            return None
        consents = {held: each for held, each in self._consents.get(place.subject, _NONE).items() if held != key}
        consent = None if value is None else decode_consent(place, value)
        if consent is not None:
            consents[key] = consent
        if consents:
            self._consents[place.subject] = dict(sorted(consents.items()))
        else:
            self._consents.pop(place.subject, None)
        return place

    def of(self, subject: bytes) -> Sequence[Consent]:
        """Consents of the subject with this lane key, to whatever agreement."""
        return tuple(self._consents.get(subject, _NONE).values())

    def among(self, subjects: set[bytes]) -> set[bytes]:
        """Those of `subjects` with consents."""
        return subjects & self._consents.keys()

    def under(self, agreement: str) -> Sequence[Consent]:
        """All consents to one agreement, ended ones too."""
        found = (each for consents in self._consents.values() for each in consents.values())
        return [each for each in found if each.agreement == agreement]


def consent_place(key: bytes | None) -> Place | None:
    """Whose consent a record is, by its key; None if it is none."""
    found = _KEY.fullmatch(key or b"")
    if found is None:
        return None
    agreement = agreement_of(found[2])
    return None if agreement is None else Place(found[1], agreement)


def decode_consent(place: Place, value: bytes) -> Consent | None:
    """The consent; None if `value` is not one, whatever else it is."""
    try:
        held = json.loads(value)
        fields = held["fields"]
        return Consent(
            agreement=place.agreement,
            key=place.subject,
            begin=written_instant(held["begin"]),
            end=None if held["end"] is None else written_instant(held["end"]),
            registered=written_instant(held["registered"]),
            fields=None if fields is None else frozenset(written_text(name) for name in fields),
            reference=written_text(held["reference"]),
            given_by=GivenBy(held["givenBy"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def encode_consent(consent: Consent, k_lane: bytes) -> tuple[bytes, bytes]:
    """Key and value."""
    value = {
        "reference": consent.reference,
        "givenBy": consent.given_by.value,
        "begin": consent.begin.isoformat(),
        "end": consent.end and consent.end.isoformat(),
        "registered": consent.registered.isoformat(),
        "fields": None if consent.fields is None else sorted(consent.fields),
    }
    identifier = digest(k_lane, b"consent", consent.reference.encode())[:_ID_BYTES].hex().encode()
    key = b"%b/%b/consent-%b" % (consent.key, consent.agreement.encode(), identifier)
    return key, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
