"""The catalogue for who wants data: what there is, the most one may have of it and for which purpose, and how to ask.

Public metadata only, for organisations that are known here. As JSON, or as DCAT in JSON-LD (`Accept: application/ld+json`).
"""

from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from broker.api.accept import negotiated
from broker.api.auth import Caller
from broker.api.services import Broker
from broker.errors import Invalid
from broker.model.facts import ControlState, Product
from broker.policy.limits import Limits, effective_ceiling, limits_of
from broker.schema.avro import Schema, load_schema

routes = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])

LINKED = "application/ld+json"
_PLAIN = "application/json"

HOW_TO_REQUEST = (
    {"step": "check", "command": "datanuts agreement check FILE", "by": "agency"},
    {"step": "request", "http": "POST /v1/agreements", "command": "datanuts agreement apply FILE", "by": "agency"},
    {"step": "status", "http": "GET /v1/agreements/{id}", "command": "datanuts agreement show ID", "by": "agency"},
    {"step": "approve", "http": "POST /v1/agreements/{id}/approve", "by": "source"},
    {"step": "advise, sign", "http": "POST /v1/agreements/{id}/advice, …/signatures", "by": "source and agency"},
    {"step": "publish", "http": "POST /v1/agreements/{id}/publish", "by": "source"},
    {
        "step": "credentials",
        "http": "POST /v1/organisations/{id}/credentials",
        "command": "datanuts credential issue",
        "by": "agency",
    },
    {"step": "read", "http": "GET /v1/deliveries/{id}", "command": "datanuts consume ID", "by": "agency"},
)
"""From wish to first record; nobody but the two sides does anything."""

_CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "odrl": "http://www.w3.org/ns/odrl/2/",
}


@routes.get("", response_class=JSONResponse, responses={200: {"content": {LINKED: {}}}})
async def show_catalogue(request: Request, broker: Broker, _caller: Caller) -> Response:
    """Every product by source, with its fields, the purposes that its owner allows something for, and how to request it."""
    state = broker.control.state
    offers = [offer(state, state.products[name]) for name in sorted(state.products)]
    headers = {"Cache-Control": "private, max-age=60", "Vary": "Accept"}
    if negotiated(request.headers.get("accept"), [_PLAIN, LINKED]) == LINKED:
        return JSONResponse(linked(offers, broker.iri_base), headers=headers, media_type=LINKED)
    return JSONResponse({"items": offers, "next": None, "howToRequest": HOW_TO_REQUEST}, headers=headers)


def offer(state: ControlState, product: Product) -> dict[str, Any]:
    """One product: fields with class and meaning, and per purpose what each may be released as."""
    schema, limits = _schema(state.schemas[product.schema_id].text), limits_of(state)
    owner = state.organisations.get(product.source)
    return {
        "id": product.id,
        "source": product.source,
        "sourceName": owner.name if owner else product.source,
        "schemaId": product.schema_id,
        "doc": schema.root.attributes.get("doc", ""),
        "iri": schema.root.attributes.get("iri", ""),
        "principal": schema.principal,
        "fields": [
            {"path": leaf.path, "class": leaf.field_class.value, "iri": leaf.iri, "doc": leaf.doc}
            for leaf in schema.fields.values()
        ],
        "purposes": [
            allowed for code in sorted(limits.purposes.by_code) if (allowed := _allowed(limits, product, code))
        ],
    }


def linked(offers: list[dict[str, Any]], base: str) -> dict[str, Any]:
    """The catalogue as a `dcat:Catalog`; an entry is a `dcat:Dataset` with one `dcat:Distribution` per way to read it."""
    return {
        "@context": _CONTEXT,
        "@id": f"{base}catalogue",
        "@type": "dcat:Catalog",
        "dct:title": {"@language": "nl", "@value": "Datanutsbedrijf: dataproducten"},
        "dcat:dataset": [
            {
                "@id": f"{base}products/{each['source']}/{each['id']}",
                "@type": "dcat:Dataset",
                "dct:identifier": f"{each['source']}/{each['id']}",
                "dct:title": each["id"],
                "dct:description": each["doc"],
                "dct:publisher": {"@id": f"{base}organisations/{each['source']}", "dct:title": each["sourceName"]},
                "dct:conformsTo": [{"@id": each["iri"]}] if each["iri"] else [],
                "dct:accessRights": "restricted",
                "dcat:keyword": sorted({field["class"] for field in each["fields"]}),
                "odrl:hasPolicy": [
                    {"@type": "odrl:Offer", "odrl:purpose": purpose["purpose"]} for purpose in each["purposes"]
                ],
            }
            for each in offers
        ],
    }


def _allowed(limits: Limits, product: Product, purpose: str) -> dict[str, Any] | None:
    """What anyone may have for a purpose, None where that is nothing."""
    try:
        ceiling = effective_ceiling(limits.purposes, limits.ceilings, product.source, product.id, purpose)
    except Invalid:
        return None
    if not ceiling.fields:
        return None
    return {
        "purpose": purpose,
        "title": limits.purposes.by_code[purpose].title,
        "fields": {path: sorted(each.transforms) for path, each in sorted(ceiling.fields.items())},
        "selectable": sorted(ceiling.selectable),
        "onwardSharing": ceiling.onward_sharing,
    }


@lru_cache(maxsize=256)
def _schema(text: str) -> Schema:
    return load_schema(text)
