"""Two sources of one record type: each agreement follows its own, also for a subject that both know."""

import pytest

from adapters.synthetic_names import GENT, LEUVEN
from broker.errors import AgreementRefused


async def test_an_agreement_never_sees_the_other_sources_records(world) -> None:
    second = f"tweede-{world.suffix}"
    topic = await world.declare(second)
    one = await world.agree("inwoners-gent")
    other = await world.agree("inwoners-gent", second, id=f"anders-{world.suffix}", agency=f"anders-{world.suffix}")
    router = await world.router()
    person, stranger = world.people(2, GENT)
    await router.route(world.topic, await world.publish(person))
    await router.route(topic, await world.publish(person, stranger, source=second))
    # Leaving in one source is not leaving in the other.
    await router.route(topic, await world.publish(world.moved(person, LEUVEN), source=second))
    await router.route(world.topic, await world.publish({**person, "kind": "changed"}))
    assert await world.kinds(one) == ["initial", "changed"]
    assert sorted(await world.kinds(other)) == ["initial", "initial", "left-population"]
    ids = [each.headers["ce_id"] for agreement in (one, other) for each in await world.delivered(agreement)]
    assert len(set(ids)) == len(ids)
    assert {receipt["topic"] for receipt in await world.receipts(topic)} == {topic}


async def test_an_agreement_on_a_source_without_the_product_is_refused(world) -> None:
    with pytest.raises(AgreementRefused, match="UNKNOWN_PRODUCT"):
        await world.ask("inwoners-gent", "kbo")
