"""What an agreement's own standing does to its stream: term, suspension, ceilings, a next version."""

from adapters.synthetic_names import GENT, LEUVEN

GENT_ONLY = {"where": {"path": "verblijfplaats.gemeente.nis", "equals": GENT.nis}}


async def test_an_expired_agreement_withholds_with_a_receipt(world) -> None:
    voters = await world.agree("verkiezingen-2024")
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(2, GENT)))
    assert await world.delivered(voters) == []
    assert await world.decisions(voters) == [("withhold", "snapshot", "NOT_IN_TERM")] * 2
    assert router.withheld(voters) == {"NOT_IN_TERM": 2}


async def test_a_suspension_withholds_until_it_is_resumed(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    (person,) = world.people(1, GENT)
    await router.route(world.topic, await world.publish(person))
    async with router.running():
        await world.services.agreements.suspend(gent, "test")
    await router.route(world.topic, await world.publish(world.moved(person, GENT)))
    await world.services.agreements.resume(gent, "test")
    await router.route(world.topic, await world.publish(world.moved(person, GENT), world.moved(person, LEUVEN)))
    found = await world.delivered(gent)
    assert [each.kind for each in found if not each.barrier] == ["initial", "changed", "left-population"]
    barriers = [each for each in found if each.barrier]
    assert {each.key for each in barriers} == {b"barrier/%d" % lane for lane in range(world.site.lanes)}
    assert {each.headers["ce_reason"] for each in barriers} == {b"SUSPENDED"}
    assert await world.decisions(gent) == [
        ("release", "initial", None),
        ("withhold", "changed", "SUSPENDED"),
        ("release", "changed", None),
        ("release", "left-population", None),
    ]


async def test_a_next_version_after_the_end_delivers_again_from_the_start(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    (person,) = world.people(1, GENT)
    await router.route(world.topic, await world.publish(person))
    async with router.running():
        await world.services.agreements.end(gent, "test")
    # Ended: no version is in force.
    await router.route(world.topic, await world.publish(world.moved(person, GENT)))
    assert [each for each in await world.delivered(gent) if not each.barrier] == []
    await world.ask("inwoners-gent", version=2)
    await router.route(world.topic, await world.publish(world.moved(person, GENT)))
    await world.agree("inwoners-gent", version=2)
    await router.settle()
    await router.route(world.topic, await world.publish(world.moved(person, GENT)))
    found = [each for each in await world.delivered(gent) if not each.barrier]
    assert [(each.kind, each.headers["ce_agreementversion"]) for each in found] == [
        ("initial", b"2"),
        ("changed", b"2"),
    ]


async def test_lanes_follow_a_product_declared_while_they_run(world) -> None:
    router = await world.router()
    async with router.running():
        topic = await world.declare(f"later-{world.suffix}")
        source = f"later-{world.suffix}"
        gent = await world.agree("inwoners-gent", source=source, population=GENT_ONLY)
    people = world.people(6, GENT)
    await router.route(topic, await world.publish(*people, source=source))
    assert await world.kinds(gent) == ["initial"] * 6


async def test_a_slow_clock_does_not_forget_what_was_released(world) -> None:
    """The agreement was activated by another machine's clock, later than the lane believes it is."""
    gent = await world.agree("inwoners-gent")
    router = await world.router(behind_ms=60_000)
    (person,) = world.people(1, GENT)
    await router.route(world.topic, await world.publish(person))
    await router.route(world.topic, await world.publish(world.moved(person, LEUVEN)))
    assert await world.kinds(gent) == ["initial", "left-population"]


async def test_the_decision_instant_of_a_lane_never_goes_back(world) -> None:
    await world.agree("statistiek-vlaanderen")
    (person,) = world.people(1)
    for behind_ms in (0, 60_000):
        router = await world.router(behind_ms=behind_ms)
        await router.route(world.topic, await world.publish(person))
        await world.stop(router)
    first, second = [receipt["decidedAt"] for receipt in await world.receipts()]
    assert first <= second
