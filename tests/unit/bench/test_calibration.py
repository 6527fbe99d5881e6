"""Costs come back from points that were made with them, and what is no file of points or costs is told as such."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.calibration import COSTS, Point, calibrate, compare, read_costs, read_points
from bench.cells import cells
from bench.matrix import Result, as_lines
from bench.simulation import Costs, Load, Setup, simulate
from broker.cli import bench_simulate
from broker.errors import ConfigError

TRUE = Costs(
    record_us=24,
    delivery_us=6,
    topic_us=75,
    transaction_us=2000,
    node_record_us=3,
    node_topic_us=140,
    round_trip_ms=1,
    round_trips=6,
)
GUESS = replace(TRUE, record_us=50, topic_us=10, node_topic_us=10)


def made(topics: int, records: int = 200_000, *, slower: float = 1.0) -> Point:
    found = simulate(TRUE, Setup(topics), Load(records))
    return Point(
        topics, records, records, found.transactions, found.records_per_s / slower, found.router_cpu_s * slower
    )


def line(point: Point) -> str:
    told = {"agreements": point.agreements, "records": point.records, "deliveries": point.deliveries}
    router = {"records_per_s": point.records_per_s, "cpu_s": point.cpu_s, "wall_s": 1, "records_per_cpu_s": 1}
    return json.dumps({**told, "transactions": point.transactions, "router": router, "copy": router, "ratio": 1})


def test_points_give_back_the_costs_that_made_them() -> None:
    found = calibrate([made(10), made(3_000)], GUESS, cores=2)
    assert found.record_us == pytest.approx(TRUE.record_us, rel=0.03)
    assert found.topic_us == pytest.approx(TRUE.topic_us, rel=0.05)
    assert found.node_topic_us == pytest.approx(TRUE.node_topic_us, rel=0.15)


def test_what_lies_between_the_ends_is_predicted_and_compared() -> None:
    costs, found = compare([made(300), made(10), made(1_000), made(3_000)], GUESS, cores=2)
    assert [each.fitted for each in found] == [False, True, False, True]
    assert costs != GUESS
    for each in found:
        told = each.as_json()
        assert abs(told["error_percent"]) < 3
        assert abs(told["cpu_error_percent"]) < 3


def test_a_point_that_was_slower_is_told_by_how_much() -> None:
    _, found = compare([made(10), made(300, slower=1.25), made(3_000)], GUESS, cores=2)
    assert found[1].as_json()["error_percent"] == pytest.approx(25, abs=3)
    assert found[1].as_json()["cpu_error_percent"] == pytest.approx(-20, abs=3)


def test_two_points_only_are_compared_with_the_costs_as_they_are() -> None:
    costs, found = compare([made(10), made(300)], TRUE, cores=2)
    assert costs == TRUE
    assert [each.fitted for each in found] == [False, False]
    assert all(each.as_json()["error_percent"] == pytest.approx(0, abs=0.1) for each in found)


def test_points_that_contradict_each_other_give_no_negative_cost() -> None:
    cheap = replace(made(3_000), cpu_s=1.0)
    found = calibrate([made(10), cheap], GUESS, cores=2)
    assert min(found.record_us, found.topic_us, found.node_topic_us) >= 0


def test_points_are_read_as_the_router_measurement_writes_them() -> None:
    assert read_points(f"{line(made(10))}\n\n{line(made(300))}\n") == [made(10), made(300)]


def test_points_are_read_from_a_matrix_where_nothing_is_left_out_or_another_size() -> None:
    detail = {"records_per_s": 20_000, "records_per_cpu_s": 25_000, "transactions": 9, "deliveries": 60_000}
    run = {"value": 20_000, "unit": "records/s", "ratio": 0.5, "detail": detail}
    lines = as_lines(
        [Result(cell, {0: run, 1: run}) for cell in cells("topics-10,topics-3000,without-guard,size-large")]
    )
    text = "".join(f"{json.dumps({'at': 'now', **each})}\n" for each in lines)
    assert read_points(text) == [Point(topics, 60_000, 60_000, 9, 20_000, 2.4) for topics in (10, 10, 3_000, 3_000)]


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", "1", '{"cell": 1}', '{"agreements": 1}', line(replace(made(10), transactions=0))]
)
def test_what_is_no_file_of_points_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="points"):
        read_points(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"record_us": 1}'])
def test_what_is_no_file_of_costs_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="costs"):
        read_costs(text)


def test_the_kept_costs_are_read_and_each_says_where_it_comes_from() -> None:
    text = COSTS.read_text()
    assert read_costs(text).record_us > 0
    assert all(each["from"] for each in json.loads(text).values())


def run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    bench_simulate.register(parser.add_subparsers())
    given = parser.parse_args(["simulate", *arguments])
    given.run(given)


def test_the_command_compares_a_file_of_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "points"
    file.write_text("\n".join(map(line, [made(10), made(300), made(3_000)])))
    run("--points", str(file), "--json")
    told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [each["topics"] for each in told] == [10, 300, 3_000]
    run("--points", str(file))
    assert "predicted" in capsys.readouterr().out


def test_the_command_tells_what_another_setup_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    run("--topics", "300,3000", "--rate", "200", "--routers", "2", "--cores", "4", "--round-trip-ms", "100", "--json")
    told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [each["topics"] for each in told] == [300, 3_000]
    assert all(each["p50_ms"] > 600 for each in told)
    with pytest.raises(ConfigError, match="setup"):
        run("--topics", "300", "--routers", "9")


def test_points_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        run("--points", str(tmp_path / "none"))
