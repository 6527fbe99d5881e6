"""An agreement as an ODRL 2.2 agreement in JSON-LD: who grants whom what, under which constraints, with which duties.

assigner, assignee     source and agency, with what the protocol says of each as a controller
permission: use        the product as a refined collection (fields, population), for the purpose, within the term
permission | prohibition: distribute     onward sharing, where the agreement decides on it
obligation             delete after the retention period; inform by publishing the protocol
dpv:…                  legal bases, purpose, recipients, processors, measures, notices, impact assessment
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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
    context,
    legal_basis,
    transform,
)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Writing:
    """Writes agreement documents; what it knows of organisations and purposes makes their IRIs and names better."""

    base: str
    organisations: Mapping[str, Organisation]
    purposes: Mapping[str, Purpose]

    def policy(self, document: Mapping[str, Any]) -> Json:
        """The ODRL form of an agreement document (as `documents.agreement_document` writes it)."""
        said = document.get("conditions", {})
        target = self._target(document)
        return {
            "@context": context(self.base),
            "type": "Agreement",
            "uid": f"{self.base}agreement/{document['id']}/{document['version']}",
            "profile": f"{self.base}profile",
            "conflict": "prohibit",
            "identifier": document["id"],
            "dcat:version": document["version"],
            "title": document["title"],
            "assigner": self._party(document["source"], said.get("source")),
            "assignee": self._party(document["agency"], said.get("agency")),
            "permission": [self._use(document, target), *_onward(said, target, allowed=True)],
            "prohibition": _onward(said, target, allowed=False),
            "obligation": [*_deletion(said), *_publication(said)],
            "dpv:hasPurpose": self._purpose(document["purpose"]),
            "dpv:hasLegalBasis": [_basis(basis) for basis in document["bases"]],
            **_laid_down(said),
        }

    def _organisation(self, slug: str) -> str:
        known = self.organisations.get(slug)
        return f"{OVO}{known.ovo}" if known and known.ovo else f"{self.base}organisation/{slug}"

    def _party(self, slug: str, said: Mapping[str, Any] | None) -> Json:
        known = self.organisations.get(slug)
        node: Json = {"type": ["Party"], "uid": self._organisation(slug), "identifier": slug}
        if known is not None:
            node["name"] = known.name
            if known.kbo:
                node["adms:identifier"] = {"type": "adms:Identifier", "notation": known.kbo}
        if said is None:
            return node
        node["type"] += ["dpv:LegalEntity", *([ROLES[said["role"]]] if "role" in said else ())]
        if "represented_by" in said:
            node["dpv:hasRepresentative"] = {"type": "dpv:Representative", "title": said["represented_by"]}
        if "dpo" in said:
            node["dpv:hasDataProtectionOfficer"] = {"type": "dpv:DataProtectionOfficer", "dpv:hasContact": said["dpo"]}
        return node | _renamed(said, {"breach_contact": "breachContact"})

    def _purpose(self, code: str) -> Json:
        node: Json = {"type": "dpv:Purpose", "uid": f"{self.base}purpose/{code}", "identifier": code}
        known = self.purposes.get(code)
        if known is not None:
            node["title"] = known.title
            if known.dpv:
                node["broader"] = known.dpv
        return node

    def _target(self, document: Mapping[str, Any]) -> Json:
        source, product = document["source"], document["product"]
        return {
            "type": ["AssetCollection", "dcat:Dataset"],
            "source": f"{self.base}product/{source}/{product}",
            "identifier": product,
            "publisher": self._organisation(source),
        }

    def _use(self, document: Mapping[str, Any], target: Json) -> Json:
        population, field = document["population"], f"{self.base}field/{document['product']}/"
        paths = dict.fromkeys(released["path"] for released in document["fields"])
        granted = _compared("datanuts:field", "isAnyOf", {"@list": [{"uid": f"{field}{path}"} for path in paths]})
        where = [] if population["where"] == {"all": []} else [_constraint(population["where"], field)]
        dossier = [_compared("datanuts:dossier", "eq", right=True)] if population["dossiers"] else []
        personal = not document["bases"] or any(basis["instrument"] != "open-data" for basis in document["bases"])
        consent = {"type": "Duty", "action": "obtainConsent", "consentingParty": "dpv:DataSubject"}
        return {
            "type": "Permission",
            "action": "use",
            "target": target
            | {
                "refinement": [granted, *where, *dossier],
                "dpv:hasPersonalData" if personal else "dpv:hasData": [
                    _field(released, "dpv:PersonalData" if personal else "dpv:NonPersonalData")
                    for released in document["fields"]
                ],
            },
            "constraint": [
                _compared("purpose", "eq", {"uid": f"{self.base}purpose/{document['purpose']}"}),
                *_term(document["term"]),
                _compared("elapsedTime", "lteq", _typed(f"P{document['retention_days']}D", "duration")),
            ],
        } | ({"duty": [consent]} if population.get("consent") else {})


def _compared(left: str, operator: str, right: Any) -> Json:
    return {"type": "Constraint", "leftOperand": left, "operator": operator, "rightOperand": right}


def _typed(value: str, kind: str) -> Json:
    return {"@value": value, "@type": f"xsd:{kind}"}


def _term(term: Mapping[str, Any]) -> Iterator[Json]:
    yield _compared("dateTime", "gteq", _typed(term["start"], "dateTime"))
    if term["end"] is not None:
        yield _compared("dateTime", "lt", _typed(term["end"], "dateTime"))


def _constraint(where: Mapping[str, Any], field: str) -> Json:
    match where:
        case {"all": parts}:
            return _group("and", [_constraint(part, field) for part in parts])
        case {"any": parts}:
            return _group("or", [_constraint(part, field) for part in parts])
        case {"path": path, "equals": value}:
            return _compared(f"{field}{path}", "eq", value)
        case {"path": path, "in": values}:
            return _compared(f"{field}{path}", "isAnyOf", {"@list": values})
        case {"path": path, "prefix": prefix}:
            return _compared(f"{field}{path}", "datanuts:startsWith", prefix)
        case _:
            path, span = where["path"], where["range"]
            sides = [("gteq", span["from"]), ("lteq", span["to"])]
            bounds = [_compared(f"{field}{path}", operator, bound) for operator, bound in sides if bound is not None]
            return _group("and", bounds) | {"type": ["LogicalConstraint", "datanuts:Range"], "identifier": path}


def _group(operand: str, parts: list[Json]) -> Json:
    return {"type": "LogicalConstraint", operand: {"@list": parts}}


def _field(released: Mapping[str, Any], kind: str) -> Json:
    return {
        "type": kind,
        "transform": transform(released["transform"]),
        "dpv:hasJustification": {"type": "dpv:Justification", "text": released["why"]},
        **_renamed(released, FIELD),
    }


def _basis(basis: Mapping[str, Any]) -> Json:
    return {
        "type": legal_basis(basis["gdpr"]),
        "instrument": f"datanuts:{basis['instrument']}",
        **_renamed(basis, BASIS),
    }


def _onward(said: Mapping[str, Any], target: Json, *, allowed: bool) -> list[Json]:
    onward = said.get("onward")
    if onward is None or onward["allowed"] is not allowed:
        return []
    to = [_compared("recipient", "eq", onward["to"])] if "to" in onward else []
    rule = {"type": "Permission" if allowed else "Prohibition", "action": "distribute", "target": target["source"]}
    return [rule | ({"constraint": to} if to else {})]


def _deletion(said: Mapping[str, Any]) -> Iterator[Json]:
    if "retention" in said:
        kept = said["retention"]
        stored = {"type": "dpv:StorageDuration", **_renamed(kept, {"period": "text"})}
        duty = {"type": "Duty", "action": "delete", "dpv:hasStorageCondition": stored}
        yield duty | _renamed(kept, {"disposal": "text"})


def _publication(said: Mapping[str, Any]) -> Iterator[Json]:
    if "publication" in said:
        notices = [
            {"type": "dpv:PrivacyNotice", "actsFor": SIDES[side], "url": said["publication"][side]}
            for side in SIDES
            if side in said["publication"]
        ]
        yield {"type": "Duty", "action": "inform", "dpv:hasNotice": notices}


def _laid_down(said: Mapping[str, Any]) -> Json:
    """The conditions that are no rule: DPV's property and class for each, with the text."""
    found: Json = {}
    for name, (term, kind) in TEXTS.items():
        if name in said:
            found[term] = {"type": kind, "text": said[name]}
    if "impact" in said:
        found["dpv:hasImpactAssessment"] = {"type": "dpv:DPIA", **_renamed(said["impact"], IMPACT)}
    if "recipients" in said:
        found["dpv:hasRecipient"] = [_recipient(item) for item in said["recipients"]]
    if "processors" in said:
        found["dpv:hasDataProcessor"] = [_processor(item) for item in said["processors"]]
    if "security" in said:
        kind = "dpv:TechnicalOrganisationalMeasure"
        found[MEASURES] = [{"type": kind, "text": text} for text in said["security"]]
    return found | _renamed(said, PLAIN)


def _recipient(item: Mapping[str, Any]) -> Json:
    why = {"dpv:hasJustification": {"type": "dpv:Justification", "text": item["why"]}} if "why" in item else {}
    return {"type": "dpv:Recipient", "name": item["name"], **why}


def _processor(item: Mapping[str, Any]) -> Json:
    node = {"type": "dpv:DataProcessor", "name": item["name"], "actsFor": SIDES[item["side"]]}
    if "mandate" in item:
        mandate = {"type": "dpv:ControllerProcessorAgreement", "identifier": item["mandate"]}
        node |= {"dpv:hasOrganisationalMeasure": mandate}
    return node | _renamed(item, {"task": "text"})


def _renamed(given: Mapping[str, Any], names: Mapping[str, str]) -> Json:
    """The parts of `given` that are there, under their terms."""
    return {term: given[name] for name, term in names.items() if name in given}
