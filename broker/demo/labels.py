"""Values of persoon.v1, and what stands for a replaced field, in the words of a Dutch-speaking reader. Pure."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from broker.model.agreement import ReleasedField, Transform
from broker.policy.words import day

_REPLACED = {
    Transform.OWN_REFERENCE: "vervangen door het dossiernummer van de dienst zelf",
    Transform.PSEUDONYM: "vervangen door een pseudoniem dat alleen bij deze dienst en dit doel past",
    Transform.YEAR: "vervangen door het jaartal",
    Transform.DECADE: "vervangen door het decennium",
    Transform.BAND: "vervangen door de klasse waarin het valt",
    Transform.ADULT: "vervangen door ja of neen: achttien jaar of ouder?",
    Transform.AGE: "vervangen door ja of neen: {arguments} jaar of ouder?",
    Transform.LIVES_IN: "vervangen door ja of neen: woont in {arguments}?",
    Transform.NOTIFY_ONLY: "niet meegedeeld: alleen dat er iets wijzigde",
}
_DERIVED = {
    Transform.OWN_REFERENCE: "dossiernummer",
    Transform.PSEUDONYM: "pseudoniem",
    Transform.YEAR: "geboortejaar",
    Transform.DECADE: "geboortedecennium",
    Transform.BAND: "klasse",
    Transform.ADULT: "meerderjarig",
    Transform.AGE: "{arguments} jaar of ouder",
    Transform.LIVES_IN: "woont in {arguments}",
    Transform.NOTIFY_ONLY: "melding dat er iets wijzigde",
}


def derived(field: ReleasedField) -> str:
    """Name of what stands for a replaced field."""
    return _with_arguments(_DERIVED[field.transform], field)


def replaced(field: ReleasedField) -> str:
    """What happened to a field that is delivered in another form."""
    return _with_arguments(_REPLACED[field.transform], field)


def moment(instant: datetime) -> str:
    """A day and a time of day."""
    return f"{day(instant)}, {instant:%H:%M:%S}"


def _with_arguments(words: str, field: ReleasedField) -> str:
    return words.format(arguments=" of ".join(field.arguments))


def flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Path and text of every leaf that holds something; what a path holds several times comes several times."""
    for name, held in value.items():
        path = f"{above}.{name}" if above else name
        for item in held if isinstance(held, list) else [held]:
            if isinstance(item, Mapping):
                yield from flat(item, path)
            elif item is not None:
                yield path, _written(item)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "ja" if value else "neen"
    text = str(value)
    with suppress(ValueError):
        return day(datetime.strptime(text, "%Y-%m-%d"))  # noqa: DTZ007 - a day, not an instant
    return text
