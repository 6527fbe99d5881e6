"""`datanuts adapter list|new|run|check`: the programs that turn the changes of one system into records."""

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.publication import Publication
from adapters.runner import Runner
from adapters.sdk import Adapter, Observed
from adapters.summary import Summary
from broker.batches import Row
from broker.cli import adapter_certify, adapter_mapping, adapter_new, datadir
from broker.cli.certified_journal import Rule, bindings_of, told
from broker.cli.documents import PolicyFolder
from broker.cli.output import machine, note, say, table
from broker.cli.processes import stopping
from broker.cli.publishing import runner_over, schema_of
from broker.cli.site import Site, site
from broker.errors import Invalid, Retriable
from broker.model.keyed import KEY_BYTES
from broker.settings import load_settings
from broker.telemetry import Event, configure, log

_SHOWN_EVERY_S = 1.0
_SKEW_TOLD_S = 5


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("adapter", help="publish what a source holds, or try an adapter on it").add_subparsers(
        metavar="VERB", required=True
    )
    listing = verbs.add_parser("list", help="the adapters that come with this package")
    listing.add_argument("--json", action="store_true", help="one JSON value per line")
    listing.set_defaults(run=_list)
    adapter_new.register(verbs)
    run = verbs.add_parser(
        "run",
        help="publish what is new in a source",
        description="Goes on where the last run stopped; what did not change since is a duplicate and not published "
        "again. One adapter of a name runs at a time: a second one takes over, the first ends with exit code 3.",
    )
    _arguments(run)
    run.add_argument("--once", action="store_true", help="stop at the end of the source instead of polling it")
    run.add_argument("--every", type=_seconds, default=60.0, metavar="S", help="seconds between two polls; default: 60")
    run.add_argument("--dry-run", action="store_true", help="as `check`: publish nothing")
    adapter_mapping.add_explain(run)
    run.set_defaults(run=_run)
    check = verbs.add_parser(
        "check",
        help="read everything, map and guard it, publish nothing; works offline",
        description="Counts what `run` would publish into an empty installation.",
    )
    _arguments(check)
    adapter_mapping.add_explain(check)
    check.set_defaults(run=_check)
    adapter_certify.register(verbs)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help=f"{', '.join(registry.NAMES)}, a module with build(source), or a folder with a mapping.yaml",
    )
    parser.add_argument(
        "--mapping", type=Path, metavar="FILE", help="a mapping file (docs/adapters.md) instead of NAME"
    )
    parser.add_argument("--source", metavar="PATH_OR_URL", help="what it reads; default: what the mapping says")
    datadir.add_option(parser)
    parser.add_argument("--json", action="store_true", help="print the summary as one line of JSON")
    parser.set_defaults(wrong=parser.error)


def _list(given: argparse.Namespace) -> None:
    found = [(registry.load(name, ""), registry.describe(name)) for name in registry.NAMES]
    if given.json:
        for adapter, about in found:
            machine({"name": adapter.name, "sources": dict(adapter.sources), "about": about})
        return
    table(
        ("adapter", "product of source", "reads"),
        (
            (adapter.name, ", ".join(f"{product} of {owner}" for product, owner in adapter.sources.items()), about)
            for adapter, about in found
        ),
    )


def _adapter(given: argparse.Namespace) -> Adapter:
    """The adapter of a mapping, or by name."""
    mapped = adapter_mapping.mapped(given)
    if mapped is not None:
        return mapped
    if given.name is None or given.source is None:
        given.wrong("name an adapter and its --source, or a mapping: a folder with mapping.yaml, or --mapping FILE")
    return registry.load(given.name, given.source)


async def _run(given: argparse.Namespace) -> None:
    if given.dry_run:
        await _check(given)
        return
    if given.explain:
        raise Invalid("--explain goes with --dry-run: it shows records, and publishes none")
    adapter = _adapter(given)
    settings = load_settings(data_dir=given.data_dir)
    home = datadir.DataDir(settings.data_dir)
    home.make()
    with (home.logs / f"adapter-{adapter.name}.log").open("a", encoding="utf-8") as lines:
        configure("adapter", settings, stream=lines)
        async with stopping() as stop, site(home, settings, progress=note) as here:
            bindings = bindings_of(adapter, given.name)
            runner = await runner_over(here, adapter, bindings)
            if not given.json:
                _note_missing(Rule(bindings, real=False), here)
            runner.interval_s = given.every
            await _until_stopped(runner, stop, given, once=given.once)


def _note_missing(rule: Rule, here: Site) -> None:
    """Say in development what would stop the adapter elsewhere."""
    missing = rule.missing(here.control.state, datetime.now(UTC))
    if missing is not None:
        note(f"runs here, where persons are synthetic; elsewhere it would not: {told(*missing)}")


async def _check(given: argparse.Namespace) -> None:
    adapter = _adapter(given)
    await adapter_mapping.look_inside(adapter, given)
    folder = PolicyFolder.of(schemas=load_settings(data_dir=given.data_dir).schemas)
    nobody = bytes(KEY_BYTES)
    publications = {
        product: Publication(organisation, schema_of(folder, product), 0, k_lane=nobody, lanes=1)
        for product, organisation in adapter.sources.items()
    }
    async with stopping() as stop:
        await _until_stopped(Runner(adapter, publications, _Nowhere(), nobody), stop, given, once=True)


async def _until_stopped(runner: Runner, stop: asyncio.Event, given: argparse.Namespace, *, once: bool) -> None:
    """Run to the end of the source or to a signal, and write the summary; raises `KeyboardInterrupt` after a signal."""
    if not given.json:
        runner.progress = _Progress(runner.adapter)
    runner.trouble = _trouble
    running = asyncio.create_task(runner.run(once=once), name="adapter")
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        for task in (running, stopped):
            task.cancel()
        await asyncio.gather(running, stopped, return_exceptions=True)
    log(Event.ADAPTER_ENDED, adapter=runner.adapter.name)
    about = {"source": facts} if (facts := _facts(runner.adapter)) else {}
    (machine if given.json else _shown)({**runner.summary.as_json(), **_watched(runner), **about})
    if stop.is_set():
        raise KeyboardInterrupt


def _watched(runner: Runner) -> dict[str, Any]:
    """What drifts and how far the source's clock is ahead, where there is something to tell."""
    drift = [each.as_json() for each in runner.drift]
    return ({"drift": drift} if drift else {}) | ({} if runner.skew_s is None else {"skewS": runner.skew_s})


class _Progress:
    """A line on standard error, at most one a second."""

    def __init__(self, adapter: Adapter) -> None:
        self._at, self._adapter = time.monotonic(), adapter

    def __call__(self, so_far: Summary) -> None:
        if (now := time.monotonic()) - self._at >= _SHOWN_EVERY_S:
            self._at = now
            about = "".join(f", {name} {figure}" for name, figure in _facts(self._adapter).items())
            note(f"{so_far.read} read, {so_far.published} published{about}")


def _facts(adapter: Adapter) -> dict[str, int]:
    """What the adapter knows of its source, as how far a replication slot lags."""
    return dict(adapter.facts) if isinstance(adapter, Observed) else {}


def _trouble(error: Retriable, pause_s: float) -> None:
    note(f"{error} [{error.code}]; again in {pause_s:g} s")


def _shown(summary: Mapping[str, Any]) -> None:
    rows: list[tuple[str, str, int]] = [(outcome, "", summary[outcome]) for outcome in ("published", "duplicate")]
    if summary["deleted"]:
        rows.append(("deleted", "", summary["deleted"]))
    for outcome in ("ignored", "quarantined"):
        rows += [(outcome, reason, number) for reason, number in summary[outcome].items()]
    say(f"{summary['read']} read")
    table(("outcome", "reason", "items"), rows)
    if "drift" in summary:
        say("the source drifts (docs/adapters.md):")
        table(
            ("product", "path", "what", "was", "now"),
            ((each["product"], each["path"], each["code"], each["was"], each["now"]) for each in summary["drift"]),
        )
    if abs(skew := summary.get("skewS", 0)) > _SKEW_TOLD_S:
        say(f"the source's clock is {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} ours")
    for name, figure in summary.get("source", {}).items():
        say(f"{name} {figure}")


class _Nowhere:
    """A journal that forgets."""

    async def open(self) -> Mapping[bytes, bytes]:
        """Nothing was ever published."""
        return {}

    async def commit(self, outputs: Mapping[tuple[str, int], Sequence[Row]]) -> None:
        """Nothing is written."""

    async def close(self) -> None:
        """There is nothing to give up."""


def _seconds(text: str) -> float:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number of seconds")
    return float(text)
