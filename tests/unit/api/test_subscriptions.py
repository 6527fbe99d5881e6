"""A subscription's status, and the catalogue: what each side sees, and nothing about one person."""

from dataclasses import replace
from typing import Any

import pytest

from broker.delivery.looks import Progress
from broker.delivery.tally import DELIVERED, WITHHELD, Day
from broker.model.facts import FactType
from broker.policy.calendar import milliseconds
from broker.routing.backfill import Progress as Progressed
from broker.routing.backfill import Reach, Replayed
from tests.unit.api.conftest import World, bearer
from tests.unit.api.standings import Looks, Tally

PATH = "/v1/agreements/parkeren/subscription"
HOUR = 3_600_000


@pytest.fixture
def stands(world: World) -> tuple[Looks, Tally]:
    services = world.http._transport.app.state.services
    looks, tally = Looks(), Tally()
    world.http._transport.app.state.services = replace(services, looks=looks, tally=tally)
    return looks, tally


async def status(world: World, who: str = "agency", query: str = "", expect: int = 200) -> dict[str, Any]:
    answer = await world.http.get(f"{PATH}{query}", headers=bearer(who))
    assert answer.status_code == expect, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("who", ["agency", "operator"])
async def test_agency_and_operator_see_where_it_stands(world, stands, who) -> None:
    told = await status(world, who)
    assert (told["state"], told["first"], told["end"], told["alerts"]) == ("active", 2, 90, [])
    assert told["exits"]["kafka"] == {"committed": 70, "behindAtMost": 20}
    assert told["exits"]["http"] is None
    assert told["periodicity"].startswith("Doorlopend")
    assert set(stands[0].asked) == {"delivery.gent-parkeren.parkeren", "source.rijksregister.persoon.v1"}


async def test_agency_sees_how_far_backfill_and_replay_are_and_how_they_end(world, stands) -> None:
    looks, entry = stands[0], world.entry("parkeren")
    now_ms = milliseconds(entry.activated_at)
    run = await world.control.append(FactType.REPLAY_REQUESTED, "replay/parkeren", {"agreement": "parkeren"}, by="test")

    def position(reach: Reach, replayed: Replayed) -> tuple[int, str]:
        return 100, f"1/2/3/{Progressed(reach, replayed).encode()}"

    begun = Reach().begun(100, now_ms)
    looks.come = replace(looks.come, positions={0: position(begun.advanced(48), Replayed())})
    told = await status(world)
    assert told["backfill"] == {"state": "running", "lanesDone": 0, "lanes": 1, "percent": 45}
    assert told["replay"] == {"run": run, "state": "running", "lanesDone": 0, "lanes": 1, "percent": 0}
    over = position(begun.advanced(100), Replayed().begun(run, 100).advanced(100))
    looks.come = replace(looks.come, positions={0: over})
    told = await status(world)
    assert (told["backfill"]["state"], told["replay"]["state"]) == ("done", "over")
    world.move("parkeren", FactType.AGREEMENT_SUSPENDED)
    told = await status(world)
    assert (told["backfill"]["state"], told["replay"]["state"]) == ("none", "none")


async def test_the_source_sees_counts_and_neither_position_nor_instant(world, stands) -> None:
    told = await status(world, "source")
    assert set(told) == {"agreement", "version", "state", "since", "days", "daysWhole"}
    assert stands[0].asked == []


async def test_who_is_no_party_does_not_know_of_it(world, stands) -> None:
    await status(world, "foreign", expect=404)
    answer = await world.http.get("/v1/agreements/wachtend/subscription", headers=bearer("agency"))
    assert answer.status_code == 409
    assert stands[0].asked == []


async def test_every_cell_is_shown_and_small_ones_alike(world, stands) -> None:
    (day,) = (await status(world))["days"]
    assert day["delivered"] == dict.fromkeys(DELIVERED, "<5") | {"changed": "20+"}
    assert day["withheld"] == dict.fromkeys(WITHHELD, "<5") | {"consent": "5+"}
    assert day["atLeast"] == {"delivered": 20, "withheld": 5}
    stands[1].day = Day(stands[1].day.day, {"changed": 20}, {"consent": 7})
    assert (await status(world))["days"] == [day]


@pytest.mark.usefixtures("stands")
async def test_what_was_pulled_is_known_to_the_process_that_handed_it_out(world) -> None:
    world.deliver("Peeters", "Janssens")
    first = (await world.http.get("/v1/deliveries/parkeren?limit=1", headers=bearer("agency"))).json()
    http = (await status(world))["exits"]["http"]
    assert (http["has"], http["handedOut"], http["behindAtMost"]) == (None, 1, 89)
    await world.http.get(f"/v1/deliveries/parkeren?after={first['next']}", headers=bearer("agency"))
    http = (await status(world))["exits"]["http"]
    assert (http["has"], http["handedOut"]) == (1, 4)


async def test_a_silence_is_an_alert_while_the_agreement_is_in_force(world, stands) -> None:
    looks = stands[0]
    now = looks.state.last_delivery_ms
    waiting = now - 3 * HOUR
    looks.state = replace(looks.state, last_delivery_ms=None)
    looks.come = Progress(waiting, now, ())
    assert [alert["code"] for alert in (await status(world, query="?quietHours=2"))["alerts"]] == ["SILENT"]
    assert (await status(world, query="?quietHours=720"))["alerts"] == []
    world.move("parkeren", FactType.AGREEMENT_SUSPENDED)
    assert (await status(world, query="?quietHours=2"))["alerts"] == []
