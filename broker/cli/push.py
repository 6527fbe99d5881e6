"""What `datanuts webhook` and `datanuts drop` have in common: show, resume, test and remove, at an address of the agreement."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, say, table

_FARES = ("position", "lag", "lastSuccess", "failures", "failure", "failingSince", "lastFailure", "nextAttempt")


@dataclass(frozen=True, slots=True)
class Noun:
    """A kind of registration: its name in addresses and on the command line, and which of its members are shown in which order."""

    name: str
    tested: str
    first: Sequence[str]
    last: Sequence[str] = ()

    def register(self, verbs: Any) -> list[argparse.ArgumentParser]:
        """Add the verbs to the noun's subparsers; returns them, still without the agreement."""
        show = verbs.add_parser("show", help="state, position, lag, failures")
        show.set_defaults(run=self._show)
        resume = verbs.add_parser("resume", help="go on after a suspension")
        resume.add_argument(
            "--accept-loss",
            action="store_true",
            help="where the position is gone: go on with the oldest retained record",
        )
        resume.set_defaults(run=self._resume)
        test = verbs.add_parser("test", help=f"{self.tested}, about nobody")
        test.set_defaults(run=self._test)
        remove = verbs.add_parser("remove", help="send nothing any more")
        remove.set_defaults(run=self._remove)
        return [show, resume, test, remove]

    def path(self, given: argparse.Namespace) -> str:
        """Its address."""
        return f"/v1/agreements/{given.agreement}/{self.name}"

    def told(self, given: argparse.Namespace, known: dict[str, Any], where: str | None) -> None:
        """Say what became of it, and where things go where that is known."""
        if given.json:
            machine(known)
        else:
            say(f"{self.name} of {known['agreement']}: {known['state']}" + (f", to {where}" if where else ""))

    def _show(self, given: argparse.Namespace) -> None:
        with connect(given) as broker:
            known = broker.get(self.path(given))
        if given.json:
            machine(known)
            return
        names = (*self.first, "state", "reason", *_FARES, *self.last)
        table(("what", ""), ((name, known[name]) for name in names if known[name] is not None))
        table(("at", "event", "reason"), ((event["at"], event["type"], event["reason"]) for event in known["events"]))

    def _resume(self, given: argparse.Namespace) -> None:
        with connect(given) as broker:
            known = broker.post(f"{self.path(given)}/resume", {"acceptLoss": given.accept_loss})
        self.told(given, known, known.get("url") or known.get("host"))

    def _remove(self, given: argparse.Namespace) -> None:
        with connect(given) as broker:
            self.told(given, broker.delete(self.path(given)), None)

    def _test(self, given: argparse.Namespace) -> int:
        """Exit code 2 where the receiver did not take it."""
        with connect(given) as broker:
            done = broker.post(f"{self.path(given)}/test")
        if given.json:
            machine(done)
        else:
            answered = f" (HTTP {done['status']})" if done.get("status") else ""
            say(f"received{answered}" if done["delivered"] else f"not received: {done['failure']}{answered}")
        return 0 if done["delivered"] else 2


def with_agreement(verbs: Sequence[argparse.ArgumentParser]) -> None:
    """Give each verb the agreement and the options of an agency."""
    for verb in verbs:
        verb.add_argument("agreement")
        add_options(verb, acting=None)
