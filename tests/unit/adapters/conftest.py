"""Drains adapters, serves feeds from memory, and encodes values as the product's schema says."""

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest

from adapters.sdk import Adapter, Change, Item
from broker.schema.avro import load_schema

ROOT = Path(__file__).parents[3]
PRODUCTS = tuple(sorted(file.stem for file in (ROOT / "schemas").glob("*.avsc") if file.stem != "receipt.v1"))
Drain = Callable[..., Awaitable[list[tuple[Item, str]]]]


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    return {product: (ROOT / "schemas" / f"{product}.avsc").read_text() for product in PRODUCTS}


@pytest.fixture(scope="session")
def roundtrip(texts: dict[str, str]) -> Callable[[Change], dict[str, Any]]:
    """The value after being encoded and decoded; fails where a field is missing without default, or unknown."""
    schemas = {product: fastavro.parse_schema(json.loads(load_schema(text).text)) for product, text in texts.items()}

    def through(change: Change) -> dict[str, Any]:
        assert change.value is not None
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, schemas[change.product], dict(change.value), strict_allow_default=True)
        buffer.seek(0)
        decoded: dict[str, Any] = fastavro.schemaless_reader(buffer, schemas[change.product], None)
        return decoded

    return through


@pytest.fixture(scope="session")
def drain() -> Drain:
    async def drained(adapter: Adapter, cursor: str | None = None) -> list[tuple[Item, str]]:
        found: AsyncIterator[tuple[Item, str]] = adapter.changes(cursor)
        return [pair async for pair in found]

    return drained


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, httpx.Response], list[str]]:
    """Answers by address, and the addresses that were asked."""
    answers: dict[str, httpx.Response] = {}
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if str(request.url) not in answers:
            raise httpx.ConnectError("no such page", request=request)
        return answers[str(request.url)]

    monkeypatch.setattr(httpx, "AsyncClient", partial(httpx.AsyncClient, transport=httpx.MockTransport(handle)))
    return answers, asked


def values(items: list[tuple[Item, str]]) -> list[Mapping[str, Any]]:
    """Values of the changes among the items."""
    return [item.value for item, _ in items if isinstance(item, Change) and item.value is not None]
