"""The subscription's status says how far the lanes are with a backfill, and with a replay."""

from typing import Any

import pytest

from adapters.synthetic_names import GENT
from tests.integration.delivery.conftest import agency_of
from tests.integration.routing.conftest import World

GENT_ONLY = {"where": {"path": "verblijfplaats.gemeente.nis", "equals": GENT.nis}}


async def test_a_backfill_and_a_replay_are_seen_to_advance(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.routing.rereading._RECORDS", 2)
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(200, GENT)))
    async with router.running():
        gent = await world.agree("inwoners-gent", population=GENT_ONLY)
    lanes = world.site.lanes
    async with agency_of(world, gent, url) as http:

        async def told(name: str) -> dict[str, Any]:
            answer = await http.get(f"/v1/agreements/{gent}/subscription")
            assert answer.is_success, answer.text
            return dict(answer.json()[name])

        begun = await told("backfill")
        assert (begun["state"], begun["lanes"], await told("replay")) == (
            "running",
            lanes,
            {"run": None, "state": "none", "lanesDone": 0, "lanes": lanes, "percent": 0},
        )
        assert begun["percent"] in range(0, 100, 5)
        await router.settle()
        whole = {"lanesDone": lanes, "lanes": lanes, "percent": 100}
        assert await told("backfill") == {"state": "done", **whole}

        run = (await http.post(f"/v1/agreements/{gent}/replays")).json()["run"]
        assert await told("replay") == {"run": run, "state": "running", "lanesDone": 0, "lanes": lanes, "percent": 0}
        for _ in range(12):
            for lane in router.routers.values():
                await lane.step()
        halfway = await told("replay")
        assert (halfway["state"], halfway["run"]) == ("running", run)
        assert 0 < halfway["percent"] < 100
        await router.settle()
        assert await told("replay") == {"run": run, "state": "over", **whole}
        assert await told("backfill") == {"state": "done", **whole}
