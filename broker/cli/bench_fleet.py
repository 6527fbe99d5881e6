"""`datanuts bench scale-out|takeover`: several routers of one installation, as whole processes."""

import argparse
from typing import Any

from broker.cli.bench_site import count, ends, fresh_installation, told_as_json
from broker.cli.output import note, say, table


def register(verbs: Any) -> None:
    """Add the verbs to the parser of `datanuts bench`."""
    scale = verbs.add_parser("scale-out", help="several routers against one, over the same records")
    scale.add_argument("--routers", type=count, default=2, metavar="N", help="processes that share lanes (default 2)")
    scale.add_argument("--agreements", type=count, default=300, metavar="N", help="active agreements (default 300)")
    scale.add_argument("--records", type=count, default=200_000, metavar="N", help="of a turn (default 200000)")
    scale.add_argument("--turns", type=count, default=3, metavar="N", help="turns of each (default 3)")
    ends(scale, _scale_out)
    takeover = verbs.add_parser("takeover", help="what is noticed when a router is killed, joins or leaves")
    takeover.add_argument("--rate", type=count, default=500, metavar="N", help="records a second (default 500)")
    takeover.add_argument("--kills", type=count, default=5, metavar="N", help="of one of two (default 5)")
    takeover.add_argument("--rounds", type=count, default=3, metavar="N", help="a third joins, one leaves (default 3)")
    takeover.add_argument("--agreements", type=count, default=50, metavar="N", help="live agreements (default 50)")
    ends(takeover, _takeover)


async def _scale_out(given: argparse.Namespace) -> None:
    from bench.scale_out import measure  # noqa: PLC0415 - a measurement's code is loaded by a measurement only

    async with fresh_installation() as here:
        figures = await measure(
            here,
            routers=given.routers,
            agreements=given.agreements,
            records=given.records,
            turns=given.turns,
            progress=note,
        )
    found = figures.as_json()
    if told_as_json(given, found):
        return
    names = ("records_per_s", "records_per_cpu_s")
    rows = [(who, *(found[who][name]["median"] for name in names), found[who]["cpu_s"]) for who in ("one", "several")]
    table(("routers", "records/s", "records/CPU s", "CPU s of each process, by turn"), rows)
    ratio, per_cpu = found["ratio"], found["ratio_per_cpu"]
    say(f"{given.routers} ÷ 1: {ratio['median']} by wall clock, {per_cpu['median']} per CPU second (medians of turns)")


async def _takeover(given: argparse.Namespace) -> None:
    from bench.takeover import measure  # noqa: PLC0415 - as above

    async with fresh_installation() as here:
        figures = await measure(
            here,
            rate=given.rate,
            kills=given.kills,
            rounds=given.rounds,
            agreements=given.agreements,
            progress=note,
        )
    found = figures.as_json()
    if told_as_json(given, found):
        return
    for kind in ("killed", "joined", "left"):
        rows = [(kind, name, *spread.values()) for name, spread in found[kind].items()]
        table(("router", "figure", "times", "median", "min", "max"), rows)
    say(f"of {found['deliveries']} deliveries {found['missing']} missing, {found['doubled']} doubled")
