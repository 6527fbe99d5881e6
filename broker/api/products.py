"""The catalogue: products with every field's path, class, IRI and documentation, and what a new version adds."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Query

from broker.api.auth import SOURCE_OWNER, Caller, Principal
from broker.api.product_lives import life_shown
from broker.api.services import Broker
from broker.errors import NotFound
from broker.model.agreement import Agreement
from broker.model.control_state import ControlState
from broker.model.lifecycle import IN_FORCE
from broker.model.registered import Product
from broker.policy import documents, questions
from broker.policy.growth import growth
from broker.policy.limits import limits_of
from broker.schema.avro import Field, Schema, load_schema

routes = APIRouter(prefix="/v1/products", tags=["products"])


@lru_cache(maxsize=256)
def _schema(text: str) -> Schema:
    return load_schema(text)


@routes.get("")
async def list_products(broker: Broker, _caller: Caller) -> dict[str, Any]:
    """All products by source and id."""
    state = broker.control.state
    return {"items": [_shown(state, state.products[name]) for name in sorted(state.products)], "next": None}


@routes.get("/{organisation}/{product}")
async def show_product(organisation: str, product: str, broker: Broker, caller: Caller) -> dict[str, Any]:
    """One product of a source with its fields; `agreementsLeft` are those in force on it, for its owner and the operator only."""
    state = broker.control.state
    known, schema = _known(state, organisation, product)
    attributes = schema.root.attributes
    return _shown(state, known) | {
        "agreementsLeft": len(state.left_on(organisation, product)) if _sees_all(caller, organisation) else None,
        "doc": attributes.get("doc", ""),
        "iri": attributes.get("iri", ""),
        "principal": schema.principal,
        "fields": [_field(leaf) for leaf in schema.fields.values()],
    }


@routes.get("/{organisation}/{product}/growth")
async def show_growth(
    organisation: str,
    product: str,
    broker: Broker,
    caller: Caller,
    since: Annotated[str, Query(max_length=80, description="The earlier version, such as `persoon.v1`.")],
) -> dict[str, Any]:
    """The fields that this version adds: nobody receives them; which agreements could ask for each.

    The source's owner and the operator see all agreements in force on the earlier version, an agency its own.
    """
    state = broker.control.state
    (_, old), (_, new) = (_known(state, organisation, name) for name in (since, product))
    seen = _in_force(state, caller, organisation)
    fields = growth(old, new, source=organisation, agreements=seen, limits=limits_of(state))
    return {"id": product, "source": organisation, "since": since, "fields": questions.grown(fields)}


def _in_force(state: ControlState, caller: Principal, source: str) -> Iterator[Agreement]:
    """Agreements in force that the caller may see."""
    everything = _sees_all(caller, source)
    for entry in state.agreements.values():
        if entry.state in IN_FORCE and (everything or entry.document["agency"] == caller.organisation):
            yield documents.agreement(entry.document)


def _sees_all(caller: Principal, source: str) -> bool:
    return caller.is_operator or (SOURCE_OWNER in caller.roles and caller.organisation == source)


def _known(state: ControlState, organisation: str, product: str) -> tuple[Product, Schema]:
    known = state.products.get((organisation, product))
    if known is None:
        raise NotFound("no such product")
    return known, _schema(state.schemas[known.schema_id].text)


def _shown(state: ControlState, product: Product) -> dict[str, Any]:
    life = state.lives.of(product.source, product.id)
    return {"id": product.id, "source": product.source, "schemaId": product.schema_id, **life_shown(life)}


def _field(leaf: Field) -> dict[str, Any]:
    return {
        "path": leaf.path,
        "type": leaf.type,
        "class": leaf.field_class.value,
        "reveals": leaf.reveals,
        "subject": leaf.subject,
        "repeated": leaf.repeated,
        "optional": leaf.optional,
        "iri": leaf.iri,
        "doc": leaf.doc,
    }
