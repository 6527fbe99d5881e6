"""The catalogue for who wants data: what there is, the most one may have of it and for which purpose, and how to ask.

Public metadata only, for organisations that are known here. As JSON, or as DCAT-AP-VL (`Accept: application/ld+json` or
`text/turtle`). What a caller may read on Kafka is one AsyncAPI document; who shows no credential sees names of types only.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from broker.api.accept import negotiated
from broker.api.auth import Caller, Principal, caller_of
from broker.api.client_certificates import shown_certificate
from broker.api.kept_texts import KeptTexts
from broker.api.open_forms import paced
from broker.api.product_lives import life_shown
from broker.api.reading import reads_for
from broker.api.services import Broker, Services
from broker.delivery import asyncapi, linked, turtle
from broker.errors import NotFound
from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.model.quality import Quality
from broker.model.registered import Product
from broker.policy import dcat
from broker.policy.limits import Limits, limits_of
from broker.schema import publication
from broker.schema.avro import Schema, load_schema
from broker.schema.samples import example
from broker.schema.shapes import shapes

routes = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])

LINKED, TURTLE = linked.MEDIA_TYPE, turtle.MEDIA_TYPE
_PLAIN = "application/json"
_WRITTEN_AS = {LINKED: "json-ld", TURTLE: "turtle"}
"""How rdflib calls each form of a graph."""

_STOPPED = frozenset({State.REVOKED, State.ENDED})

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


@routes.get("", response_class=JSONResponse, responses={200: {"content": {LINKED: {}, TURTLE: {}}}})
async def show_catalogue(request: Request, broker: Broker, _caller: Caller) -> Response:
    """Every product by source, with its fields, quality, the purposes that its owner allows something for, and how to ask."""
    state, figures = broker.control.state, await quality_of(broker)
    headers = {"Cache-Control": "private, max-age=60", "Vary": "Accept"}
    form = negotiated(request.headers.get("accept"), [_PLAIN, LINKED, TURTLE])
    if form == _PLAIN:
        offers = [offer(state, state.products[name], figures.get(name)) for name in sorted(state.products)]
        return JSONResponse({"items": offers, "next": None, "howToRequest": HOW_TO_REQUEST}, headers=headers)
    api = _reached(request, broker)
    made_from = form, api, state.epoch, tuple(sorted((name, each.at) for name, each in figures.items()))
    kept: KeptTexts = request.app.state.catalogues
    text = await kept.text(made_from, partial(_linked, broker, figures, api, form))
    return Response(text, media_type=form, headers=headers)


async def _linked(broker: Services, figures: Mapping[tuple[str, str], Quality], api: str, form: str) -> str:
    """The catalogue as linked data."""
    state = broker.control.state
    limits = limits_of(state)
    offered = [
        dcat.Offered(
            product,
            _schema(state.schemas[product.schema_id].text),
            [code for code in sorted(limits.purposes.by_code) if limits.offered(product.source, product.id, code)],
            state.lives.of(product.source, product.id),
            figures.get(name),
        )
        for name, product in sorted(state.products.items())
    ]
    graph = dcat.catalogue(offered, dict(state.organisations), base=broker.iri_base, api=api)
    text: str = await run_in_threadpool(graph.serialize, format=_WRITTEN_AS[form], auto_compact=True)
    return text


@routes.get("/asyncapi", responses={200: {"content": {asyncapi.MEDIA_TYPE: {}}}})
async def show_asyncapi(request: Request, broker: Broker) -> Response:
    """AsyncAPI 3.0 of the delivery topics that the caller may read; without a credential only the names of record types."""
    state, api = broker.control.state, _reached(request, broker)
    if _shows_nothing(request):
        await paced(request)
        types = {product.id: _schema(state.schemas[product.schema_id].text) for product in state.products.values()}
        document = asyncapi.of_types(types, api=api)
    else:
        caller = await caller_of(request, broker)
        document = asyncapi.of_topics(_readable(state, caller), state, api=api)
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return JSONResponse(document, headers=headers, media_type=asyncapi.MEDIA_TYPE)


@routes.get(
    "/{organisation}/{product}/example", response_class=JSONResponse, responses={200: {"content": {LINKED: {}}}}
)
async def show_example(
    organisation: str, product: str, request: Request, broker: Broker, _caller: Caller
) -> JSONResponse:
    """A complete record of a product about nobody, with a value in every field; as JSON, or as JSON-LD with its context."""
    schema = _known(broker.control.state, organisation, product)
    form = negotiated(request.headers.get("accept"), [_PLAIN, LINKED])
    record = example(schema)
    shown = record if form == _PLAIN else publication.document(schema, record)
    return JSONResponse(shown, media_type=form, headers={"Vary": "Accept"})


@routes.get("/{organisation}/{product}/context", responses={200: {"content": {LINKED: {}}}})
async def show_context(organisation: str, product: str, broker: Broker, _caller: Caller) -> Response:
    """The JSON-LD context of a product's records, as deliveries use its terms."""
    schema = _known(broker.control.state, organisation, product)
    return JSONResponse({"@context": publication.context(schema)}, media_type=LINKED)


@routes.get("/{organisation}/{product}/shape", responses={200: {"content": {TURTLE: {}}}})
async def show_shape(organisation: str, product: str, broker: Broker, _caller: Caller) -> Response:
    """The SHACL shape of a product's complete records."""
    return Response(shapes(_known(broker.control.state, organisation, product)), media_type=TURTLE)


async def quality_of(broker: Services) -> Mapping[tuple[str, str], Quality]:
    """Quality figures by source and product, of those that have them."""
    return {} if broker.quality is None else await broker.quality.all()


def offer(state: ControlState, product: Product, quality: Quality | None = None) -> dict[str, Any]:
    """One product: fields with class and meaning, its quality, and per purpose what each may be released as."""
    schema, limits = _schema(state.schemas[product.schema_id].text), limits_of(state)
    owner = state.organisations.get(product.source)
    return {
        "id": product.id,
        "source": product.source,
        "sourceName": owner.name if owner else product.source,
        "schemaId": product.schema_id,
        **life_shown(state.lives.of(product.source, product.id)),
        "doc": schema.root.attributes.get("doc", ""),
        "iri": schema.root.attributes.get("iri", ""),
        "principal": schema.principal,
        "fields": [
            {"path": leaf.path, "class": leaf.field_class.value, "iri": leaf.iri, "doc": leaf.doc}
            for leaf in schema.fields.values()
        ],
        "quality": None if quality is None else quality.as_json(),
        "purposes": [
            allowed for code in sorted(limits.purposes.by_code) if (allowed := _allowed(limits, product, code))
        ],
    }


def _readable(state: ControlState, caller: Principal) -> Iterator[AgreementEntry]:
    """Agreements, once active and not over, whose topic the caller may read: its own, or under a mandate in force now."""
    now = datetime.now(UTC)
    for agreement, entry in sorted(state.agreements.items()):
        if entry.activated_at is None or entry.state in _STOPPED:
            continue
        try:
            reads_for(state, caller, agreement, now)
        except NotFound:
            continue
        yield entry


def _shows_nothing(request: Request) -> bool:
    return "authorization" not in request.headers and shown_certificate(request, request.app.state.proxies) is None


def _reached(request: Request, broker: Services) -> str:
    return broker.public_url or str(request.base_url).rstrip("/")


def _known(state: ControlState, organisation: str, product: str) -> Schema:
    known = state.products.get((organisation, product))
    if known is None:
        raise NotFound("no such product")
    return _schema(state.schemas[known.schema_id].text)


def _allowed(limits: Limits, product: Product, purpose: str) -> dict[str, Any] | None:
    """What anyone may have for a purpose, None where that is nothing."""
    ceiling = limits.offered(product.source, product.id, purpose)
    if ceiling is None:
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
