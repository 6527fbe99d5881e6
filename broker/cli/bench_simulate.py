"""`datanuts bench simulate`: what measured costs come to elsewhere, and how far that is from what was measured."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from broker.cli.bench_site import count, ends, told_as_json
from broker.cli.output import say, table
from broker.errors import ConfigError

_SECONDS = 20
_BACKLOG = 200_000


def register(verbs: Any) -> None:
    """Add the verb to the parser of `datanuts bench`."""
    parser = verbs.add_parser(
        "simulate", help="simulate routers and nodes by measured costs; compare with measured points"
    )
    parser.add_argument(
        "--points",
        type=Path,
        metavar="FILE",
        help="lines of `bench router --json` or `bench matrix --json` to compare with (default: those kept)",
    )
    parser.add_argument("--topics", type=_counts, metavar="N[,N]", help="simulate so many delivery topics instead")
    parser.add_argument("--rate", type=count, metavar="N", help="records a second, open loop (default: a backlog)")
    parser.add_argument("--records", type=count, metavar="N", help="default 200000, or 20 seconds of the rate")
    parser.add_argument("--routers", type=count, default=1, metavar="N", help="router processes (default 1)")
    parser.add_argument("--lanes", type=count, default=8, metavar="N", help="default 8")
    parser.add_argument(
        "--cores", type=count, default=2, metavar="N", help="cores of all machines together (default 2)"
    )
    parser.add_argument("--node-cores", type=count, metavar="N", help="of them, that the nodes may use (default: all)")
    parser.add_argument("--deliveries", type=count, default=1, metavar="N", help="of a record (default 1)")
    parser.add_argument("--replicas", type=count, default=1, metavar="N", help="default 1")
    parser.add_argument("--round-trip-ms", type=_milliseconds, metavar="MS", help="default: as measured")
    parser.add_argument("--costs", type=Path, metavar="FILE", help="other costs than bench/history/costs.json")
    ends(parser, _simulate, "one JSON object per line")


def _simulate(given: argparse.Namespace) -> None:
    from bench.calibration import COSTS, POINTS, read_costs  # noqa: PLC0415 - a measurement's code is loaded by one only

    costs = read_costs(_text(given.costs or COSTS))
    if given.round_trip_ms is not None:
        costs = replace(costs, round_trip_ms=given.round_trip_ms)
    if given.topics is not None:
        _what_if(given, costs)
    else:
        _compare(given, costs, _text(given.points or POINTS))


def _compare(given: argparse.Namespace, costs: Any, text: str) -> None:
    from bench.calibration import compare, read_points  # noqa: PLC0415 - as above

    costs, found = compare(read_points(text), costs, cores=given.cores)
    lines = [each.as_json() for each in found]
    if told_as_json(given, *lines):
        return
    table(
        ("topics", "", "records/s", "simulated", "%", "CPU s", "simulated", "%"),
        ((told["topics"], "fitted" if told["fitted"] else "predicted", *list(told.values())[2:8]) for told in lines),
    )
    say(
        f"with {costs.record_us:.1f} µs a record and {costs.topic_us:.0f} µs a touched topic in the router, "
        f"{costs.node_topic_us:.0f} µs a touched topic in the node"
    )


def _what_if(given: argparse.Namespace, costs: Any) -> None:
    from bench.simulation import Load, Setup, simulate  # noqa: PLC0415 - as above

    usual = _BACKLOG if given.rate is None else given.rate * _SECONDS
    load = Load(given.records or usual, given.rate)
    try:
        setups = [
            Setup(
                topics,
                routers=given.routers,
                lanes=given.lanes,
                cores=given.cores,
                node_cores=given.node_cores or given.cores,
                deliveries=given.deliveries,
                replicas=given.replicas,
            )
            for topics in given.topics
        ]
    except ValueError as error:
        raise ConfigError(str(error)) from None
    lines = [{"topics": setup.topics, **simulate(costs, setup, load).as_json()} for setup in setups]
    if told_as_json(given, *lines):
        return
    shown = ("topics", "records_per_s", "seconds", "router_share", "node_share", "p50_ms", "p99_ms")
    heads = ("topics", "records/s", "seconds", "router share", "node share", "p50 ms", "p99 ms")
    table(heads, ([line[name] for name in shown] for line in lines))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise ConfigError(f"{path} cannot be read; name a file, or --topics to simulate without one") from None


def _counts(text: str) -> tuple[int, ...]:
    return tuple(count(each) for each in text.split(","))


def _milliseconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise argparse.ArgumentTypeError("must be a number that is not negative")
    return found
