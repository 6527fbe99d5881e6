"""`datanuts bench latency|memory|cold-start`: what whole processes take, in time and memory, under open-loop load."""

import argparse
from collections.abc import Mapping
from typing import Any

from broker.cli.bench_site import count, ends, fresh_installation, told_as_json
from broker.cli.output import note, say, table


def register(verbs: Any) -> None:
    """Add the verbs to the parser of `datanuts bench`."""
    latency = verbs.add_parser(
        "latency", help="publish to readable at a fixed rate, and a raw transactional hop beside it"
    )
    latency.add_argument("--rate", type=count, default=500, metavar="N", help="records a second (default 500)")
    latency.add_argument("--seconds", type=count, default=30, metavar="S", help="of a turn (default 30)")
    latency.add_argument("--turns", type=count, default=5, metavar="N", help="turns of each (default 5)")
    latency.add_argument("--agreements", type=count, default=300, metavar="N", help="live agreements (default 300)")
    ends(latency, _latency)
    memory = verbs.add_parser("memory", help="what a router holds: agreements, dossiers and subjects")
    memory.add_argument("--agreements", type=count, default=10_000, metavar="N", help="default 10000")
    memory.add_argument("--dossiers", type=count, default=1_000_000, metavar="N", help="default 1000000")
    memory.add_argument(
        "--subjects", type=count, default=1_000_000, metavar="N", help="in the lanes' state, default 1000000"
    )
    ends(memory, _memory)
    cold = verbs.add_parser("cold-start", help="from a router's start to its first lane and its first delivery")
    cold.add_argument("--agreements", type=count, default=10_000, metavar="N", help="in force (default 10000)")
    cold.add_argument("--starts", type=count, default=5, metavar="N", help="starts (default 5)")
    ends(cold, _cold_start)


async def _latency(given: argparse.Namespace) -> None:
    from bench.latency import measure  # noqa: PLC0415 - a measurement's code is loaded by a measurement only

    async with fresh_installation() as here:
        figures = await measure(
            here,
            rate=given.rate,
            seconds=given.seconds,
            turns=given.turns,
            agreements=given.agreements,
            progress=note,
        )
    found = figures.as_json()
    if told_as_json(given, found):
        return
    names = ("p50", "p99", "p999", "max")
    rows = [(who, found[who]["samples"], *(found[who][f"{name}_ms"] for name in names)) for who in ("router", "hop")]
    table(("contender", "samples", *(f"{name} ms" for name in names)), rows)
    spreads = ((who, *(_spread(found[who]["by_turn"][name]) for name in names)) for who in ("router", "hop"))
    table(("median of turns (min-max)", *(f"{name} ms" for name in names)), spreads)
    ratios = ", ".join(f"{name} {found['ratios'][name]}" for name in names)
    say(f"router ÷ hop: {ratios}")


async def _memory(given: argparse.Namespace) -> None:
    from bench.memory import measure  # noqa: PLC0415 - as above

    async with fresh_installation(topics=given.agreements) as here, fresh_installation() as small:
        figures = await measure(
            here,
            small,
            agreements=given.agreements,
            dossiers=given.dossiers,
            subjects=given.subjects,
            progress=note,
        )
    _shown(given, figures.as_json())


async def _cold_start(given: argparse.Namespace) -> None:
    from bench.cold_start import measure  # noqa: PLC0415 - as above

    async with fresh_installation(topics=given.agreements) as here:
        figures = await measure(here, agreements=given.agreements, starts=given.starts, progress=note)
    _shown(given, figures.as_json())


def _shown(given: argparse.Namespace, found: Mapping[str, Any]) -> None:
    if not told_as_json(given, found):
        table(("figure", "value"), ((name, _spread(value)) for name, value in found.items()))


def _spread(value: Any) -> Any:
    """A figure over several runs as people read it; any other as it is."""
    if isinstance(value, Mapping) and "median" in value:
        return f"{value['median']} ({value['min']}-{value['max']})"
    return value
