"""Dutch names of the leaves of persoon.v1, and of calendar days: the words that a protocol and its reader share."""

from datetime import date

_MONTHS = (
    "januari",
    "februari",
    "maart",
    "april",
    "mei",
    "juni",
    "juli",
    "augustus",
    "september",
    "oktober",
    "november",
    "december",
)
_OWN = {
    "kind": "soort melding",
    "validFrom": "geldig vanaf",
    "validTo": "geldig tot",
    "recordedAt": "vastgelegd op",
    "corrects": "verbetert melding",
    "insz": "rijksregisternummer",
    "vervangenDoor": "vervangend rijksregisternummer",
    "naam.achternaam": "achternaam",
    "naam.voornamen": "voornamen",
    "naam.gebruikteVoornaam": "roepnaam",
    "naam.adellijkeTitel": "adellijke titel",
    "naam.begin": "naam sinds",
    "geslacht": "geslacht",
    "geboorte.datum": "geboortedatum",
    "geboorte.plaats.nis": "geboorteplaats (NIS-code)",
    "geboorte.plaats.naam": "geboorteplaats",
    "geboorte.aktenummer": "nummer van de geboorteakte",
    "overlijden.datum": "datum van overlijden",
    "overlijden.plaats.nis": "plaats van overlijden (NIS-code)",
    "overlijden.plaats.naam": "plaats van overlijden",
    "overlijden.aktenummer": "nummer van de overlijdensakte",
    "nationaliteiten.code": "nationaliteit (code)",
    "nationaliteiten.omschrijving": "nationaliteit",
    "nationaliteiten.begin": "nationaliteit sinds",
    "burgerlijkeStaat.code": "burgerlijke staat (code)",
    "burgerlijkeStaat.omschrijving": "burgerlijke staat",
    "burgerlijkeStaat.begin": "burgerlijke staat sinds",
    "wettelijkeSamenwoning.begin": "wettelijk samenwonend sinds",
    "wettelijkeSamenwoning.beeindigd": "wettelijk samenwonend tot",
    "verblijfplaats.straatnaam": "straat",
    "verblijfplaats.huisnummer": "huisnummer",
    "verblijfplaats.busnummer": "bus",
    "verblijfplaats.postcode": "postcode",
    "verblijfplaats.gemeente.nis": "gemeente (NIS-code)",
    "verblijfplaats.gemeente.naam": "gemeente",
    "verblijfplaats.begin": "adres sinds",
    "verblijfplaatsBuitenland.adreslijnen": "adres in het buitenland",
    "verblijfplaatsBuitenland.begin": "adres in het buitenland sinds",
    "beheerder.gemeente.nis": "dossier bijgehouden door (NIS-code)",
    "beheerder.gemeente.naam": "dossier bijgehouden door",
    "beheerder.begin": "dossier bijgehouden sinds",
    "register.code": "register (code)",
    "register.omschrijving": "register",
    "register.begin": "in het register sinds",
    "statussen.code": "bijzondere toestand (code)",
    "statussen.omschrijving": "bijzondere toestand",
    "statussen.begin": "bijzondere toestand sinds",
    "afstamming.code": "afstamming (code)",
    "afstamming.omschrijving": "afstamming",
    "afstamming.begin": "afstamming sinds",
}
_COUNTRIES = {
    "geboorte.land": "geboorteland",
    "overlijden.land": "land van overlijden",
    "verblijfplaats.land": "land",
    "verblijfplaatsBuitenland.land": "land van het adres in het buitenland",
    "beheerder.land": "land van de beheerder",
}
_COUNTRY = {"nis": " (NIS-code)", "iso": " (landcode)", "naam": ""}
_OTHERS = {
    "burgerlijkeStaat.partner": "van de echtgenoot",
    "wettelijkeSamenwoning.partner": "van de samenwonende partner",
    "referentiepersoon": "van de referentiepersoon",
    "gezinsleden": "van gezinsleden",
    "ouders": "van de ouders",
    "kinderen": "van de kinderen",
}
_OTHER = {
    "insz": "rijksregisternummer",
    "achternaam": "achternaam",
    "voornamen": "voornamen",
    "geslacht": "geslacht",
    "geboortedatum": "geboortedatum",
    "positie": "positie in het gezin (code)",
    "positieOmschrijving": "positie in het gezin",
    "afstammingstype": "soort afstamming",
    "begin": "band, sinds",
}


def label(path: str) -> str:
    """Name of a leaf of persoon.v1; the path itself where it is of another product."""
    if path in _OWN:
        return _OWN[path]
    group, _, last = path.rpartition(".")
    if group in _COUNTRIES and last in _COUNTRY:
        return _COUNTRIES[group] + _COUNTRY[last]
    if group in _OTHERS and last in _OTHER:
        return f"{_OTHER[last]} {_OTHERS[group]}"
    return path


def day(instant: date) -> str:
    """A calendar day, such as 1 januari 2026."""
    return f"{instant.day} {_MONTHS[instant.month - 1]} {instant.year}"
