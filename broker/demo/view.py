"""The demo on a terminal: one frame of the live view, and the summary it ends with."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from broker.demo.report import Outcome, failures
from broker.demo.rules import REFUSED
from broker.demo.tally import Latency, Tally
from broker.model.agreement import Agreement
from broker.model.decision import Reason

NOTICE = "fictieve gegevens: nobody in this demo exists"


def frame(
    act: str,
    agreements: Sequence[Agreement],
    tally: Tally,
    counts: Mapping[str, Any],
    latency: Latency | None,
) -> RenderableType:
    """What the topics say by now, and the act that is being played."""
    return Panel(
        Group(Text(act, style="bold"), Text(_flow(tally, latency)), "", _agreements(agreements, tally, counts)),
        title="datanuts demo",
        subtitle=NOTICE,
        title_align="left",
        subtitle_align="left",
        padding=(1, 2),
    )


def closing(outcome: Outcome) -> list[str]:
    """The lines under the last frame: what the figures of the table do not show."""
    move, revocation = outcome.move, outcome.revocation
    code, path, text = outcome.refusal[0] if outcome.refusal else ("-", "-", "was accepted")
    lines = [
        f"refused: {REFUSED}: {path}: {text} [{code}]",
        f"moved: {move.left} departure without the new address, {move.entered} arrival with it, {move.others} others",
        f"revoked in {revocation.duration_ms} ms: {revocation.reported} lanes drew their line; after it: {revocation.after} records",
        f"warm start {outcome.warm_start_s} s; {outcome.duplicates} statements were known already and not published again",
    ]
    return [*lines, *(f"FAILED: {failure}" for failure in failures(outcome))]


def _flow(tally: Tally, latency: Latency | None) -> str:
    delivered, withheld = tally.delivered.total(), tally.withheld.total()
    line = f"{tally.records.total()} records in, {delivered} delivered, {withheld} withheld"
    return f"{line}; latency p50 {latency.p50:g} ms, p99 {latency.p99:g} ms" if latency else line


def _agreements(agreements: Sequence[Agreement], tally: Tally, counts: Mapping[str, Any]) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("agreement and purpose", no_wrap=True)
    for name in ("delivered", "left", "not on file"):
        shown.add_column(name, justify="right")
    shown.add_column("withheld", overflow="fold")
    for agreement in agreements:
        counted = counts.get("agreements", {}).get(agreement.id, {}).get("withheld", {})
        withheld = ", ".join(f"{number} {reason}" for reason, number in tally.withheld_under(agreement.id).items())
        if agreement.id == REFUSED:
            withheld = "refused: above the ceiling"
        shown.add_row(
            Text.assemble(agreement.id, "\n", (agreement.purpose, "dim")),
            str(tally.delivered[agreement.id]),
            str(tally.departed[agreement.id]),
            str(counted.get(Reason.NO_DOSSIER, 0)) if agreement.population.dossiers else "",
            withheld,
        )
    return shown
