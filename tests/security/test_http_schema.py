"""Requests made from the OpenAPI document, right ones and wrong ones, and examples with one thing changed: none makes us fail.

Every operation is asked by somebody who may, so that the request is looked at. Behind the doors are the real policies, life
cycle, credentials and clients over a control log in memory.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core import NotSet

from broker.api.app import create_app
from broker.api.limits import Pace
from broker.api.problems import LastResort
from broker.api.services import Services
from broker.control.agreements import Agreements
from broker.control.clients import Clients
from broker.control.enforcement import Enforcement
from broker.control.limits import Policies
from broker.control.local_issuer import LocalIssuer
from broker.control.replacements import Replaced
from broker.errors import Conflict
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType, decode_fact
from tests.unit.api import conftest, stand_ins
from tests.unit.api.conftest import NOW, Keys, World, opened
from tests.unit.api.expectations import ROWS, Row
from tests.unit.api.test_access import ISSUER, _authorisation, _callers
from tests.unit.api.test_pseudonyms import open_study
from tests.unit.control import room

NOTHING: Any = dict.fromkeys(each.name for each in fields(Services))
SCHEMA = schemathesis.openapi.from_dict(create_app(Services(**NOTHING)).openapi())
OPERATIONS = {found.label: found for found in (each.ok() for each in SCHEMA.get_all_operations())}
_FEW = 12
_ROWS = {row.operation: row for row in ROWS}
_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 10**40, "", "\0", "\ud800", "\ufeffx", "y" * 70_000, "../..", "9" * 400, "{}", [], {}, [[]],
    {"": {}}, "2026-02-30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-26T00:00:00",
)  # fmt: skip
"""In place of one value of an example."""


@schemathesis.serializer("application/pdf", "application/x-ndjson")
def _text(_context: Any, value: Any) -> bytes:
    """Nothing that a PDF could be made of, and lines of anything: text."""
    return str(value).encode("utf-8", "surrogatepass")


class Replacements:
    """Whatever is replaced, it was already."""

    async def replace(self, *_asked: object, **_more: object) -> Replaced:
        return Replaced("already", 0, 0)


class Receipts(conftest.Receipts):
    """Nothing at any place."""

    async def at(self, _lane: int, _offset: int) -> None:
        return None


@dataclass
class Fuzzed:
    """The application, and what nobody expected of it."""

    world: World
    base: ControlState
    runner: asyncio.Runner
    unexpected: list[Exception] = field(default_factory=list)

    def ask(self, method: str, url: str, **sent: Any) -> httpx.Response:
        """The answer over a fresh control log."""
        self.world.control.state = deepcopy(self.base)
        app = self.world.http._transport.app
        app.state.public_pace = Pace()
        app.state.open_answers.end()
        self.unexpected.clear()
        return self.runner.run(self.world.http.request(method, url, **sent))


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Fuzzed]:
    with asyncio.Runner() as runner:
        opening = opened(**stand_ins.usual())
        world = runner.run(opening.__aenter__())
        made = Fuzzed(world, world.control.state, runner)
        _furnish(world, made.unexpected.append)
        yield made
        runner.run(opening.__aexit__(None, None, None))


def _furnish(world: World, report: Callable[[Exception], None]) -> None:
    control: Any = world.control
    _callers(control.state)
    open_study(world)
    world.deliver("Peeters")

    async def append(kind: FactType, aggregate: str, data: Mapping[str, Any], *, by: str) -> int:
        """As the log: through its bytes, and a conflict where the fold refuses."""
        fact = Fact(f"f{control.state.epoch}", kind, aggregate, control.state.version(aggregate), NOW, by, data)
        if not control.state.apply(control.state.epoch + 1, decode_fact(fact.encode())):
            raise Conflict(aggregate)
        return int(control.state.epoch)

    control.append = append
    did: list[Any] = []
    app, issuer = world.http._transport.app, LocalIssuer(control, Keys())
    issuer.reached_at("http://broker.test")
    app.state.services = replace(
        app.state.services,
        agreements=Agreements(control, Enforcement(room.Kafka(did), room.Keys(did), room.Barriers(did))),
        policies=Policies(control),
        replacements=Replacements(),
        receipts=Receipts(),
        credentials=stand_ins.credentials(control),
        history=stand_ins.History(control.state),
        issuer=issuer,
        clients=Clients(control, frozenset({ISSUER})),
    )
    for middleware in app.user_middleware:
        if middleware.cls is LastResort:
            middleware.kwargs["report"] = report


def requests(operation: Any) -> st.SearchStrategy[dict[str, Any]]:
    """What is sent by the schema and against it, to what there is and to what there is not."""
    row = _ROWS.get(operation.label)
    named = {} if row is None or "{" not in row.template else {"path_parameters": _path_parameters(row)}
    strategies = [operation.as_strategy(mode, **named) for mode in GenerationMode]
    if named:
        strategies.append(operation.as_strategy(GenerationMode.NEGATIVE))
    return st.one_of([strategy.map(_sent) for strategy in strategies])


def _path_parameters(row: Row) -> dict[str, Any]:
    filled, template = row.path().partition("?")[0].split("/"), row.template.split("/")
    return {name[1:-1]: value for name, value in zip(template, filled, strict=True) if name.startswith("{")}


def _changed(example: Any) -> Iterator[Any]:
    """The example with one value, anywhere in it, left out or replaced."""
    for *above, last in _places(example):
        for value in (_GONE, *_ODD):
            changed = inside = deepcopy(example)
            for step in above:
                inside = inside[step]
            if value is _GONE:
                del inside[last]
            else:
                inside[last] = value
            yield changed


_GONE = object()


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, held in inside:
        yield (*above, name)
        yield from _places(held, (*above, name))


def _odd_everywhere(fuzzed: Fuzzed, row: Row, one_in: int) -> None:
    headers = {"Content-Type": row.form, **_authorisation(min(row.passes))}
    failed = []
    for body in islice(_changed(row.body), 0, None, one_in):
        answer = fuzzed.ask(row.method, row.path(), content=_json(body), headers=headers)
        if answer.status_code >= 500:
            failed.append((answer.status_code, fuzzed.unexpected[:], _json(body)[:300]))
    assert not failed, failed[0]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _sent(case: Any) -> dict[str, Any]:
    stated = case.as_transport_kwargs(base_url="http://broker.test")
    headers = {str(name): str(value) for name, value in (stated.get("headers") or {}).items()}
    headers = {name: value for name, value in headers.items() if name.lower() != "authorization" and _is_header(value)}
    sent = {"method": stated["method"], "url": stated["url"], "params": stated.get("params"), "headers": headers}
    if "json" in stated and not isinstance(stated["json"], NotSet):
        return sent | {"content": _json(stated["json"]), "headers": {"Content-Type": "application/json"} | headers}
    body = stated.get("data")
    if isinstance(body, bytes | str):
        return sent | {"content": body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")}
    return sent | ({"data": body} if isinstance(body, dict) else {})


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _holds(fuzzed: Fuzzed, label: str, examples: int) -> None:
    row = _ROWS.get(label)
    callers = sorted(row.passes) if row is not None else ["agency"]

    @settings(
        max_examples=examples, phases=(Phase.generate, Phase.shrink), database=None, print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(sent=requests(OPERATIONS[label]), who=st.sampled_from(callers))
    def asked(sent: dict[str, Any], who: str) -> None:
        headers = {**sent.pop("headers", {}), **_authorisation(who)}
        try:
            answer = fuzzed.ask(**sent, headers=headers)
        except (httpx.InvalidURL, UnicodeEncodeError):
            return  # no client can send that
        assert answer.status_code < 500, (answer.status_code, who, fuzzed.unexpected)

    asked()


EXAMPLES = [row for row in ROWS if isinstance(row.body, dict)]


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_makes_the_broker_fail(fuzzed: Fuzzed, label: str) -> None:
    _holds(fuzzed, label, 8)


@pytest.mark.parametrize("row", EXAMPLES, ids=[row.operation for row in EXAMPLES])
def test_no_odd_value_in_an_example_makes_the_broker_fail(fuzzed: Fuzzed, row: Row) -> None:
    _odd_everywhere(fuzzed, row, one_in=1 if len(list(_places(row.body))) < _FEW else 29)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_among_many_makes_the_broker_fail(fuzzed: Fuzzed, label: str) -> None:
    _holds(fuzzed, label, 300)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("row", EXAMPLES, ids=[row.operation for row in EXAMPLES])
def test_no_odd_value_at_all_makes_the_broker_fail(fuzzed: Fuzzed, row: Row) -> None:
    _odd_everywhere(fuzzed, row, one_in=1)
