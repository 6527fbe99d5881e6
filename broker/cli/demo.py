"""`datanuts demo`: a fictional Flanders over a real broker, with a live view; it stays up until Ctrl-C."""

import argparse
import asyncio
import shlex
import shutil
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.live import Live

from adapters.sdk import Adapter
from adapters.summary import Summary
from broker.cli import datadir
from broker.cli.datadir import DataDir
from broker.cli.documents import read_text
from broker.cli.output import machine, note, say
from broker.cli.processes import served, stopping
from broker.cli.publishing import runner_over
from broker.cli.stack import Stack, running
from broker.demo.cast import cast
from broker.demo.pages import create_pages
from broker.demo.report import Outcome, failures, summary
from broker.demo.rules import Rules
from broker.demo.scenario import Scenario
from broker.demo.teller import Teller
from broker.demo.view import closing, frame
from broker.demo.watch import Watch
from broker.policy import documents
from broker.settings import load_settings
from broker.telemetry import configure

_FRAME_S = 0.25
_FAILED = 2


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    parser = commands.add_parser(
        "demo",
        help="fictional people, eight agencies, a move and a revocation on a real broker",
        description="Plays the demo and stays up until Ctrl-C. A data directory that was used before is gone on from: "
        "what the sources stated already is not published again, an agreement that was revoked is asked for anew. "
        "Exits 2 if a figure does not add up.",
    )
    datadir.add_option(parser)
    parser.add_argument("--once", action="store_true", help="stop after the last act")
    parser.add_argument("--json", action="store_true", help="print the summary as one line of JSON, and no view")
    parser.set_defaults(run=_run)


async def _run(given: argparse.Namespace) -> int:
    began, settings = time.monotonic(), load_settings(data_dir=given.data_dir)
    home = DataDir(settings.data_dir)
    home.make()
    with (home.logs / "demo.log").open("a", encoding="utf-8") as lines:
        configure("demo", settings, stream=lines)
        async with stopping() as stop, running(home, settings, progress=note) as stack:
            scenario = _scenario(stack)
            warm_start_s = round(time.monotonic() - began, 1)
            shown = sys.stdout.isatty() and not given.json
            outcome = await _unless(stop, _played(scenario, warm_start_s, shown=shown))
            _told(scenario, outcome, shown=shown, as_json=given.json)
            if not given.once:
                async with served(create_pages(Teller(scenario))) as url:
                    _invite(url, stack.home, outcome)
                    await stop.wait()
                    note("stopping")
            return _FAILED if any(failures(outcome)) else 0


def _scenario(stack: Stack) -> Scenario:
    async def publish(adapter: Adapter) -> Summary:
        return await (await runner_over(stack.site, adapter)).run(once=True)

    agreements = (documents.agreement(read_text(path)) for path in stack.installation.folder.agreement_files())
    rules = Rules({agreement.id: agreement for agreement in agreements})
    return Scenario(stack, cast(), rules, publish, lambda: datetime.now(UTC), announce=note)


async def _played(scenario: Scenario, warm_start_s: float, *, shown: bool) -> Outcome:
    refusal = await scenario.prepare()
    async with scenario.watch() as watch, _view(scenario, watch, shown=shown):
        return await scenario.play(watch, refusal, warm_start_s)


@asynccontextmanager
async def _view(scenario: Scenario, watch: Watch, *, shown: bool) -> AsyncIterator[None]:
    """The live view while the block runs, ended with its last frame; without it one line per act."""
    if not shown:
        yield
        return
    act = ""

    def announce(line: str) -> None:
        nonlocal act
        act = line

    def now() -> Any:
        latency = watch.tally.latency(scenario.live_since_ms)
        return frame(act, tuple(scenario.rules.agreements.values()), watch.tally, scenario.stage.counts(), latency)

    async def refresh(live: Live) -> None:
        while True:
            live.update(now(), refresh=True)
            await asyncio.sleep(_FRAME_S)

    scenario.announce = announce
    with Live(now(), auto_refresh=False) as live:  # its own thread would read what is being counted
        refreshing = asyncio.create_task(refresh(live), name="view")
        try:
            yield
            live.update(now(), refresh=True)
        finally:
            refreshing.cancel()


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """The outcome of `work`; raises `KeyboardInterrupt` where `stop` is set before."""
    working, stopped = asyncio.create_task(work, name="demo"), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise KeyboardInterrupt
        return working.result()
    finally:
        for task in (working, stopped):
            task.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)


def _told(scenario: Scenario, outcome: Outcome, *, shown: bool, as_json: bool) -> None:
    if as_json:
        machine(summary(outcome))
        return
    if not shown:
        agreements = tuple(scenario.rules.agreements.values())
        Console(highlight=False).print(frame("played", agreements, outcome.tally, outcome.counted, outcome.latency))
    for line in closing(outcome):
        say(line)


def _invite(url: str, home: DataDir, outcome: Outcome) -> None:
    """What to try now, in another terminal."""
    program = "datanuts" if shutil.which("datanuts") else shlex.quote(sys.argv[0])
    where = f"--data-dir {shlex.quote(str(home.root))}"
    say("")
    say(f"status page (fictieve gegevens): {url}/")
    say("try next, in another terminal:")
    for command in (
        "agreement list",
        "consume inwoners-leuven --as stad-leuven --max 3",
        "consume statistiek-vlaanderen --as statistiek-vlaanderen --max 3 --json",
        "dossier list --agreement parkeerboetes-gent --as gent-parkeren",
        f"trace {outcome.move.delivery} --why jeugddienst-leuven",
        "agreement revoke statistiek-vlaanderen",
    ):
        say(f"  {program} {command} {where}")
    say("Ctrl-C stops everything")
