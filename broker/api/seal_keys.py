"""Public keys with which a product's source seals its records: whoever holds records and seals checks them with these."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from broker.api.auth import Caller
from broker.api.services import Broker
from broker.errors import NotFound
from broker.model.seal_keys import SealKey

routes = APIRouter(prefix="/v1/products", tags=["products"])

_Name = Annotated[str, Path(max_length=80)]


@routes.get("/{organisation}/{product}/seal-keys")
async def list_seal_keys(organisation: _Name, product: _Name, broker: Broker, _caller: Caller) -> dict[str, Any]:
    """Every key that sealed this product's records, the first one first; the last one seals now.

    `key` is what a seal names, `publicKey` the 32 bytes of Ed25519 in hexadecimal. No seal of `distrusted` or later is to be
    believed: others may have had the key then.
    """
    await broker.control.read_to_head()
    state = broker.control.state
    if (organisation, product) not in state.products:
        raise NotFound("no such product")
    return {"items": [_shown(key) for key in state.seal_keys.of(organisation)], "next": None}


def _shown(key: SealKey) -> dict[str, Any]:
    """Not why it is distrusted: that is for the source and the operator."""
    return {
        "key": key.id,
        "publicKey": key.public.hex(),
        "since": key.since.isoformat(),
        "distrusted": key.distrusted and key.distrusted.isoformat(),
    }
