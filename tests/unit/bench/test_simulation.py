"""The simulation adds up by hand where that can be done, moves the way machines do, and takes the lane's own decisions."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.shared_cores import At, SharedCores, Step, Steps
from bench.simulation import Costs, Load, Setup, _resized, simulate
from broker.routing.fetching import FEWEST, MOST, Fetching

COSTS = Costs(
    record_us=26,
    delivery_us=6,
    topic_us=60,
    transaction_us=2000,
    node_record_us=3,
    node_topic_us=100,
    round_trip_ms=1,
    round_trips=6,
)
ALONE = Setup(topics=1, lanes=1)


def test_one_lane_takes_the_sum_of_its_parts() -> None:
    found = simulate(COSTS, ALONE, Load(1_000))
    router_s = (2_000 + 1_000 * 32 + 2 * 60) / 1e6
    node_s = (2_000 * 3 + 2 * 100) / 1e6
    assert found.transactions == 1
    assert found.router_cpu_s == pytest.approx(router_s)
    assert found.node_cpu_s == pytest.approx(node_s)
    assert found.seconds == pytest.approx(router_s + node_s + 6 * 0.001)


def test_a_record_now_and_then_waits_for_one_transaction() -> None:
    found = simulate(COSTS, ALONE, Load(50, rate=10))
    alone_ms = (2_000 + 32 + 2 * 60 + 2 * 3 + 2 * 100) / 1e3 + 6
    assert found.p50_ms == pytest.approx(alone_ms)
    assert found.p99_ms == pytest.approx(alone_ms)
    assert found.transactions == 50
    assert found.seconds == pytest.approx(4.9 + alone_ms / 1e3)


def test_a_rate_above_the_capacity_is_told_by_its_latency() -> None:
    setup = Setup(topics=300)
    capacity = simulate(COSTS, setup, Load(400_000)).records_per_s
    below, above = (simulate(COSTS, setup, Load(100_000, rate=share * capacity)) for share in (0.5, 1.5))
    assert below.p99_ms is not None
    assert above.p99_ms is not None
    assert above.p99_ms > 5 * below.p99_ms
    assert below.records_per_s == pytest.approx(0.5 * capacity, rel=0.05)


def test_replicas_cost_cores_but_no_time_where_there_are_cores() -> None:
    one, three = (simulate(COSTS, replace(ALONE, cores=8, node_cores=6, replicas=held), Load(1_000)) for held in (1, 3))
    assert three.node_cpu_s == pytest.approx(3 * one.node_cpu_s)
    assert three.seconds == pytest.approx(one.seconds)


def test_lanes_of_one_process_overlap_the_waits_of_each_other() -> None:
    slow = replace(COSTS, round_trip_ms=20)
    one, eight = (simulate(slow, Setup(topics=10, lanes=lanes), Load(100_000)) for lanes in (1, 8))
    assert eight.records_per_s > one.records_per_s
    assert eight.router_share > one.router_share


def test_lanes_of_a_router_have_its_turns_one_after_the_other() -> None:
    def lane() -> Steps:
        yield Step(At.TURN, 0)
        yield Step(At.NOWHERE, 1)
        yield Step(At.OVER, 0)

    def last_end(lanes: int, routers: int, turns: int) -> float:
        cores = SharedCores(1, routers, 1, turns)
        for number in range(lanes):
            cores.start(number % routers, lane())
        cores.run()
        return cores.now

    assert last_end(lanes=5, routers=1, turns=2) == 3
    assert last_end(lanes=5, routers=2, turns=2) == 2
    assert last_end(lanes=5, routers=1, turns=5) == 1


def test_small_transactions_wait_for_no_turn() -> None:
    slow = replace(COSTS, round_trip_ms=100)
    found = simulate(slow, Setup(topics=10, cores=8, node_cores=8), Load(2_000, rate=100))
    assert found.p50_ms is not None
    assert found.p50_ms == pytest.approx(6 * 100 + 2.5 * 100, rel=0.15)  # its own, and half of the one before it


def test_a_second_process_helps_where_there_is_a_core_for_it() -> None:
    def speed(routers: int, cores: int) -> float:
        setup = Setup(topics=300, routers=routers, cores=cores, node_cores=cores)
        return simulate(COSTS, setup, Load(400_000)).records_per_s

    assert speed(2, 4) > 1.7 * speed(1, 4)
    assert speed(2, 1) < 1.1 * speed(1, 1)


@settings(max_examples=15)
@given(
    st.integers(1, 4_000),
    st.integers(1, 60_000),
    st.sampled_from([None, 200.0, 5_000.0]),
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_nothing_is_lost_and_no_one_computes_more_than_there_are_cores(
    topics: int, records: int, rate: float | None, routers: int, cores: int
) -> None:
    setup = Setup(topics, routers=routers, cores=cores, node_cores=cores)
    found = simulate(COSTS, setup, Load(min(records, 2_000) if rate else records, rate))
    assert found == simulate(COSTS, setup, Load(found.records, rate))
    assert 0 < found.router_share <= 1 + 1e-9
    assert 0 < found.node_share <= 1 + 1e-9
    assert found.router_cpu_s + found.node_cpu_s <= cores * found.seconds * (1 + 1e-9)
    per_record_us = COSTS.record_us + COSTS.delivery_us
    assert found.router_cpu_s * 1e6 >= found.records * per_record_us + found.transactions * COSTS.transaction_us - 1


@given(st.integers(1, 100_000), st.integers(1, 50_000))
def test_a_transaction_touches_no_more_topics_than_there_are_or_than_it_has_deliveries(
    topics: int, records: int
) -> None:
    touched = Setup(topics).touched(records) - 1
    assert 1 - 1e-6 <= touched <= min(topics, records) + 1e-6


def test_more_topics_are_never_faster() -> None:
    speeds = [simulate(COSTS, Setup(topics), Load(200_000)).records_per_s for topics in (10, 300, 1_000, 3_000, 10_000)]
    assert speeds == sorted(speeds, reverse=True)


@given(st.integers(FEWEST, MOST), st.integers(1, MOST), st.integers(0, 5_000))
def test_transactions_are_sized_as_the_lane_sizes_them(size: int, records: int, took_ms: int) -> None:
    fetching = Fetching(None, 0, asyncio.Semaphore(), size)
    fetching.resize(records, took_ms)
    assert _resized(size, records, took_ms / 1_000) == pytest.approx(fetching.size, abs=1)


@pytest.mark.parametrize("wrong", [{"topics": 0}, {"topics": 1, "routers": 9}, {"topics": 1, "cores": 0}])
def test_a_setup_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="setup"):
        Setup(**wrong)
