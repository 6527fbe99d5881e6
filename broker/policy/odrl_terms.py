"""The words of an agreement's ODRL form: W3C's where they have one, ours for the rest, and the context that binds them.

ODRL 2.2 (W3C Recommendation of 15 February 2018) and the Data Privacy Vocabulary 2.1 with its GDPR extension. The context is
written out in every document, so that nobody has to fetch one and we never do.
"""

from collections.abc import Mapping
from typing import Any

from broker.model.conditions import Role

BASE = "urn:datanuts:"
"""What the IRIs of agreements, products, fields and own terms begin with where an installation names no other."""

OWN_TERMS: Mapping[str, str] = {
    "field": "left operand: the field of the record that is released (its own IRI)",
    "dossier": "left operand: whether the agency holds a registered file on the subject",
    "startsWith": "operator: the text begins with the right operand",
    "Range": "a logical constraint that bounds one field from below, from above or both, by code point order",
    "transform": "what is done to a field before it is delivered; its values are the transforms below",
    "deliveredAs": "name under which a transformed field is delivered",
    "bounds": "lower bounds of the bands into which a number is put",
    "age": "age in years that an attestation is about",
    "municipalities": "NIS codes of the municipalities that an attestation is about",
    "instrument": "kind of legal instrument; its values are the instruments below",
    "gdpr-A10": "legal basis: processing of criminal data under the control of, or authorised by, law (art. 10 GDPR)",
    "compatibility": "why the use is compatible with the purpose of collection (art. 5.1.b and 6.4 GDPR)",
    "rightsLimits": "which rights of data subjects are limited and by which law (art. 23 GDPR)",
    "sanctions": "what follows when a party does not keep to the agreement",
    "reasonForNone": "why there is no impact assessment",
    "breachContact": "where a personal data breach is reported",
    "actsFor": "the side, assigner or assignee, for which a processor acts or a notice is published",
    "keep": "transform: delivered as it is",
    "own-reference": "transform: replaced by the agency's own file reference",
    "year": "transform: the year of a date",
    "decade": "transform: the decade of a date",
    "band": "transform: the band that holds a number",
    "meerderjarig": "transform: whether the person is of age",
    "leeftijd-vanaf": "transform: whether the person has reached an age",
    "woont-in": "transform: whether the person lives in one of some municipalities",
    "notify-only": "transform: only that it changed is told",
    "protocol-vl": "instrument: protocol of art. 8 of the Flemish e-government decree of 18 July 2008",
    "protocol-fed": "instrument: protocol of art. 20 of the Belgian Act of 30 July 2018",
    "ivc": "instrument: deliberation of the Belgian Information Security Committee",
    "rijksregister": "instrument: authorisation for the National Register (Act of 8 August 1983)",
    "accession": "instrument: accession to a general authorisation",
    "open-data": "instrument: publication as open data, without personal data",
}
"""Terms under `<base>term/` that ODRL and DPV do not have, with what they mean."""

PSEUDONYM = "dpv:Pseudonymisation"
"""The one transform that DPV has a word for."""

ROLES: Mapping[str, str] = {
    Role.CONTROLLER.value: "dpv:DataController",
    Role.JOINT_CONTROLLER.value: "dpv:JointDataControllers",
}

OVO = "https://data.vlaanderen.be/id/organisatie/"
"""What the IRI of an organisation with an OVO code begins with."""

SIDES: Mapping[str, str] = {"source": "assigner", "agency": "assignee"}

MEASURES = "dpv:hasTechnicalOrganisationalMeasure"

TEXTS: Mapping[str, tuple[str, str]] = {
    "necessity": ("dpv:hasJustification", "dpv:Justification"),
    "periodicity": ("dpv:hasFrequency", "dpv:Frequency"),
    "quality": ("dpv:hasOrganisationalMeasure", "dpv:DataQualityManagement"),
    "rights": ("dpv:hasNotice", "dpv:RightExerciseNotice"),
}
"""Conditions of one text: the property and class of the node that holds it."""

PLAIN: Mapping[str, str] = {"compatibility": "compatibility", "rights_limits": "rightsLimits", "sanctions": "sanctions"}
"""Conditions of one text for which DPV has no term."""

FIELD: Mapping[str, str] = {
    "path": "identifier",
    "name": "deliveredAs",
    "bounds": "bounds",
    "age": "age",
    "municipalities": "municipalities",
}
BASIS: Mapping[str, str] = {"reference": "identifier", "text": "text", "dated": "issued", "url": "url"}
IMPACT: Mapping[str, str] = {"reference": "identifier", "reason_for_none": "reasonForNone"}
"""The parts of a released field, a legal basis and an impact assessment, and their terms."""

_ODRL_CLASSES = (
    "Agreement",
    "AssetCollection",
    "Constraint",
    "Duty",
    "LogicalConstraint",
    "Party",
    "Permission",
    "Prohibition",
)
_ODRL_VALUES = (
    *("use", "distribute", "delete", "inform", "obtainConsent", "prohibit"),
    *("purpose", "dateTime", "elapsedTime", "recipient", "eq", "gteq", "lt", "lteq", "isAnyOf"),
)  # fmt: skip
_ODRL_NODES = (
    *("permission", "prohibition", "obligation", "duty", "constraint", "refinement"),
    *("assigner", "assignee", "target", "source", "profile", "consentingParty"),
)  # fmt: skip
_DUTCH = {
    "title": "dct:title",
    "text": "dct:description",
    "name": "foaf:name",
    "compatibility": "datanuts:compatibility",
    "rightsLimits": "datanuts:rightsLimits",
    "sanctions": "datanuts:sanctions",
    "reasonForNone": "datanuts:reasonForNone",
}
_OWN_LITERALS = ("deliveredAs", "age", "breachContact")


def context(base: str) -> dict[str, Any]:
    """The JSON-LD context of a document whose own IRIs begin with `base`; its ODRL terms mean what W3C's context says."""
    return {
        "odrl": "http://www.w3.org/ns/odrl/2/",
        "dpv": "https://w3id.org/dpv#",
        "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
        "dct": "http://purl.org/dc/terms/",
        "dcat": "http://www.w3.org/ns/dcat#",
        "foaf": "http://xmlns.com/foaf/0.1/",
        "adms": "http://www.w3.org/ns/adms#",
        "skos": "http://www.w3.org/2004/02/skos/core#",
        "schema": "http://schema.org/",
        "xsd": "http://www.w3.org/2001/XMLSchema#",
        "datanuts": f"{base}term/",
        "uid": "@id",
        "type": "@type",
        **{name: f"odrl:{name}" for name in (*_ODRL_CLASSES, *_ODRL_VALUES)},
        **{name: {"@id": f"odrl:{name}", "@type": "@id"} for name in _ODRL_NODES},
        **{
            name: {"@id": f"odrl:{name}", "@type": "@vocab"}
            for name in ("action", "conflict", "leftOperand", "operator")
        },
        **{name: {"@id": f"odrl:{name}"} for name in ("and", "or", "rightOperand")},
        **{name: {"@id": iri, "@language": "nl"} for name, iri in _DUTCH.items()},
        **{name: f"datanuts:{name}" for name in _OWN_LITERALS},
        **{name: {"@id": f"datanuts:{name}", "@container": "@list"} for name in ("bounds", "municipalities")},
        **{name: {"@id": f"datanuts:{name}", "@type": "@vocab"} for name in ("transform", "instrument", "actsFor")},
        "identifier": "dct:identifier",
        "issued": {"@id": "dct:issued", "@type": "xsd:date"},
        "publisher": {"@id": "dct:publisher", "@type": "@id"},
        "broader": {"@id": "skos:broader", "@type": "@id"},
        "notation": "skos:notation",
        "url": {"@id": "schema:url", "@type": "xsd:anyURI"},
    }


def legal_basis(gdpr: str) -> str:
    """DPV's term for a GDPR basis such as `6.1.e`; DPV has none for article 10."""
    return "datanuts:gdpr-A10" if gdpr == "10" else f"eu-gdpr:A{gdpr.replace('.', '-')}"


def transform(name: str) -> str:
    """Term of a transform."""
    return PSEUDONYM if name == "pseudonym" else f"datanuts:{name}"
