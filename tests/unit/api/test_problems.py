"""A refusal says what to do, in one form, and repeats nothing of what was sent."""

import inspect
from collections.abc import AsyncIterator

import httpx
import pytest

from broker import errors
from broker.api.app import create_app
from broker.api.problems import problem, status_of
from tests.unit.api.conftest import World, bearer

CANARY = "84021512345"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Invalid("x"), 400),
        (errors.TooLarge("x"), 413),
        (errors.SchemaRefused("CLASS", "insz", "x"), 422),
        (errors.AgreementRefused((("ABOVE_CEILING", "insz", "x"),)), 422),
        (errors.KeyReused("x"), 422),
        (errors.Unauthenticated("x"), 401),
        (errors.Forbidden("x"), 403),
        (errors.NotFound("x"), 404),
        (errors.Conflict("x"), 409),
        (errors.PositionExpired("x"), 410),
        (errors.KafkaUnavailable("x"), 503),
        (errors.NotYetKnown("x"), 503),
        (errors.Stale("x"), 503),
        (errors.PositionLost("x"), 500),
    ],
)
def test_each_error_has_one_status(error: errors.BrokerError, status: int) -> None:
    assert status_of(error) == status
    assert problem(error)["code"] == error.code


def test_every_error_of_the_tree_has_a_status() -> None:
    tree = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.BrokerError)]
    assert len(tree) > 20
    for kind in tree:
        assert 400 <= status_of(kind.__new__(kind)) < 600


def test_a_problem_is_what_rfc_9457_says() -> None:
    assert problem(errors.PositionExpired("start again")) == {
        "type": "urn:problem-type:datanuts:positionExpired",
        "title": "Position expired",
        "status": 410,
        "code": "POSITION_EXPIRED",
        "detail": "start again",
    }


def test_a_failure_of_ours_keeps_its_text_for_the_operator() -> None:
    assert "detail" not in problem(errors.PositionLost(CANARY, operator=CANARY))


def test_a_refused_agreement_lists_every_finding() -> None:
    body = problem(errors.AgreementRefused((("ABOVE_CEILING", "insz", "drop it"), ("EMPTY_TERM", "term", "x"))))
    assert body["findings"][0] == {"code": "ABOVE_CEILING", "path": "insz", "text": "drop it"}
    assert len(body["findings"]) == 2


@pytest.mark.parametrize(
    "body",
    [
        f'{{"subject": "{CANARY}", "reference": "{CANARY}\\u0000"}}',
        f'{{"subject": {CANARY}, "reference": "P-1"}}',
        f'{{"subject": "{CANARY}", "reference": "P-1", "{CANARY}": 1}}',
        f'{{"subject": "{CANARY}", "reference": "P-1", "begin": "{CANARY}"}}',
        f'{{"subject": "{CANARY}", "reference": ',
        f'"{CANARY}"',
        f'["{CANARY}"]',
        f'{{"subject": "{CANARY * 40}", "reference": "P-1"}}',
        "",
        "\xff\xfe",
    ],
)
async def test_a_malformed_request_is_refused_without_repeating_it(world: World, body: str) -> None:
    headers = bearer("agency") | {"Content-Type": "application/json"}
    answer = await world.http.post("/v1/agreements/parkeren/dossiers", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["code"] == "INVALID"
    assert CANARY not in answer.text
    assert world.dossiers.calls == []


async def test_a_large_body_is_refused_by_its_stated_length_and_by_what_comes_in(world: World) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b" " * 1000

    for sent in ({"content": b" " * 300_000}, {"content": pieces()}):
        answer = await world.http.post("/v1/agreements", headers=bearer("agency"), **sent)
        assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")


async def test_an_unknown_route_or_method_is_a_problem_too(world: World) -> None:
    lost = await world.http.get("/v2/agreements", headers=bearer("agency"))
    assert (lost.status_code, lost.json()["code"]) == (404, "NOT_FOUND")
    wrong = await world.http.delete("/v1/agreements", headers=bearer("agency"))
    assert (wrong.status_code, wrong.json()["code"]) == (405, "METHOD_NOT_ALLOWED")


async def test_an_unexpected_exception_is_reported_and_shows_nothing(world: World) -> None:
    reported = []
    services = world.http._transport.app.state.services
    app = create_app(services, report=reported.append)

    async def broken(*_a: object, **_k: object) -> None:
        raise KeyError(CANARY)

    services.deliveries.read = broken
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://broker.test") as http:
        answer = await http.get("/v1/deliveries/parkeren", headers=bearer("agency"))
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert CANARY not in answer.text
    assert [type(error) for error in reported] == [KeyError]


async def test_trouble_with_kafka_asks_to_try_again(world: World) -> None:
    async def down(*_a: object, **_k: object) -> None:
        raise errors.KafkaUnavailable("deliveries cannot be read now")

    world.deliveries.read = down
    answer = await world.http.get("/v1/deliveries/parkeren", headers=bearer("agency"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_probes_need_no_credential_and_tell_a_stale_process(world: World) -> None:
    assert (await world.http.get("/livez")).status_code == 200
    assert (await world.http.get("/readyz")).status_code == 200
    world.control.is_fresh = False
    assert (await world.http.get("/readyz")).status_code == 503
    assert (await world.http.get("/livez")).status_code == 200
