"""A source changes its ceiling while records flow: what lies above it is withheld from the next record on."""

from adapters.synthetic_names import GENT
from broker.control.limits import Policies
from broker.policy import limit_documents

PURPOSE = "inwonersbestand"


async def test_a_tightened_ceiling_withholds_the_next_record_and_a_widened_one_releases_again(world) -> None:
    gent, policies = await world.agree("inwoners-gent"), Policies(world.site.control)
    router = await world.router()
    (person,) = world.people(1, GENT)
    changed = {**person, "kind": "changed"}
    await router.route(world.topic, await world.publish(person))
    reviewed = world.installation.folder.ceilings()[None, "persoon.v1", PURPOSE]
    wide = limit_documents.ceiling_document(reviewed)
    narrow = wide | {"fields": [each for each in wide["fields"] if each["path"] != "naam.voornamen"]}

    own = (world.source, "persoon.v1", PURPOSE)

    previewed = await policies.set_ceiling(*own, narrow, world.source, preview=True)
    await router.route(world.topic, await world.publish(changed))
    tightened = await policies.set_ceiling(*own, narrow, world.source)
    assert [(each.agreement, each.findings[0].path) for each in tightened.touched] == [(gent, "naam.voornamen")]
    assert previewed.touched == tightened.touched
    await router.route(world.topic, await world.publish(changed))
    (widened,) = (await policies.set_ceiling(*own, wide, world.source)).touched
    assert (widened.agreement, widened.findings) == (gent, ())
    await router.route(world.topic, await world.publish(changed))
    assert await world.kinds(gent) == ["initial", "changed", "changed"]
    assert router.withheld(gent) == {"ABOVE_CEILING": 1}
    assert ("withhold", "changed", "ABOVE_CEILING") in await world.decisions(gent)
