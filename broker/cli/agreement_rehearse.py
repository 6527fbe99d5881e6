"""`datanuts agreement rehearse FILE`: every step of an agreement at once, each in the name of whose it is.

For trying things out on a local installation, which holds the credentials of all its organisations; its signatures are
of method `dev`, which an installation with real persons refuses.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from broker.cli import datadir
from broker.cli.agreement_steps import told
from broker.cli.client import Client
from broker.cli.datadir import DataDir
from broker.cli.documents import read_text
from broker.errors import Invalid
from broker.model.lifecycle import Method, Verdict
from broker.policy.yamltext import load

_MOST_STEPS = 16


def register(verbs: Any) -> None:
    """Add the verb to those of `datanuts agreement`."""
    parser = verbs.add_parser(
        "rehearse",
        help="bring an agreement into force on a local installation, all sides played by you",
        description="Requests, approves, advises, signs and publishes with the local credentials of both sides. An "
        "installation with real persons refuses the signatures.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    datadir.add_option(parser)
    parser.add_argument("--json", action="store_true", help="one JSON value per line")
    parser.set_defaults(run=_rehearse)


def _rehearse(given: argparse.Namespace) -> None:
    document = load(read_text(given.file))
    if not isinstance(document, dict) or not isinstance(document.get("agency"), str):
        raise Invalid(f"{given.file}: not an agreement document")
    home = DataDir(given.data_dir)
    api = home.connection().api
    clients: dict[str, Client] = {}
    with ExitStack() as stack:

        def of(organisation: str) -> Client:
            if organisation not in clients:
                token = home.credential_of(organisation).token
                clients[organisation] = stack.enter_context(Client(api, token))
            return clients[organisation]

        entry = of(document["agency"]).post("/v1/agreements", document)
        for _ in range(_MOST_STEPS):
            pending = entry.get("amendment") or entry
            if not pending["awaits"]:
                break
            step, by = pending["awaits"][0]["step"], pending["awaits"][0]["by"]
            verb, stated = _STEPS[step]
            stated = {**stated, "textSha256": pending["textSha256"]} if stated is not None else None
            entry = of(by).post(f"/v1/agreements/{entry['id']}/{verb}", stated)
    told(given, entry)


_STEPS: dict[str, tuple[str, dict[str, str] | None]] = {
    "approved": ("approve", {}),
    "advised": ("advice", {"verdict": Verdict.FAVOURABLE.value, "reference": "FICTIEF-PROEF"}),
    "signed": ("signatures", {"function": "proef", "mandate": "proef", "method": Method.DEV.value}),
    "published": ("publish", None),
}
"""Each awaited step: the last part of its address, and what it states."""
