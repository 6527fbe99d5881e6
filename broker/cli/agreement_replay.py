"""`datanuts agreement replay`: be told again of everybody in the population."""

import argparse
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, say


def register(verbs: Any) -> None:
    """Add the verb to those of `datanuts agreement`."""
    parser = verbs.add_parser(
        "replay",
        help="have the present state of the population delivered again",
        description="The stream says REPLAY_BEGINS and REPLAY_ENDS for every lane. After the last of these, whoever was not "
        "told of again is no longer in the population. Live changes go on between.",
    )
    parser.add_argument("agreement")
    parser.add_argument(
        "--since",
        metavar="INSTANT",
        help="only subjects whose last record came at or after it, as 2026-11-01T00:00:00Z",
    )
    add_options(parser, acting=None)
    parser.set_defaults(run=_replay)


def _replay(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        body = None if given.since is None else {"since": given.since}
        asked = broker.post(f"/v1/agreements/{given.agreement}/replays", body)
    if given.json:
        machine(asked)
    else:
        say(f"run {asked['run']}: read on; {asked['lanes']} lanes say REPLAY_BEGINS and REPLAY_ENDS in the stream")
