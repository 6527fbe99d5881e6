"""`datanuts bench router|dossiers|decisions|backfill|state|adapter|isolation`: measurements in one run on an installation of their own, always against a floor."""

import argparse
import asyncio
from typing import Any

from broker.cli import bench_decisions, bench_fleet, bench_load, bench_matrix, bench_simulate
from broker.cli.bench_site import count, ends, fresh_installation, peers_among, told_as_json
from broker.cli.output import note, say, table


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("bench", help="measure, always against a floor in the same run").add_subparsers(
        metavar="VERB", required=True
    )
    parser = verbs.add_parser("router", help="router records/s, raw transactional copy records/s, and their ratio")
    parser.add_argument("--agreements", type=count, default=300, metavar="N", help="active agreements (default 300)")
    parser.add_argument("--records", type=count, default=200_000, metavar="N", help="source records (default 200000)")
    parser.add_argument(
        "--peers", type=_peers, default=(), metavar="NAMES", help="also kstreams, quix or both: `kstreams,quix`"
    )
    ends(parser, _router)
    dossiers = verbs.add_parser("dossiers", help="load and rebuild a register, its memory, the router with and without")
    dossiers.add_argument("--entries", type=count, default=1_000_000, metavar="N", help="dossiers (default 1000000)")
    dossiers.add_argument("--records", type=count, default=100_000, metavar="N", help="source records (default 100000)")
    ends(dossiers, _dossiers)
    bench_decisions.register(verbs)
    backfill = verbs.add_parser("backfill", help="a backfill and a replay, and what other agencies notice of them")
    backfill.add_argument("--subjects", type=count, default=200_000, metavar="N", help="subjects (default 200000)")
    ends(backfill, _backfill)
    state = verbs.add_parser("state", help="a lane's state of many subjects: written, read, looked through, rebuilt")
    state.add_argument("--subjects", type=count, default=1_000_000, metavar="N", help="subjects (default 1000000)")
    ends(state, _state)
    adapter = verbs.add_parser("adapter", help="an adapter's runner, with seals and without")
    adapter.add_argument("--records", type=count, default=50_000, metavar="N", help="records a turn (default 50000)")
    adapter.add_argument("--turns", type=count, default=5, metavar="N", help="turns of each (default 5)")
    ends(adapter, _adapter)
    isolation = verbs.add_parser(
        "isolation", help="what agencies notice of others that are slow, hasty or read all again"
    )
    isolation.add_argument(
        "--replayed", type=count, default=100_000, metavar="N", help="subjects that are read again (default 100000)"
    )
    isolation.add_argument("--seconds", type=count, default=30, metavar="S", help="least of a phase (default 30)")
    isolation.add_argument(
        "--records", type=count, default=200, metavar="N", help="live records a second (default 200)"
    )
    ends(isolation, _isolation)
    bench_fleet.register(verbs)
    bench_load.register(verbs)
    bench_matrix.register(verbs)
    bench_simulate.register(verbs)


async def _router(given: argparse.Namespace) -> None:
    from bench.peer_programs import program  # noqa: PLC0415 - a measurement's code is loaded by a measurement only
    from bench.router import compare  # noqa: PLC0415 - as above

    peers = [await asyncio.to_thread(program, name, note) for name in given.peers]
    async with fresh_installation(topics=2 * given.agreements) as here:
        found = await compare(here, agreements=given.agreements, number=given.records, progress=note, peers=peers)
    result = found.as_json()
    if told_as_json(given, result):
        return
    rows = [(who, *result[who].values()) for who in ("router", "copy")]
    against = result.get("peers", {})
    for name, known in against.items():
        rows += [(f"{name}, commit {run['commit_ms']} ms", *list(run.values())[:4]) for run in known["runs"]]
    table(("contender", "records/s", "records/CPU s", "wall s", "CPU s"), rows)
    for name, known in {"copy": result, **against}.items():
        say(f"router ÷ {name}: {known['ratio']} by wall clock, {known['ratio_per_cpu']} per CPU second")


async def _dossiers(given: argparse.Namespace) -> None:
    from bench.dossiers import measure  # noqa: PLC0415 - as above

    async with fresh_installation() as here:
        found = await measure(here, entries=given.entries, number=given.records, progress=note)
    result = found.as_json()
    if told_as_json(given, result):
        return
    runs = {name: result[name] for name in ("load", "load_again", "rebuild", "told")}
    runs |= {f"router, {name}": run for name, run in result["router"].items() if isinstance(run, dict)}
    table(("run", "per s", "per CPU s", "wall s", "CPU s"), ((name, *run.values()) for name, run in runs.items()))
    say(f"{result['entries']} dossiers in {result['memory_mb']} MB; {result['router']['delivered']} records delivered")
    say(
        f"router with ÷ without: {result['ratio_others']} on file are others, {result['ratio_tenth']} a tenth of its people"
    )


async def _backfill(given: argparse.Namespace) -> None:
    from bench.backfill import measure  # noqa: PLC0415 - as above

    async with fresh_installation() as here:
        found = (await measure(here, subjects=given.subjects, progress=note)).as_json()
    if told_as_json(given, found):
        return
    table(("figure", "value"), list(found.items()))


async def _state(given: argparse.Namespace) -> None:
    from bench.state import measure  # noqa: PLC0415 - as above

    async with fresh_installation() as here:
        found = await measure(here, subjects=given.subjects, progress=note)
    if told_as_json(given, found.as_json()):
        return
    for name, figure in found.as_json().items():
        say(f"{name:24} {figure}")


async def _adapter(given: argparse.Namespace) -> None:
    from bench.adapter import measure  # noqa: PLC0415 - as above

    async with fresh_installation() as here:
        found = (await measure(here, number=given.records, turns=given.turns, progress=note)).as_json()
    if told_as_json(given, found):
        return
    table(("runner", "records/s", "records/CPU s"), ((name, *found[name].values()) for name in ("whole", "bare")))
    say(f"whole ÷ bare: {found['ratio']} by wall clock, {found['ratio_per_cpu']} per CPU second")


async def _isolation(given: argparse.Namespace) -> None:
    from bench.isolation import measure  # noqa: PLC0415 - as above

    async with fresh_installation() as here:
        found = await measure(here, replayed=given.replayed, seconds=given.seconds, rate=given.records, progress=note)
    if told_as_json(given, found.as_json()):
        return
    table(("phase", "exit", "deliveries", "p50 ms", "p99 ms", "p50 ÷", "p99 ÷"), found.rows())
    rows = ((phase, name, *held) for phase, known in found.memory_mb.items() for name, held in known.items())
    table(("phase", "process", "MB before", "MB after"), rows)
    rest = {**found.flooded, **found.again, **{f"refused_{name}": times for name, times in found.refused.items()}}
    table(("figure", "value"), rest.items())


def _peers(text: str) -> tuple[str, ...]:
    from bench.peer_programs import PEERS  # noqa: PLC0415 - as above

    return peers_among(PEERS, text)
