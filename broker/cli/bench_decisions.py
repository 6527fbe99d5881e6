"""`datanuts bench decisions`: what one decision of the compiled engine costs, and OPA and Cedar beside it if asked."""

import argparse
import asyncio
from functools import partial
from typing import Any

from broker.cli.bench_site import count, ends, peers_among, told_as_json
from broker.cli.documents import PolicyFolder
from broker.cli.output import note, say, table

_PEERS = ("opa", "cedar")


def register(verbs: Any) -> None:
    """Add the verb to the parser of `datanuts bench`."""
    parser = verbs.add_parser("decisions", help="what a decision costs under 10, 300 and 10,000 agreements")
    parser.add_argument("--records", type=count, default=100_000, metavar="N", help="records (default 100000)")
    parser.add_argument(
        "--peers", type=partial(peers_among, _PEERS), default=(), metavar="NAMES", help="also opa, cedar: `opa,cedar`"
    )
    parser.add_argument("--turns", type=count, default=3, metavar="N", help="turns of each beside peers (default 3)")
    ends(parser, _decisions, "one JSON object per size, the growth, one per peer's form")


async def _decisions(given: argparse.Namespace) -> None:
    from bench import decisions, policy_engines  # noqa: PLC0415 - a measurement's code is loaded by a measurement only
    from bench.population import PRODUCT  # noqa: PLC0415 - as above

    schema = PolicyFolder.of(None, None).product_schemas()[PRODUCT]
    programs = {name: await asyncio.to_thread(policy_engines.PEERS[name], note) for name in given.peers}
    found = decisions.measure(schema, records=given.records)
    growth = decisions.growth(found)
    rates = [
        rate.as_json()
        for rate in (policy_engines.compare(schema, programs, turns=given.turns, progress=note) if programs else ())
    ]
    if told_as_json(given, *(cost.as_json() for cost in found), {"growth": growth}, *rates):
        return
    columns = ("agreements", "compile s", "stays µs", "stays µs, 10", "moves µs", "moves µs, 10", "decisions")
    table(columns, [tuple(cost.as_json().values()) for cost in found])
    say("CPU µs per record, over the municipalities of all agreements or over ten of them")
    most, least = found[-1].agreements, found[0].agreements
    say(f"{most} ÷ {least} agreements: {', '.join(f'{name} {ratio}' for name, ratio in growth.items())}")
    if rates:
        columns = ("engine", "form", "agreements", "prepare s", "CPU ns", "wall ns", "decisions/CPU s")
        table(columns, [tuple(rate.values()) for rate in rates])
