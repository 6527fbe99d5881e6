"""An agency sets, sees, tries and removes its webhook over HTTP; its secret is shown once, and nobody else learns of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from broker.delivery.egress_guard import AllowList, EgressGuard
from broker.delivery.pull import Slice
from broker.delivery.push_circuit import Failure, Health, Patience, failed
from broker.delivery.push_note import Note
from broker.delivery.webhook_calls import Outcome
from broker.delivery.webhook_event import Call
from broker.delivery.webhook_signature import shown
from broker.delivery.webhook_subscriptions import Webhooks
from broker.model.facts import FactType
from tests.unit.api.conftest import Keys, World, bearer

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
PATH = "/v1/agreements/parkeren/webhook"
TOPIC, GROUP = "delivery.gent-parkeren.parkeren", "webhook.parkeren"
URL = "https://hook.gent.be/in"


@dataclass
class Positions:
    held: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    async def load(self, group: str, topic: str) -> tuple[int, str] | None:
        return self.held.get((group, topic))

    async def save(self, group: str, topic: str, offset: int, note: str) -> None:
        self.held[group, topic] = (offset, note)


class Topic:
    """Its log begins at 40 and ends at 52."""

    async def read(self, topic: str, position: int | None, *, limit: int, wait_s: float = 0.0) -> Slice:
        assert (topic, position, limit, wait_s) == (TOPIC, None, 1, 0.0)
        return Slice((), 40)

    async def head(self, topic: str) -> int:
        assert topic == TOPIC
        return 52

    async def beyond(self, topic: str, position: int, *, wait_s: float) -> bool:
        raise AssertionError((topic, position, wait_s))


@dataclass
class Receiver:
    outcome: Outcome = field(default_factory=lambda: Outcome(None, 204))
    called: list[tuple[str, str, Sequence[bytes]]] = field(default_factory=list)

    async def call(
        self, url: str, call: Call, keys: Sequence[bytes], may_begin: Callable[[], Awaitable[None]]
    ) -> Outcome:
        await may_begin()
        self.called.append((url, call.id, keys))
        return self.outcome


@dataclass
class Desk:
    world: World
    positions: Positions
    receiver: Receiver

    async def ask(self, method: str, path: str = "", body: Any = None, who: str = "agency", code: int = 200) -> Any:
        sent = {} if body is None else {"json": body}
        answer = await self.world.http.request(method, PATH + path, headers=bearer(who), **sent)
        assert answer.status_code == code, answer.text
        if "secret" in answer.json():
            assert answer.headers["cache-control"] == "no-store"
        return answer.json()

    async def suspend(self, reason: str) -> None:
        data = {"agreement": "parkeren", "reason": reason}
        await self.world.control.append(FactType.WEBHOOK_SUSPENDED, "webhook/parkeren", data, by="operator")


def webhooks_of(world: World) -> Desk:
    positions, receiver, numbers = Positions(), Receiver(), count(1)

    async def resolve(host: str) -> Sequence[str]:
        if host == "nergens.gent.be":
            raise OSError
        return ["10.0.0.7"] if host == "intern.gent.be" else ["93.184.216.34"]

    @asynccontextmanager
    async def opened() -> AsyncIterator[Receiver]:
        yield receiver

    made = Webhooks(
        world.control,
        Keys(),
        EgressGuard(AllowList(), resolve),
        positions,
        Topic(),
        open_receiver=opened,
        now=lambda: NOW,
        new_id=lambda: str(next(numbers)),
    )
    app = world.http._transport.app
    app.state.services = replace(app.state.services, webhooks=made)
    return Desk(world, positions, receiver)


@pytest.fixture
def desk(world: World) -> Desk:
    return webhooks_of(world)


async def test_the_secret_is_shown_once_and_a_change_of_address_keeps_it(desk: Desk) -> None:
    made = await desk.ask("PUT", body={"url": URL}, code=201)
    assert made["secret"] == shown(Keys().get("webhook/parkeren/1"))
    assert (made["state"], made["url"]) == ("active", URL)
    again = await desk.ask("PUT", body={"url": "https://hook2.gent.be:443"})
    assert again["url"] == "https://hook2.gent.be/"
    seen = await desk.ask("GET")
    assert "secret" not in again | seen
    assert shown(Keys().get("webhook/parkeren/1")) not in str(seen)
    assert [event["type"] for event in seen["events"]] == ["webhook.set", "webhook.set"]


@pytest.mark.parametrize(("start", "position", "lag"), [("oldest", 40, 12), ("now", 52, 0)])
async def test_a_new_one_begins_where_it_is_asked_to(desk: Desk, start: str, position: int, lag: int) -> None:
    await desk.ask("PUT", body={"url": URL, "start": start}, code=201)
    seen = await desk.ask("GET")
    assert (seen["position"], seen["lag"], seen["failures"], seen["lastSuccess"]) == (position, lag, 0, None)


@pytest.mark.parametrize(
    "url", ["http://hook.gent.be/", "https://10.0.0.1/", "https://intern.gent.be/", "https://nergens.gent.be/", "x"]
)
async def test_an_address_inside_or_nowhere_is_refused(desk: Desk, url: str) -> None:
    refused = await desk.ask("PUT", body={"url": url}, code=400)
    assert refused["code"] == "ADDRESS_REFUSED"
    assert "10.0.0.7" not in refused["detail"]
    assert desk.positions.held == {}
    await desk.ask("GET", code=404)


async def test_a_rotation_signs_with_both_secrets_until_the_overlap_is_over(desk: Desk) -> None:
    await desk.ask("PUT", body={"url": URL}, code=201)
    rotated = await desk.ask("POST", "/rotate", {"overlapHours": 2})
    assert rotated["secret"] == shown(Keys().get("webhook/parkeren/2"))
    assert rotated["secretOverlapUntil"] == (NOW + timedelta(hours=2)).isoformat()
    live = desk.world.control.state.webhooks.live["parkeren"]
    assert live.secrets_at(NOW + timedelta(hours=1)) == (2, 1)
    assert live.secrets_at(NOW + timedelta(hours=2)) == (2,)
    await desk.ask("POST", "/rotate", {"overlapHours": 0})
    assert desk.world.control.state.webhooks.live["parkeren"].secrets_at(NOW) == (3,)
    await desk.ask("POST", "/rotate", {"overlapHours": 169}, code=400)


async def test_a_test_event_is_signed_and_says_only_how_it_went(desk: Desk) -> None:
    await desk.ask("PUT", body={"url": URL}, code=201)
    assert await desk.ask("POST", "/test") == {"delivered": True, "status": 204, "failure": None}
    assert desk.receiver.called == [(URL, "test-1", [Keys().get("webhook/parkeren/1")])]
    desk.receiver.outcome = Outcome(Failure.TLS)
    assert await desk.ask("POST", "/test") == {"delivered": False, "status": None, "failure": "TLS_FAILED"}


async def test_the_standing_tells_what_the_worker_noted(desk: Desk) -> None:
    await desk.ask("PUT", body={"url": URL}, code=201)
    live = desk.world.control.state.webhooks.live["parkeren"]
    health, _ = failed(Health(), Failure.TIMEOUT, NOW, Patience(), random=1.0)
    desk.positions.held[GROUP, TOPIC] = (45, Note(live.series, live.epoch, health=health).text())
    seen = await desk.ask("GET")
    assert (seen["position"], seen["lag"], seen["failure"], seen["failures"]) == (45, 7, "TIMED_OUT", 1)
    assert (seen["lastFailure"], seen["nextAttempt"]) == (NOW.isoformat(), (NOW + timedelta(seconds=1)).isoformat())
    desk.positions.held[GROUP, TOPIC] = (45, Note(live.series + 1, 0).text())
    assert (await desk.ask("GET"))["position"] is None, "the position of another registration is none"
    desk.positions.held[GROUP, TOPIC] = (45, "")
    assert (await desk.ask("GET"))["position"] == 45, "an operator's tool moved it"


async def test_resuming_keeps_the_position_and_a_lost_one_is_for_the_agency_to_accept(desk: Desk) -> None:
    await desk.ask("PUT", body={"url": URL}, code=201)
    await desk.ask("POST", "/resume", code=409)
    await desk.suspend("FAILING")
    seen = await desk.ask("GET")
    assert (seen["state"], seen["reason"], seen["events"][-1]["reason"]) == ("suspended", "FAILING", "FAILING")
    before = dict(desk.positions.held)
    assert (await desk.ask("POST", "/resume"))["state"] == "active"
    assert desk.positions.held == before
    desk.positions.held[GROUP, TOPIC] = (3, Note(1, 0).text())
    await desk.suspend("POSITION_EXPIRED")
    assert "acceptLoss" in (await desk.ask("POST", "/resume", code=409))["detail"]
    assert (await desk.ask("POST", "/resume", {"acceptLoss": True}))["state"] == "active"
    assert (await desk.ask("GET"))["position"] == 40


async def test_after_a_removal_another_registration_has_another_secret(desk: Desk) -> None:
    first = await desk.ask("PUT", body={"url": URL}, code=201)
    await desk.ask("DELETE")
    await desk.ask("GET", code=404)
    await desk.ask("DELETE", code=404)
    second = await desk.ask("PUT", body={"url": URL}, code=201)
    assert second["secret"] != first["secret"]


async def test_an_agreement_that_is_over_or_was_never_active_gets_no_webhook(desk: Desk) -> None:
    desk.world.move("parkeren", FactType.AGREEMENT_REVOKED)
    await desk.ask("PUT", body={"url": URL}, code=409)
    answer = await desk.world.http.put("/v1/agreements/wachtend/webhook", json={"url": URL}, headers=bearer("agency"))
    assert answer.status_code == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PUT", "", {"url": URL}), ("GET", "", None), ("DELETE", "", None), ("POST", "/resume", {}),
     ("POST", "/rotate", {}), ("POST", "/test", None)],
)  # fmt: skip
async def test_only_the_agency_of_the_agreement_gets_near(desk: Desk, method: str, path: str, body: Any) -> None:
    await desk.ask("PUT", body={"url": URL}, code=201)
    for who, code in (("source", 403), ("operator", 403), ("foreign", 404), ("other-source", 404)):
        refused = await desk.ask(method, path, body, who=who, code=code)
        assert "hook.gent.be" not in str(refused)
    assert desk.receiver.called == []


@pytest.mark.parametrize(
    "form", [{}, {"url": 1}, {"url": ""}, {"url": URL, "start": "x"}, {"url": URL, "x": 1}, {"url": "a" * 2001}]
)
async def test_a_malformed_form_is_refused(desk: Desk, form: Any) -> None:
    assert (await desk.ask("PUT", body=form, code=400))["code"] == "INVALID"
