"""The HTTP exits over real topics: stops while a stream is open, positions that expired, and reading from an instant."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from adapters.synthetic_names import GENT
from broker.delivery.heads import Heads
from broker.errors import Fenced
from broker.model import topics
from tests.integration.delivery.conftest import agency_of
from tests.listening import listening


async def test_a_stream_closes_with_the_barrier_of_a_revocation(world, url) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    people = world.people(5, GENT)
    await router.route(world.topic, await world.publish(*people))
    path, told = f"/v1/deliveries/{gent}/events", []
    async with agency_of(world, gent, url) as http, listening(http, path) as heard:
        assert {item["kind"] for item in await heard.take(5)} == {"initial"}
        hearing = asyncio.create_task(heard.rest())
        with suppress(Fenced):  # a router that is slow to write its barriers
            async with router.running():
                await world.services.agreements.revoke(gent, "test")
                await world.publish(*people)
                told += await hearing
        async with listening(http, path) as again:
            told += await again.rest()
        assert {(name, item["reason"]) for name, item in told} == {("life-cycle", "REVOKED")}
        async with listening(http, f"{path}?after={again.last_id}") as once_more:
            assert once_more.response.status_code == 204


async def test_a_suspension_is_told_and_the_stream_goes_on_after_it(world, url) -> None:
    gent = await world.agree("inwoners-gent")
    async with agency_of(world, gent, url) as http, listening(http, f"/v1/deliveries/{gent}/events") as heard:
        await world.services.agreements.suspend(gent, "test")
        await world.services.agreements.resume(gent, world.source)
        router = await world.router()
        await router.route(world.topic, await world.publish(*world.people(1, GENT)))
        found = await heard.take(world.site.lanes + 1)
    assert [item.get("reason") for item in found[:-1]] == ["SUSPENDED"] * world.site.lanes
    assert found[-1]["kind"] == "initial"


async def test_an_expired_position_is_gone_at_every_exit(world, url) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(6, GENT)))
    path = f"/v1/deliveries/{gent}"
    async with agency_of(world, gent, url) as http:
        items = (await http.get(path)).json()["items"]
        last = (await world.delivered(gent))[-1].offset
        await world.site.admin.delete_records(topics.delivery(world.agency(gent), gent), 0, last)
        for exit_ in ("", "/events", "/file"):
            answer = await http.get(f"{path}{exit_}", params={"after": items[0]["cursor"]})
            assert (answer.status_code, answer.json()["code"]) == (410, "POSITION_EXPIRED"), exit_
        kept = (await http.get(f"{path}/file")).text.splitlines()
        assert len(kept) == 1


async def test_a_file_since_an_instant_holds_what_was_committed_from_then_on(world, url) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(3, GENT)))
    async with agency_of(world, gent, url) as http:

        async def since(instant: datetime) -> int:
            answer = await http.get(f"/v1/deliveries/{gent}/file", params={"since": instant.isoformat()})
            return len(answer.text.splitlines())

        first = datetime.fromisoformat((await http.get(f"/v1/deliveries/{gent}")).json()["items"][0]["time"])
        assert await since(first) == 3
        assert await since(datetime.now(UTC) + timedelta(hours=1)) == 0
        for far, held in (
            ("0001-01-01T00:00:00+14:00", 3),
            ("1969-12-31T23:59:59.999Z", 3),
            ("9999-12-31T23:59:59-14:00", 0),
        ):
            assert await since(datetime.fromisoformat(far)) == held


async def test_many_readers_wait_for_topics_over_one_connection(world) -> None:
    made = []

    def consumer() -> object:
        made.append(world.site.clients.consumer())
        return made[-1]

    heads = Heads(consumer)
    gent = await world.agree("inwoners-gent")
    topic = topics.delivery(world.agency(gent), gent)
    try:
        end = await heads.head(topic)
        waiting = [asyncio.create_task(heads.beyond(topic, end, wait_s=30)) for _ in range(200)]
        assert not await heads.beyond(topic, end, wait_s=0.3)
        router = await world.router()
        await router.route(world.topic, await world.publish(*world.people(1, GENT)))
        assert all(await asyncio.gather(*waiting))
        assert len(made) == 1
    finally:
        await heads.close()
