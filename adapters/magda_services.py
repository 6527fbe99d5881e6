"""MAGDA's services: which of them no type is about, and what class of refusal an `Uitzondering` belongs to.

A reason is a stable code of `Ignored`. It says why nothing is published: the service has no type, states no present
situation, or refused the question.
"""

from types import MappingProxyType
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml

LEFT_OUT = MappingProxyType(
    {
        "AnnuleerBewijs": "CONFIRMATION",
        "GeefAanslagbiljetPersonenbelasting": "NO_TYPE_INCOME",
        "GeefAdressenLocaties": "NO_TYPE_ENTERPRISE_DETAIL",
        "GeefBeschikbareJaarrekeningen": "NO_TYPE_ENTERPRISE_DETAIL",
        "GeefBetalingenHandicap": "NO_TYPE_HANDICAP",
        "GeefCadNetTransacties": "NO_TYPE_PROPERTY",
        "GeefDeelnemingen": "NO_TYPE_ENTERPRISE_DETAIL",
        "GeefDmfaVoorWerknemer": "NO_TYPE_WORK",
        "GeefDossierHandicap": "NO_TYPE_HANDICAP",
        "GeefEigendomstoestanden": "NO_TYPE_PROPERTY",
        "GeefEpc": "NO_TYPE_ENERGY",
        "GeefFiscaleInhoudingsplicht": "NO_TYPE_ENTERPRISE_DEBT",
        "GeefFiscaleSchuld": "NO_TYPE_ENTERPRISE_DEBT",
        "GeefFuncties": "NO_TYPE_ENTERPRISE_OFFICE",
        "GeefHistoriekEigendomstoestand": "HISTORY",
        "GeefHistoriekGezinssamenstelling": "HISTORY",
        "GeefHistoriekInschrijving": "NO_TYPE_EDUCATION",
        "GeefHistoriekMutatiedossier": "HISTORY",
        "GeefHistoriekPersoon": "HISTORY",
        "GeefKadastraleAfdelingenOpKBO": "NO_TYPE_PROPERTY",
        "GeefKindVoordelen": "NO_TYPE_CHILD_BENEFIT",
        "GeefLeefloonbedragen": "NO_TYPE_SOCIAL_STATUS",
        "GeefLoopbaanARZA": "NO_TYPE_WORK",
        "GeefLoopbaanonderbrekingen": "NO_TYPE_WORK",
        "GeefOndernemingSignalen": "NO_TYPE_ENTERPRISE_DETAIL",
        "GeefPCenTW": "NO_TYPE_ENTERPRISE_DETAIL",
        "GeefPersoonMutatiesNotificaties": "NOTIFICATION",
        "GeefSociaalStatuut": "NO_TYPE_SOCIAL_STATUS",
        "GeefSocialeSchuld": "NO_TYPE_ENTERPRISE_DEBT",
        "GeefTewerkstelling": "NO_TYPE_WORK",
        "GeefTransacties": "NO_TYPE_PROPERTY",
        "GeefVolledigDossierHandicap": "NO_TYPE_HANDICAP",
        "GeefWerkrelaties": "NO_TYPE_WORK",
        "RaadpleegLeerkredietsaldo": "NO_TYPE_EDUCATION",
        "RegistreerInschrijving": "CONFIRMATION",
        "RegistreerMutatieBewijs": "CONFIRMATION",
        "RegistreerUitschrijving": "CONFIRMATION",
        "ZoekOnderneming": "SEARCH_RESULT",
        "ZoekPerceel": "SEARCH_RESULT",
        "ZoekPersoonOpAdres": "SEARCH_RESULT",
        "ZoekPersoonOpNaam": "SEARCH_RESULT",
        "ZoekVerkoopprijzen": "NO_TYPE_PROPERTY",
    }
)
"""Service → why it is not published.

HISTORY states what was, and a record is what is. A SEARCH_RESULT lists whom a question found, not a whole state.
A NOTIFICATION says that something changed, not what. A CONFIRMATION answers an act of the one who asked.
"""

_REFUSALS = MappingProxyType(
    {
        "15021": "FILTERED",
        "30001": "NO_DATA",
        "30002": "SUBJECT_UNKNOWN",
        "30003": "SUBJECT_UNKNOWN",
        "30101": "NO_DATA",
        "40001": "ACCESS_REFUSED",
        "40003": "ACCESS_REFUSED",
        "40005": "ACCESS_REFUSED",
        "40006": "ACCESS_REFUSED",
        "40046": "SUBJECT_UNKNOWN",
    }
)
# Sources beside MAGDA that use its numbers for something else.
_OF_SOURCE = MappingProxyType({("LED", "40000"): "NO_DATA", ("DHO", "50030"): "NO_DATA"})
_BY_DIGIT = MappingProxyType(dict.fromkeys("12345", "QUESTION_INVALID"))
_WARNING = "WAARSCHUWING"


def refusal(holder: Element) -> str | None:
    """Class of the first `Uitzondering` of a `Repliek` or `Antwoord` that holds nothing else; None where it has none.

    NO_DATA, FILTERED (by the purpose of the one who asked), SUBJECT_UNKNOWN, ACCESS_REFUSED, QUESTION_INVALID, or
    SOURCE_FAILED for trouble on the other side and for a number that nobody knows.
    """
    listed = holder.find("Uitzonderingen")
    if listed is None:
        return None
    for exception in listed.findall("Uitzondering"):
        if xml.text(exception, "Type") == _WARNING:
            continue
        number, origin = xml.text(exception, "Identificatie") or "", xml.text(exception, "Oorsprong") or ""
        known = _OF_SOURCE.get((origin, number)) or _REFUSALS.get(number)
        return known or (_BY_DIGIT.get(number[:1], "SOURCE_FAILED"))
    return "SOURCE_FAILED"
