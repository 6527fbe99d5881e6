"""Stops and amendments whose process died halfway: another one completes them, up to the barriers and no further."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from adapters.synthetic_names import GENT
from broker.control.aftercare import Aftercare
from broker.control.dev_signing import bring_into_force
from broker.model import topics
from tests.integration.routing.conftest import World

GIVEN_NAMES = "naam.voornamen"
DAY_MS = 86_400_000


class Died(Exception):
    """The process did not come so far."""


class Mortal:
    """A collaborator in whose method the process dies."""

    def __init__(self, alive: Any, method: str) -> None:
        self._alive = alive
        setattr(self, method, self._die)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._alive, name)

    async def _die(self, *_arguments: Any, **_named: Any) -> None:
        raise Died


async def cut_short(world: World, monkeypatch: pytest.MonkeyPatch, part: str, method: str, step: Any) -> None:
    """Take a step in a process that dies in this method of this part of the enforcement."""
    enforcement = world.services.agreements.enforcement
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(enforcement, part, Mortal(getattr(enforcement, part), method))
        with pytest.raises(Died):
            await step


async def looked_after(world: World, agreement: str) -> bool:
    """A process that has just been started looks a little later; returns whether it found anything of the agreement left."""
    soon = datetime.now(UTC) + timedelta(minutes=1)
    raised: list[Exception] = []
    emptied = await Aftercare(world.site.control, world.services.agreements, lambda: soon, raised.append).keep()
    assert raised == []
    return agreement in emptied


async def test_an_amendment_that_narrows_is_completed_and_its_own_records_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    persons = world.people(6, GENT)
    await router.route(world.topic, await world.publish(*persons))
    narrower = await world.document("inwoners-gent", version=2, retention_days=3)
    narrower["fields"] = [field for field in narrower["fields"] if field["path"] != GIVEN_NAMES]
    async with router.running():
        step = bring_into_force(world.services.agreements, narrower, datetime.now(UTC))
        await cut_short(world, monkeypatch, "kafka", "delete_records", step)
    await router.route(world.topic, await world.publish(world.moved(persons[0], GENT)))
    before = await world.delivered(gent)
    assert sum(GIVEN_NAMES.rpartition(".")[2] in str(each.value) for each in before) == len(persons)

    assert await looked_after(world, gent)
    left = await world.delivered(gent)
    assert {each.headers["ce_agreementversion"] for each in left if not each.barrier} == {b"2"}
    own = [each.offset for each in before if each.headers.get("ce_agreementversion") == b"2"]
    assert [each.offset for each in left if not each.barrier] == own
    assert await retention_ms(world, gent) == 3 * DAY_MS
    assert not await looked_after(world, gent)
    assert await world.delivered(gent) == left


@pytest.mark.parametrize(("part", "method"), [("kafka", "delete_records"), ("barriers", "complete")])
async def test_a_revocation_is_completed_by_the_next_process(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str, method: str
) -> None:
    gent = await world.agree("inwoners-gent")
    await world.installation.organisations.issue(world.agency(gent), ("agency",), by="test")
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(6, GENT)))
    await world.stop(router)
    await cut_short(world, monkeypatch, part, method, world.services.agreements.revoke(gent, world.source))
    assert sum(each.value is not None for each in await world.delivered(gent)) == 6

    assert await looked_after(world, gent)
    left = await world.delivered(gent)
    assert [(each.barrier, each.headers["ce_reason"]) for each in left] == [(True, b"REVOKED")]
    topic = topics.delivery(world.agency(gent), gent)
    assert await world.site.admin.grants(topic=topic) == []
    assert not await looked_after(world, gent)
    assert await world.delivered(gent) == left


async def test_deliveries_are_kept_as_long_as_the_version_in_force_says(world: World) -> None:
    gent = await world.agree("inwoners-gent")
    assert await retention_ms(world, gent) == 14 * DAY_MS
    await bring_into_force(
        world.services.agreements,
        await world.document("inwoners-gent", version=2, retention_days=5),
        datetime.now(UTC),
    )
    assert await retention_ms(world, gent) == 5 * DAY_MS


async def retention_ms(world: World, agreement: str) -> int:
    """How long Kafka keeps what is in its topic."""
    topic = topics.delivery(world.agency(agreement), agreement)
    client = AIOKafkaAdminClient(**world.site.access.for_aiokafka())
    await client.start()
    try:
        (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        ((*_, entries),) = answer.resources
        return int(next(value for name, value, *_ in entries if name == "retention.ms"))
    finally:
        await client.close()
