"""Whatever exit an agency reads, it gets what its topic holds, in the same order: equal by their keyed digests.

Another exit is one more entry in `EXITS`: a function of the scene to its items, life-cycle events included, in order.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fastavro
import httpx
import pytest

from adapters.synthetic_names import GENT, LEUVEN
from broker.cli.drops import send as drop
from broker.cli.outside import outside
from broker.cli.webhooks import send
from broker.client import Kafka, MemoryPositions, Subscription
from broker.control.dev_signing import bring_into_force
from broker.control.keys import agreement_key
from broker.delivery.digest import delivery_digest, digest_key
from broker.model import topics
from broker.model.cursor import position_of
from broker.model.drop_book import Destination
from broker.model.file_format import FileFormat
from broker.model.record import WIRE_HEADER_BYTES, schema_id_of
from broker.testing import wait_until
from tests.integration.delivery.conftest import agency_of, staged
from tests.integration.drops import sftp
from tests.integration.routing.conftest import Opened, World
from tests.integration.webhooks import receiver
from tests.listening import listening
from tests.unit.delivery.linked_data import item_of

Items = list[Mapping[str, Any]]
_PAGE = 97


@dataclass
class Scene:
    """A stream that holds every kind of item, and its agency's way to it."""

    world: World
    agreement: str
    http: httpx.AsyncClient
    total: int

    @property
    def path(self) -> str:
        return f"/v1/deliveries/{self.agreement}"

    @property
    def key(self) -> bytes:
        return digest_key(self.world.site.keys.get(agreement_key(self.agreement)))

    def digests(self, items: Items) -> list[str]:
        return [delivery_digest(self.key, item) for item in items]


async def kafka(scene: Scene) -> Items:
    """As an agency's own consumer sees it, with schemas from the registry: headers and framed values."""
    schemas: dict[int, Any] = {}
    items = []
    for record in await scene.world.read(topics.delivery(scene.world.agency(scene.agreement), scene.agreement)):
        told = {name: value.decode() for name, value in record.headers}
        item: dict[str, Any] = {
            "id": told.get("ce_id"), "type": told["ce_type"], "kind": told.get("ce_kind", "life-cycle"),
            "time": told.get("ce_time"), "key": record.key.decode(), "reason": told.get("ce_reason"),
            "sequence": record.offset,
        }  # fmt: skip
        numbers = {
            "epoch": "ce_epoch",
            "agreementVersion": "ce_agreementversion",
            "pseudonymEpoch": "ce_pseudonymepoch",
        }
        item |= {name: int(told[stated]) for name, stated in numbers.items() if stated in told}
        if record.value is not None:
            number = schema_id_of(record.value)
            if number not in schemas:
                answer = (await scene.http.get(f"/schemas/ids/{number}")).json()
                schemas[number] = fastavro.parse_schema(json.loads(answer["schema"]))
            body = BytesIO(record.value[WIRE_HEADER_BYTES:])
            item["data"] = fastavro.schemaless_reader(body, schemas[number], None)
        items.append(item)
    return items


async def _pages(scene: Scene, accept: str, read: Callable[[bytes], Items]) -> Items:
    """Every page, by the links between them."""
    items: Items = []
    url = f"{scene.path}?limit={_PAGE}"
    while True:
        answer = await scene.http.get(url, headers={"Accept": accept})
        assert answer.status_code == 200, answer.text
        found = read(answer.content)
        items += found
        if not found:
            return items
        url = answer.links["next"]["url"]


async def pull_json(scene: Scene) -> Items:
    return await _pages(scene, "application/json", lambda raw: json.loads(raw)["items"])


async def pull_ndjson(scene: Scene) -> Items:
    return await _pages(scene, "application/x-ndjson", _lines)


async def pull_avro(scene: Scene) -> Items:
    return await _pages(scene, "application/avro", _rows)


async def events(scene: Scene) -> Items:
    async with listening(scene.http, f"{scene.path}/events") as heard:
        return list(await heard.take(scene.total))


async def file_ndjson(scene: Scene) -> Items:
    return _lines((await scene.http.get(f"{scene.path}/file")).content)


async def file_avro(scene: Scene) -> Items:
    items: Items = []
    query = {"format": "avro"}
    while found := _rows((await scene.http.get(f"{scene.path}/file", params=query)).content):
        items += found
        query["after"] = found[-1]["cursor"]
    return items


async def pull_json_ld(scene: Scene) -> Items:
    return await _pages(scene, "application/ld+json", lambda raw: [item_of(node) for node in json.loads(raw)["items"]])


async def ldes(scene: Scene) -> Items:
    """Every page from the root on; life-cycle events are no members."""
    members: Items = []
    (node, _) = (await scene.http.get(f"/v1/ldes/{scene.agreement}")).json()["@graph"]
    while "relation" in node:
        answer = await scene.http.get(node["relation"]["node"])
        assert answer.status_code == 200, answer.text
        node, stream = answer.json()["@graph"]
        members += [item_of(member) for name in stream if name.startswith("member-") for member in stream[name]]
    return await _between_events(scene, members)


async def webhook(scene: Scene) -> Items:
    """Every call, verified; one repeated would show. The agreement's own events are told once per fact, not per lane."""
    site, webhooks = scene.world.site, scene.world.services.webhooks
    assert webhooks is not None
    here = replace(site, settings=site.settings.model_copy(update={"webhook_allow": "127.0.0.1"}))
    events = [item for item in await kafka(scene) if item["kind"] == "life-cycle"]
    told, stop = {(item["epoch"], item["reason"]) for item in events}, asyncio.Event()
    agency = scene.world.agency(scene.agreement)
    async with receiver.listening() as agencys:
        with outside(here.settings) as world:
            theirs = replace(webhooks, guard=world.guard)
        _, secret = await theirs.set(scene.agreement, agency, agencys.url)
        agencys.secret = secret or ""
        working = asyncio.create_task(send(here, stop))
        try:
            expected = scene.total - len(events) + len(told)
            await wait_until(lambda: working.done() or len(agencys.calls) >= expected, timeout=400)
        finally:
            stop.set()
            await working
            await theirs.remove(scene.agreement, agency)
    items = [_called(scene, call) for call in agencys.calls]
    assert {(item["epoch"], item["reason"]) for item in items if item["kind"] == "life-cycle"} == told
    return await _between_events(scene, [item for item in items if item["kind"] != "life-cycle"])


async def _dropped(scene: Scene, form: FileFormat, read: Callable[[bytes], Items]) -> Items:
    """Every file that appears under its name, in the order of the names."""
    site, drops = scene.world.site, scene.world.services.drops
    assert drops is not None
    here = replace(site, settings=site.settings.model_copy(update={"drop_allow": "127.0.0.1"}))
    stop, agency = asyncio.Event(), scene.world.agency(scene.agreement)
    with TemporaryDirectory() as folder:
        async with sftp.listening(Path(folder)) as server:
            with outside(here.settings) as world:
                theirs = replace(drops, guard=world.drop_guard)
            to = Destination("127.0.0.1", server.port, sftp.USER, "in", form, server.host_key, timedelta(seconds=1))
            made, _ = await theirs.set(scene.agreement, agency, to)
            server.admit(theirs.public_key(made))
            working = asyncio.create_task(drop(here, stop))

            async def nothing_left() -> bool:
                return working.done() or (await theirs.standing(scene.agreement, agency)).lag == 0

            try:
                await wait_until(nothing_left, timeout=400)
            finally:
                stop.set()
                await working
                await theirs.remove(scene.agreement, agency)
            return [item for name in server.files() for item in read(server.read(name))]


async def drop_ndjson(scene: Scene) -> Items:
    return await _dropped(scene, FileFormat.NDJSON, _lines)


async def drop_avro(scene: Scene) -> Items:
    return await _dropped(scene, FileFormat.AVRO, _rows)


def _called(scene: Scene, call: Mapping[str, Any]) -> Mapping[str, Any]:
    """The item in a call: CloudEvents has names of its own for some members."""
    names = {"agreementversion": "agreementVersion", "pseudonymepoch": "pseudonymEpoch"}
    item = {names.get(name, name): value for name, value in call.items()}
    return item | ({"sequence": position_of(scene.agreement, item["cursor"]) - 1} if "cursor" in item else {})


async def sdk(scene: Scene, by: Kafka | None = None) -> Items:
    """What the client library hands over; it, too, tells of the agreement once per fact."""
    token = scene.http.headers["authorization"].removeprefix("Bearer ")
    subscription = Subscription(
        scene.agreement,
        url=str(scene.http.base_url),
        token=token,
        kafka=by,
        positions=MemoryPositions(),
        follow=False,
    )
    async with subscription as deliveries:
        found = [
            {
                "id": each.id, "type": each.type, "kind": each.kind, "key": each.key, "data": each.data,
                "time": each.time.strftime("%Y-%m-%dT%H:%M:%SZ"), "reason": each.reason,
                "agreementVersion": each.agreement_version, "pseudonymEpoch": each.pseudonym_epoch,
                "sequence": position_of(scene.agreement, each.cursor) - 1,
            }
            async for each in deliveries
        ]  # fmt: skip
    return await _between_events(scene, found)


async def sdk_over_kafka(scene: Scene) -> Items:
    issued = await scene.world.installation.organisations.issue(
        scene.world.agency(scene.agreement), ("agency",), by="test"
    )
    login = (issued.kafka_username, issued.kafka_password)
    return await sdk(scene, Kafka(scene.world.site.access.bootstrap, *login, protocol="SASL_PLAINTEXT"))


async def _between_events(scene: Scene, deliveries: Items) -> Items:
    """Deliveries of an exit that shows the agreement's own events otherwise, with those from the topic in their places."""
    assert deliveries == sorted(deliveries, key=_place)
    events = [item for item in await kafka(scene) if item["kind"] == "life-cycle"]
    return sorted([*deliveries, *events], key=_place)


def _place(item: Mapping[str, Any]) -> int:
    return int(item["sequence"])


def _lines(raw: bytes) -> Items:
    return [json.loads(line) for line in raw.splitlines()]


def _rows(raw: bytes) -> Items:
    return list(fastavro.reader(BytesIO(raw)))


EXITS: Mapping[str, Callable[[Scene], Awaitable[Items]]] = {
    "pull-json": pull_json,
    "pull-ndjson": pull_ndjson,
    "pull-avro": pull_avro,
    "pull-json-ld": pull_json_ld,
    "ldes": ldes,
    "events": events,
    "file-ndjson": file_ndjson,
    "file-avro": file_avro,
    "webhook": webhook,
    "drop-ndjson": drop_ndjson,
    "drop-avro": drop_avro,
    "sdk-http": sdk,
    "sdk-kafka": sdk_over_kafka,
}


@asynccontextmanager
async def played(opened: Opened, url: str, suffix: str, persons: int) -> AsyncIterator[Scene]:
    """Arrivals, changes, departures, a suspension, and a second version with another schema."""
    async with staged(opened, suffix) as world:
        wide = await world.document("inwoners-gent")
        narrow = wide | {"fields": [field for field in wide["fields"] if field["path"] != "naam.voornamen"]}
        agreement = (await bring_into_force(world.services.agreements, narrow, datetime.now(UTC))).id
        router = await world.router()
        people = world.people(persons, GENT)
        await router.route(world.topic, await world.publish(*people))
        await world.stop(router)  # with nobody routing, the control plane writes the barriers: however slow the machine
        await world.services.agreements.suspend(agreement, "test")
        await world.services.agreements.resume(agreement, world.source)
        await bring_into_force(world.services.agreements, wide | {"version": 2}, datetime.now(UTC))
        router = await world.router()
        await router.settle()
        some = people[: max(3, persons // 10)]
        places = await world.publish(*(world.moved(person, LEUVEN) for person in some[1:]), *some[:1])
        places += await world.delete(*people[-2:])
        await router.route(world.topic, places)
        async with agency_of(world, agreement, url) as http:
            total = len(await world.delivered(agreement))
            yield Scene(world, agreement, http, total)


@pytest.fixture(scope="module")
async def scene(opened: Opened, url: str, unique: Callable[[str], str]) -> AsyncIterator[Scene]:
    async with played(opened, url, unique("parity"), 250) as made:
        yield made


@pytest.fixture(scope="module")
async def expected(scene: Scene) -> list[str]:
    return scene.digests(await kafka(scene))


async def test_the_scene_holds_every_kind_of_item(scene: Scene, expected: list[str]) -> None:
    items = await kafka(scene)
    kinds = Counter(item["kind"] for item in items)
    assert {item.get("agreementVersion") for item in items} == {None, 1, 2}
    assert len({str(item["data"]["naam"].keys()) for item in items if "data" in item}) == 2
    assert kinds["initial"] == 250
    assert kinds["left-population"] == 26
    assert kinds["life-cycle"] >= 2 * scene.world.site.lanes
    delivered = [item["id"] for item in items if item["id"]]
    assert len(delivered) == len(set(delivered)) == kinds.total() - kinds["life-cycle"]
    assert len(set(expected)) >= len(delivered)
    assert len(expected) == scene.total == kinds.total()


@pytest.mark.parametrize("name", EXITS)
async def test_an_exit_gives_what_the_topic_holds(scene: Scene, expected: list[str], name: str) -> None:
    found = scene.digests(await EXITS[name](scene))
    assert len(found) == scene.total
    assert found == expected


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_ten_thousand_through_every_exit(opened: Opened, url: str, unique: Callable[[str], str]) -> None:
    async with played(opened, url, unique("parity"), 10_000) as scene:
        wanted = scene.digests(await kafka(scene))
        assert len(wanted) > 10_000
        for name, read in EXITS.items():
            assert scene.digests(await read(scene)) == wanted, name
