"""An agency sets, sees, tries and removes its drop over HTTP; the key to admit is shown, the private one to nobody."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Self

import asyncssh
import pytest

from broker.api.credential_scope import remove_planted
from broker.control.keys import drop_key
from broker.delivery.drop_server import NotTaken
from broker.delivery.drop_subscriptions import Drops
from broker.delivery.egress_guard import AllowList, EgressGuard
from broker.delivery.push_circuit import Failure, Health, Patience, failed
from broker.delivery.push_note import Note, Written
from broker.model import ssh_keys
from broker.model.credentials import Credential
from broker.model.drop_book import Destination
from broker.model.facts import FactType
from tests.unit.api.conftest import Keys, World, bearer
from tests.unit.api.test_webhooks import NOW, TOPIC, Positions, Topic

PATH, GROUP = "/v1/agreements/parkeren/drop", "drop.parkeren"
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
FORM = {"host": "sftp.gent.be", "username": "datanuts", "directory": "in", "hostKey": f"{HOST_KEY} root@sftp"}
SEED = Keys().get(drop_key("gent-parkeren"))


@dataclass
class Disk:
    """A server that notes what is done to it."""

    failure: Failure | None = None
    done: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, to: Destination, seed: bytes) -> AsyncIterator[Self]:
        assert seed == SEED
        if self.failure is not None:
            raise NotTaken(self.failure)
        self.done.append(f"open {to.host}")
        yield self

    @asynccontextmanager
    async def writing(self, part: str) -> AsyncIterator[Any]:
        self.done.append(f"write {part}")
        yield self

    async def write(self, piece: bytes) -> None:
        assert b"about nobody" in piece

    async def finish(self) -> None:
        self.done.append("finish")

    async def publish(self, part: str, name: str) -> None:
        self.done.append(f"rename {part} {name}")

    async def remove(self, name: str) -> None:
        self.done.append(f"remove {name}")

    async def size(self, name: str) -> int | None:
        raise AssertionError(name)


@dataclass
class Desk:
    world: World
    positions: Positions
    disk: Disk

    async def ask(self, method: str, path: str = "", body: Any = None, who: str = "agency", code: int = 200) -> Any:
        sent = {} if body is None else {"json": body}
        answer = await self.world.http.request(method, PATH + path, headers=bearer(who), **sent)
        assert answer.status_code == code, answer.text
        return answer.json()


def drops_of(world: World) -> Desk:
    positions, disk = Positions(), Disk()

    async def resolve(host: str) -> Sequence[str]:
        if host == "nergens.gent.be":
            raise OSError
        return ["10.0.0.7"] if host == "intern.gent.be" else ["93.184.216.34"]

    guard = EgressGuard(AllowList(), resolve)
    made = Drops(world.control, Keys(), guard, positions, Topic(), lambda: NOW, lambda: "1", open_server=disk.open)
    app = world.http._transport.app
    app.state.services = replace(app.state.services, drops=made)
    return Desk(world, positions, disk)


@pytest.fixture
def desk(world: World) -> Desk:
    return drops_of(world)


async def test_the_first_time_it_is_made_then_changed_and_always_tells_the_key_to_admit(desk: Desk) -> None:
    made = await desk.ask("PUT", body=FORM, code=201)
    assert made["publicKey"] == ssh_keys.public_line(SEED, "datanuts-gent-parkeren")
    assert (made["port"], made["format"], made["everyMinutes"], made["hostKey"]) == (22, "ndjson", 60, HOST_KEY)
    held = dict(desk.positions.held)
    changed = await desk.ask("PUT", body=FORM | {"host": "SFTP2.gent.be", "format": "avro", "everyMinutes": 1440})
    assert (changed["host"], changed["format"], changed["everyMinutes"]) == ("sftp2.gent.be", "avro", 1440)
    assert desk.positions.held == held, "its position moved"
    seen = await desk.ask("GET")
    assert [event["type"] for event in seen["events"]] == ["drop.set", "drop.set"]
    assert (seen["publicKey"], seen["position"], seen["lag"]) == (made["publicKey"], 40, 12)


async def test_a_test_writes_renames_and_removes_and_says_only_how_it_went(desk: Desk) -> None:
    await desk.ask("PUT", body=FORM, code=201)
    assert await desk.ask("POST", "/test") == {"delivered": True, "failure": None}
    name = "parkeren.test-1"
    assert desk.disk.done == [
        "open sftp.gent.be", f"write {name}.part", "finish", f"rename {name}.part {name}", f"remove {name}",
    ]  # fmt: skip
    desk.disk.failure = Failure.HOST_KEY
    assert await desk.ask("POST", "/test") == {"delivered": False, "failure": "HOST_KEY_MISMATCH"}


async def test_the_standing_tells_what_the_worker_noted(desk: Desk) -> None:
    await desk.ask("PUT", body=FORM, code=201)
    live = desk.world.control.state.drops.live["parkeren"]
    health, _ = failed(Health(), Failure.LOGIN, NOW, Patience(), random=1.0)
    note = Note(live.series, live.epoch, health=health, part="parkeren.1.part", written=Written(50, 7))
    assert Note.of(note.text()) == note
    desk.positions.held[GROUP, TOPIC] = (45, note.text())
    seen = await desk.ask("GET")
    assert (seen["position"], seen["lag"], seen["failure"], seen["failures"]) == (45, 7, "LOGIN_REFUSED", 1)


async def test_it_is_suspended_resumed_and_removed(desk: Desk) -> None:
    await desk.ask("PUT", body=FORM, code=201)
    await desk.ask("POST", "/resume", code=409)
    data = {"agreement": "parkeren", "reason": "FAILING"}
    await desk.world.control.append(FactType.DROP_SUSPENDED, "drop/parkeren", data, by="operator")
    assert (await desk.ask("GET"))["reason"] == "FAILING"
    assert (await desk.ask("POST", "/resume"))["state"] == "active"
    assert await desk.ask("DELETE") == {"agreement": "parkeren", "state": "removed"}
    await desk.ask("GET", code=404)
    await desk.ask("PUT", body=FORM, code=201)


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"host": "10.0.0.1"}, "host"), ({"host": "intern.gent.be"}, "host"), ({"host": "nergens.gent.be"}, "host"),
     ({"port": 25}, "port"), ({"hostKey": "ssh-ed25519 AAAA"}, "hostKey"), ({"username": "-o"}, "username"),
     ({"username": "a b"}, "username"), ({"directory": "../x"}, "directory"), ({"directory": "a\nb"}, "directory")],
)  # fmt: skip
async def test_a_destination_that_is_none_is_refused_and_the_refusal_says_what(
    desk: Desk, changed: dict[str, Any], word: str
) -> None:
    refused = await desk.ask("PUT", body=FORM | changed, code=400)
    assert refused["detail"].startswith(f"{word}: ")
    assert "10.0.0.7" not in refused["detail"]
    assert desk.positions.held == {}
    await desk.ask("GET", code=404)


@pytest.mark.parametrize(
    "form", [{}, {"host": "a.be"}, FORM | {"password": "x"}, FORM | {"everyMinutes": 0}, FORM | {"port": 0}]
)
async def test_a_malformed_form_is_refused(desk: Desk, form: Any) -> None:
    assert (await desk.ask("PUT", body=form, code=400))["code"] == "INVALID"


async def test_an_agreement_that_is_over_gets_none(desk: Desk) -> None:
    desk.world.move("parkeren", FactType.AGREEMENT_REVOKED)
    await desk.ask("PUT", body=FORM, code=409)


@pytest.mark.parametrize(("hours", "removed"), [(1, []), (-1, ["parkeren"])])
async def test_one_that_was_set_with_a_stolen_credential_goes_with_it(
    desk: Desk, hours: int, removed: list[str]
) -> None:
    await desk.ask("PUT", body=FORM, code=201)
    set_at = desk.world.control.state.drops.live["parkeren"].events[-1].at
    broker, stolen = desk.world.http._transport.app.state.services, Credential("c", "gent-parkeren", "", ("agency",))
    found = await remove_planted(broker, [stolen], set_at + timedelta(hours=hours))
    assert found == {"removedWebhooks": [], "removedDrops": removed}
    await desk.ask("GET", code=404 if removed else 200)


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_only_the_agency_of_the_agreement_gets_near(desk: Desk, method: str) -> None:
    await desk.ask("PUT", body=FORM, code=201)
    for who, code in (("source", 403), ("operator", 403), ("foreign", 404), ("other-source", 404)):
        refused = await desk.ask(method, body=FORM if method == "PUT" else None, who=who, code=code)
        assert "sftp.gent.be" not in str(refused)
