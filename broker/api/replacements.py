"""Replaced identities: the owner of a register says that a subject goes on under another identifier; both in the body."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path

from broker.api.auth import SOURCE_OWNER, Caller
from broker.api.dossier_forms import Form, Subject
from broker.api.services import Broker
from broker.errors import Forbidden

routes = APIRouter(prefix="/v1/products/{source}/{product}/replacements", tags=["products"])


class ReplacementForm(Form):
    """The identifier of before, and the one that is valid from now on."""

    old: Subject
    new: Subject


@routes.post("", status_code=201)
async def replace_identity(
    source: Annotated[str, Path(max_length=80)],
    product: Annotated[str, Path(max_length=80)],
    form: Annotated[ReplacementForm, Body()],
    broker: Broker,
    caller: Caller,
) -> dict[str, Any]:
    """Have files, consents and pseudonyms follow; agencies get a departure (`REPLACED`) and then the new identity's state."""
    if caller.organisation != source or SOURCE_OWNER not in caller.roles:
        raise Forbidden("only the owner of the register replaces an identity in it")
    done = await broker.replacements.replace(source, product, old=form.old, new=form.new)
    return {"product": f"{source}/{product}", "status": done.status, "files": done.files, "consents": done.consents}
