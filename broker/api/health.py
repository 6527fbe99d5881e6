"""Probes for a supervisor: alive, and ready to decide."""

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from broker.api.services import Broker

routes = APIRouter(tags=["health"])


@routes.get("/livez")
async def alive() -> dict[str, str]:
    """200 while the process answers at all."""
    return {"status": "alive"}


@routes.get("/readyz")
async def ready(broker: Broker) -> JSONResponse:
    """200 while this process keeps up with the control log, 503 otherwise."""
    if broker.control.fresh():
        return JSONResponse({"status": "ready", "epoch": broker.control.state.epoch})
    return JSONResponse({"status": "stale"}, HTTPStatus.SERVICE_UNAVAILABLE)
