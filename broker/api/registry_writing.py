"""The registry's other side, as Confluent's clients ask it: look a schema up, register one, ask what a change would break.

Only schemas of products are registered, each under `source.<organisation>.<product>-value` and by that organisation: a
product's schema is its contract, so it never changes in place. Refusals have Confluent's form and codes: 42201 for a text
that breaks a rule of the lint, 409 for one that is no successor, 40301 for who may not.
"""

import re
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import SOURCE_OWNER, Caller, Principal
from broker.api.registry import (
    NO_SCHEMA,
    NO_SUBJECT,
    NO_VERSION,
    answer,
    numbered,
    refused,
    versions_of,
)
from broker.api.services import Broker
from broker.control.products import changed_in_place
from broker.errors import Conflict, Invalid, NotFound, SchemaRefused
from broker.schema import compatibility
from broker.schema.avro import Schema, load_schema

routes = APIRouter(tags=["registry"])

_INVALID_SCHEMA, _DENIED, _INCOMPATIBLE = 42201, 40301, 409
_SUBJECT = re.compile(r"source\.([a-z0-9-]{1,80})\.([a-z0-9]{1,72}\.v[0-9]{1,4})-value", re.ASCII)

_Subject = Annotated[str, Path(max_length=250)]


class SchemaForm(BaseModel):
    """A schema as Confluent's clients send it; what else they send says nothing here."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    text: str = Field(alias="schema", description="JSON text of the Avro schema")
    kind: Literal["AVRO"] | None = Field(default=None, alias="schemaType")
    references: list[object] | None = Field(default=None, max_length=0, description="A text stands by itself.")


@routes.post("/subjects/{subject}")
async def look_up(subject: _Subject, form: SchemaForm, broker: Broker, caller: Caller) -> JSONResponse:
    """Id and version under which a subject has this schema; the order of its keys and its white space do not count."""
    state = broker.control.state
    found = versions_of(state, caller, subject)
    if not found:
        return refused(NO_SUBJECT, "Subject not found.")
    for version, identifier in sorted(found.items(), reverse=True):
        text = state.schemas[identifier].text
        if _same(text, form.text):
            return answer({"subject": subject, "version": version, "id": identifier, "schema": text})
    return refused(NO_SCHEMA, "Schema not found")


@routes.post("/subjects/{subject}/versions")
async def register(subject: _Subject, form: SchemaForm, broker: Broker, caller: Caller) -> JSONResponse:
    """Declare a product of the caller's; of one that is declared with an equal schema, its id again.

    409 for another schema of a declared product, with what to do, and for a next version that the one before it does not
    allow, with every reason.
    """
    named = _SUBJECT.fullmatch(subject)
    if named is None or not _owns(caller, named[1]):
        return refused(_DENIED, "only a source registers schemas, of its own products", HTTPStatus.FORBIDDEN)
    organisation, product = named.groups()
    try:
        schema = load_schema(form.text)
        if schema.product != product:
            return _conflict(_another_product(organisation, product, schema.product))
        known = await broker.products.declare(organisation, schema.text, by=caller.organisation)
    except NotFound as error:
        return refused(NO_SUBJECT, str(error))
    except Conflict as error:
        return _conflict(str(error))
    except Invalid as error:
        return refused(_INVALID_SCHEMA, str(error), HTTPStatus.UNPROCESSABLE_ENTITY)
    return answer({"id": known.schema_id})


@routes.post("/compatibility/subjects/{subject}/versions/{version}")
async def check_compatibility(
    subject: _Subject,
    version: str,
    form: SchemaForm,
    broker: Broker,
    caller: Caller,
    *,
    verbose: Annotated[bool, Query(description="With every change, those that are allowed included.")] = False,
) -> JSONResponse:
    """Whether a text could be the next version of a product, by the rules of docs/registry.md."""
    state = broker.control.state
    found = versions_of(state, caller, subject)
    if not found:
        return refused(NO_SUBJECT, "Subject not found.")
    number = numbered(found, version)
    if number not in found:
        return refused(NO_VERSION, "Version not found.")
    named = _SUBJECT.fullmatch(subject)
    if named is None:
        message = "the schema of a stream follows from its agreement: amend that"
        return refused(_INVALID_SCHEMA, message, HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        new = load_schema(form.text)
    except SchemaRefused as error:
        return refused(_INVALID_SCHEMA, str(error), HTTPStatus.UNPROCESSABLE_ENTITY)
    old = load_schema(state.schemas[found[number]].text)
    changes = compatibility.changes(old, new)
    body: dict[str, object] = {"is_compatible": not compatibility.refused(changes)}
    if verbose:
        body["messages"] = [*map(str, changes), *_where(named[1], old, new)]
    return answer(body)


def _where(organisation: str, old: Schema, new: Schema) -> list[str]:
    """That even an allowed change goes into another version."""
    in_place = new.product == old.product and not compatibility.same_schema(old.text, new.text)
    return [changed_in_place(organisation, old.product)] if in_place else []


def _another_product(organisation: str, product: str, stated: str) -> str:
    """What to tell who registers a text under another product than it states."""
    if compatibility.version_of(stated)[0] == compatibility.version_of(product)[0]:
        return (
            f"the schema of {product} never changes, and this is {stated}: register it under "
            f"source.{organisation}.{stated}-value, or with `datanuts product declare FILE.avsc --as {organisation}`"
        )
    return f"the text states `product` {stated}: register it under source.{organisation}.{stated}-value"


def _owns(caller: Principal, organisation: str) -> bool:
    return caller.is_operator or (SOURCE_OWNER in caller.roles and caller.organisation == organisation)


def _same(held: str, given: str) -> bool:
    try:
        return compatibility.same_schema(held, given)
    except (ValueError, RecursionError):
        return False


def _conflict(message: str) -> JSONResponse:
    return refused(_INCOMPATIBLE, message, HTTPStatus.CONFLICT)
