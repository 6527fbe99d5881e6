"""A source declares its products, and sees first what a new version changes; the registry's clients do the same their way."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import SOURCE_OWNER, Caller, Principal
from broker.api.services import Broker
from broker.control.products import predecessor
from broker.errors import Forbidden, Invalid
from broker.schema import compatibility
from broker.schema.avro import Schema, load_schema

routes = APIRouter(prefix="/v1/products", tags=["products"])

_Name = Annotated[str, Path(max_length=80)]


class DeclarationForm(BaseModel):
    """The schema of a product."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    planned: bool = Field(
        default=False, description="Agreements on it are negotiated, and published once it is launched."
    )
    text: str = Field(alias="schema", description="JSON text of the Avro schema; its `product` is the one in the path.")


@routes.put("/{organisation}/{product}")
async def declare_product(
    organisation: _Name, product: _Name, form: DeclarationForm, broker: Broker, caller: Caller
) -> dict[str, Any]:
    """Declare a product of the caller's; the same declaration again changes nothing.

    409 where it has another schema, or is no compatible successor of the version before it, with every reason.
    """
    schema = _stated(organisation, product, form, caller)
    known = await broker.products.declare(organisation, schema.text, by=caller.organisation, planned=form.planned)
    return {"id": product, "source": organisation, "schemaId": known.schema_id}


@routes.post("/{organisation}/{product}/changes")
async def show_changes(
    organisation: _Name, product: _Name, form: DeclarationForm, broker: Broker, caller: Caller
) -> dict[str, Any]:
    """What this text would change since the version before it; `since` is null for the first."""
    schema = _stated(organisation, product, form, caller)
    state = broker.control.state
    known = state.products.get((organisation, product))
    before = load_schema(state.schemas[known.schema_id].text) if known else predecessor(state, organisation, product)
    found = () if before is None else compatibility.changes(before, schema)
    lines = [
        {"path": each.path, "rule": each.rule.value, "reason": each.reason, "compatible": each.compatible}
        for each in found
    ]
    return {
        "id": product,
        "source": organisation,
        "declared": known is not None,
        "since": None if before is None else before.product,
        "compatible": not compatibility.refused(found),
        "changes": lines,
    }


def _stated(organisation: str, product: str, form: DeclarationForm, caller: Principal) -> Schema:
    """The schema of who may declare it; raises `Forbidden` and `Invalid`."""
    if not (caller.is_operator or (SOURCE_OWNER in caller.roles and caller.organisation == organisation)):
        raise Forbidden("this is for the owner of the source, or the operator")
    schema = load_schema(form.text)
    if schema.product != product:
        raise Invalid(f"the text states `product` {schema.product}: declare it under that name")
    return schema
