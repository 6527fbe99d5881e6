"""The agreement document that an ODRL document was written from.

Takes what it needs from where `odrl_writing` puts it and looks at nothing else: `odrl.from_odrl` writes the result again and
refuses a document that says anything more, less or otherwise.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.errors import Invalid
from broker.model.agreement import Instrument, Transform
from broker.model.purpose import Purpose
from broker.model.registered import Organisation
from broker.policy.odrl_terms import (
    BASIS,
    FIELD,
    IMPACT,
    MEASURES,
    OVO,
    PLAIN,
    ROLES,
    SIDES,
    TEXTS,
    legal_basis,
    transform,
)

Json = dict[str, Any]

_OVO = re.compile(re.escape(OVO) + "(OVO[0-9]{6})")
_KBO = re.compile("[01][0-9]{9}")
_DAYS = re.compile("P([0-9]{1,6})D")
_DPV = re.compile(r"https://w3id\.org/dpv[#/][!-~]{1,180}")
_ROLES = {term: role for role, term in ROLES.items()}
_SIDE_OF = {term: side for side, term in SIDES.items()}
_TRANSFORMS = {transform(member.value): member.value for member in Transform}
_INSTRUMENTS = {f"datanuts:{member.value}": member.value for member in Instrument}
_GDPR = {
    legal_basis(basis): basis
    for basis in (*(f"6.1.{letter}" for letter in "abcdef"), *(f"9.2.{letter}" for letter in "abcdefghij"), "10")
}


@dataclass(frozen=True, slots=True)
class Place:
    """A value of the document and where it stands; a step of the wrong kind raises `Invalid`."""

    value: Any
    at: str = "document"

    def __getitem__(self, key: str) -> "Place":
        if not isinstance(self.value, Mapping):
            raise Invalid(f"{self.at}: expected an object")
        if key not in self.value:
            raise Invalid(f"{self.at}: lacks {key}")
        return Place(self.value[key], f"{self.at}.{key}")

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, Mapping) and key in self.value

    def items(self) -> list["Place"]:
        """The members of a list."""
        if not isinstance(self.value, list):
            raise Invalid(f"{self.at}: expected a list")
        return [Place(item, f"{self.at}.{number}") for number, item in enumerate(self.value)]

    def text(self) -> str:
        """The value as text."""
        if not isinstance(self.value, str):
            raise Invalid(f"{self.at}: expected text")
        return self.value

    def known(self, terms: Mapping[str, str]) -> str:
        """What one of `terms` stands for."""
        if self.text() not in terms:
            raise Invalid(f"{self.at}: a term that has no meaning here")
        return terms[self.text()]

    def held(self, names: Mapping[str, str]) -> Json:
        """The values under the terms that are there, by name; their form is checked with the agreement's."""
        return {name: self.value[term] for name, term in names.items() if term in self}


@dataclass(frozen=True, slots=True)
class Reading:
    """One ODRL document, read only as far as an agreement reaches."""

    policy: Place

    def document(self) -> Json:
        """An agreement document, to be checked by `documents.agreement`."""
        policy, use = self.policy, _first(self.policy["permission"])
        target = use["target"]
        return {
            "id": policy["identifier"].value,
            "version": policy["dcat:version"].value,
            "title": policy["title"].value,
            "source": policy["assigner"]["identifier"].value,
            "product": target["identifier"].value,
            "agency": policy["assignee"]["identifier"].value,
            "purpose": policy["dpv:hasPurpose"]["identifier"].value,
            "bases": [_basis(basis) for basis in policy["dpv:hasLegalBasis"].items()],
            "fields": [_field(field) for field in target[_data(target)].items()],
            "population": _population(use),
            "conditions": _parties(policy) | _conditions(policy) | _rules(policy),
            **_duration(use["constraint"]),
        }

    def organisations(self) -> dict[str, Organisation]:
        """What the document tells of its parties."""
        return {org.id: org for org in (_organisation(self.policy[term]) for term in SIDES.values()) if org is not None}

    def purposes(self) -> dict[str, Purpose]:
        """What the document tells of its purpose."""
        node = self.policy["dpv:hasPurpose"]
        if "title" not in node:
            return {}
        dpv = node["broader"].text() if "broader" in node else None
        if dpv is not None and not _DPV.fullmatch(dpv):
            raise Invalid(f"{node.at}.broader: expected a purpose of the Data Privacy Vocabulary")
        code = node["identifier"].text()
        return {code: Purpose(code, node["title"].text(), "", dpv=dpv)}


def _first(listed: Place) -> Place:
    if not listed.items():
        raise Invalid(f"{listed.at}: nothing here")
    return listed.items()[0]


def _data(target: Place) -> str:
    return "dpv:hasData" if "dpv:hasData" in target else "dpv:hasPersonalData"


def _organisation(party: Place) -> Organisation | None:
    if "name" not in party:
        return None
    ovo = _OVO.fullmatch(party["uid"].text())
    kbo = party["adms:identifier"]["notation"].text() if "adms:identifier" in party else None
    if kbo is not None and not _KBO.fullmatch(kbo):
        raise Invalid(f"{party.at}.adms:identifier: expected a KBO number")
    return Organisation(party["identifier"].text(), party["name"].text(), ovo and ovo[1], kbo)


def _basis(basis: Place) -> Json:
    return {
        "instrument": basis["instrument"].known(_INSTRUMENTS),
        "gdpr": basis["type"].known(_GDPR),
        **basis.held(BASIS),
    }


def _field(field: Place) -> Json:
    return {
        "transform": field["transform"].known(_TRANSFORMS),
        "why": field["dpv:hasJustification"]["text"].value,
        **field.held(FIELD),
    }


def _population(use: Place) -> Json:
    found: Json = {"consent": "duty" in use}
    for refinement in use["target"]["refinement"].items()[1:]:
        if "leftOperand" in refinement and refinement["leftOperand"].value == "datanuts:dossier":
            found["dossiers"] = True
        else:
            found["where"] = _where(refinement)
    return found


def _where(constraint: Place) -> Json:
    if "leftOperand" not in constraint:
        operand, group = ("and", "all") if "and" in constraint else ("or", "any")
        parts = constraint[operand]["@list"].items()
        if "identifier" not in constraint:
            return {group: [_where(part) for part in parts]}
        bounds = {part["operator"].known({"gteq": "from", "lteq": "to"}): part["rightOperand"].value for part in parts}
        return {"path": constraint["identifier"].value, "range": bounds}
    path = constraint["leftOperand"].text().rpartition("/")[2]
    operator = constraint["operator"].known({"eq": "equals", "isAnyOf": "in", "datanuts:startsWith": "prefix"})
    right = constraint["rightOperand"]
    return {"path": path, operator: (right["@list"] if operator == "in" else right).value}


def _duration(constraints: Place) -> Json:
    """Term and retention, from the constraints after the purpose."""
    _, start, *ends = (constraint["rightOperand"] for constraint in _at_least(constraints, 3))
    until, kept = (ends[0]["@value"].value, ends[1]) if len(ends) > 1 else (None, ends[0])
    days = _DAYS.fullmatch(kept["@value"].text())
    if days is None:
        raise Invalid(f"{kept.at}: expected a number of days")
    return {"term": {"start": start["@value"].value, "end": until}, "retention_days": int(days[1])}


def _at_least(listed: Place, number: int) -> list[Place]:
    if len(listed.items()) < number:
        raise Invalid(f"{listed.at}: expected {number} of these or more")
    return listed.items()


def _parties(policy: Place) -> Json:
    """What is laid down of each side; nothing of a side that is named only."""
    found: Json = {}
    for side, term in SIDES.items():
        party = policy[term]
        kinds = [kind.text() for kind in party["type"].items()]
        if len(kinds) == 1:
            continue
        found[side] = party.held({"breach_contact": "breachContact"})
        if len(kinds) > 2:  # noqa: PLR2004 - party, legal entity, role
            found[side]["role"] = party["type"].items()[2].known(_ROLES)
        if "dpv:hasRepresentative" in party:
            found[side]["represented_by"] = party["dpv:hasRepresentative"]["title"].value
        if "dpv:hasDataProtectionOfficer" in party:
            found[side]["dpo"] = party["dpv:hasDataProtectionOfficer"]["dpv:hasContact"].value
    return found


def _conditions(policy: Place) -> Json:
    found = policy.held(PLAIN) | {
        name: policy[term]["text"].value for name, (term, _) in TEXTS.items() if term in policy
    }
    if "dpv:hasImpactAssessment" in policy:
        found["impact"] = policy["dpv:hasImpactAssessment"].held(IMPACT)
    if "dpv:hasRecipient" in policy:
        found["recipients"] = [_recipient(item) for item in policy["dpv:hasRecipient"].items()]
    if "dpv:hasDataProcessor" in policy:
        found["processors"] = [_processor(item) for item in policy["dpv:hasDataProcessor"].items()]
    if MEASURES in policy:
        found["security"] = [item["text"].value for item in policy[MEASURES].items()]
    return found


def _recipient(item: Place) -> Json:
    why = {"why": item["dpv:hasJustification"]["text"].value} if "dpv:hasJustification" in item else {}
    return {"name": item["name"].value, **why}


def _processor(item: Place) -> Json:
    mandate = (
        {"mandate": item["dpv:hasOrganisationalMeasure"]["identifier"].value}
        if "dpv:hasOrganisationalMeasure" in item
        else {}
    )
    return {"side": item["actsFor"].known(_SIDE_OF), **item.held({"name": "name", "task": "text"}), **mandate}


def _rules(policy: Place) -> Json:
    """Onward sharing, retention and publication: the rules beside the permission to use."""
    found: Json = {}
    for allowed, rules in ((True, policy["permission"].items()[1:]), (False, policy["prohibition"].items())):
        for rule in rules:
            to = {"to": _first(rule["constraint"])["rightOperand"].value} if "constraint" in rule else {}
            found["onward"] = {"allowed": allowed, **to}
    for duty in policy["obligation"].items():
        if duty["action"].known({"delete": "retention", "inform": "publication"}) == "retention":
            period = duty["dpv:hasStorageCondition"].held({"period": "text"})
            found["retention"] = period | duty.held({"disposal": "text"})
        else:
            notices = duty["dpv:hasNotice"].items()
            found["publication"] = {notice["actsFor"].known(_SIDE_OF): notice["url"].value for notice in notices}
    return found
