"""The Dutch of the catalogue: what a record type is about, forms in which a field may be had, durations, figures."""

from collections.abc import Mapping
from datetime import UTC, datetime

from broker.model.agreement import Transform
from broker.policy.words import day

ABOUT: Mapping[str, str] = {
    "persoon": "Wie iemand is en waar die woont: naam, geboorte, overlijden, nationaliteit, burgerlijke staat, verblijfplaats en verwanten, voor elke persoon in een bevolkingsregister.",
    "gezin": "Met wie iemand samenwoont: de samenstelling van het huishouden, gezien vanuit elk lid.",
    "organisatie": "Ondernemingen en overheden in de Kruispuntbank van Ondernemingen: naam, rechtsvorm, toestand, adressen en activiteiten.",
    "vestiging": "De plaatsen waar een onderneming of overheid haar activiteiten uitoefent.",
    "adres": "Adressen in Vlaanderen, met hun gemeente, straat, nummers, ligging en toestand.",
    "gebouweenheid": "De delen van gebouwen die een eigen gebruik hebben, zoals een woning of een winkel.",
    "perceel": "Kadastrale percelen, zonder hun eigenaars.",
    "hinder": "Waar en wanneer werken of evenementen het verkeer hinderen, en met welk gevolg.",
    "mandataris": "Wie in een lokaal bestuur welk mandaat bekleedt, en van wanneer tot wanneer.",
    "dienst": "Wat een overheid burgers en ondernemingen aanbiedt: voorwaarden, procedure, bewijsstukken en kost.",
    "dossier": "De dossiers die een overheid over iemand behandelt, elk met zijn laatste stand.",
    "diploma": "De bewijzen van onderwijs en opleiding die iemand behaalde.",
    "steunmaatregel": "De maatregelen waarmee een overheid iemand ondersteunt, en de rechten daarop.",
}
"""By name of our own record types; another one has the English words of its schema."""

FORMS: Mapping[Transform, str] = {
    Transform.KEEP: "ongewijzigd, of in een vorm die minder zegt",
    Transform.NOTIFY_ONLY: "alleen dat het wijzigde",
    Transform.OWN_REFERENCE: "als het dossiernummer van de afnemer",
    Transform.PSEUDONYM: "als pseudoniem",
    Transform.YEAR: "alleen het jaar",
    Transform.DECADE: "alleen het decennium",
    Transform.ADULT: "meerderjarig: ja of neen",
    Transform.AGE: "vanaf een leeftijd: ja of neen",
    Transform.LIVES_IN: "woont in een gemeente: ja of neen",
    Transform.BAND: "alleen de klasse",
}

_MINUTE, _HOUR, _DAY = 60, 3600, 24 * 3600
_MANY = 2
"""From so many of a unit on a duration is said in it."""


def duration(seconds: int) -> str:
    """A number of seconds in the largest unit of which it has two."""
    for size, name in ((_DAY, "dagen"), (_HOUR, "uur"), (_MINUTE, "minuten")):
        if seconds >= _MANY * size:
            return f"{number(round(seconds / size))} {name}"
    return f"{seconds} seconde{'' if seconds == 1 else 'n'}"


def number(count: int) -> str:
    """A whole number with its thousands apart."""
    return f"{count:,}".replace(",", ".")


def minute(at: datetime) -> str:
    """A day and a time in UTC."""
    instant = at.astimezone(UTC)
    return f"{day(instant)}, {instant:%H:%M} uur (UTC)"
