"""Which plots a history of measurements gives, by file name."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.cells import Kind
from bench.drift import Line
from bench.plots import Bar, bars, lines

Lines = Sequence[Mapping[str, Any]]
_TITLES = {
    Kind.ROUTE: "Source records routed a second, median of runs and their spread",
    Kind.DECISIONS: "One decision",
    Kind.LATENCY: "Publish to readable, p99",
    Kind.REVOCATIONS: "Revocation under load, p99",
    Kind.COLD_START: "From a router's start to its first delivery",
    Kind.DOSSIERS: "Routed per CPU second beside many dossiers",
    Kind.ISOLATION: "What others notice of agencies that misbehave, p99",
    Kind.MEMORY: "Memory of one router",
}


def plots(history: Lines) -> Mapping[str, str]:
    """SVG texts by file name: of every kind of cell the latest values, ratios and ratios to another cell; and every soak."""
    latest = {line["cell"]["name"]: line for line in history if "cell" in line and "value" in line}
    found = {}
    for kind, title in _TITLES.items():
        of_kind = [line for line in latest.values() if line["cell"]["kind"] == kind]
        if not of_kind:
            continue
        about = ", ".join(sorted({str(line["commit"]) for line in of_kind}))
        found[f"{kind}.svg"] = bars(f"{title} ({about})", of_kind[0]["unit"], _bars(of_kind, "value"))
        for key, what in (("ratio", "÷ the baseline of the same run"), ("against", "÷ the cell it is set against")):
            if shown := _bars(of_kind, key):
                found[f"{kind}-{key}.svg"] = bars(f"{title}, {what} ({about})", "ratio", shown)
    for number, line in enumerate(line for line in history if "soak" in line):
        found |= soak_plots(line["soak"], f"soak-{number}-")
    return found


def soak_plots(soak: Mapping[str, Any], prefix: str = "") -> Mapping[str, str]:
    """Memory with its line over the second half, and p99, of a long run over its minutes."""
    resident, own = ([(each[0], each[column]) for each in soak["memory_mb"]] for column in (1, 2))
    shown = {"resident": resident, "without mapped files": own}
    if len(half := own[len(own) // 2 :]) > 1:
        line = Line.through(half)
        shown["second half, as a line"] = [(x, line.at(x)) for x in (half[0][0], half[-1][0])]
    return {
        f"{prefix}memory.svg": lines("Memory of the router", "minutes", "MB", shown),
        f"{prefix}p99.svg": lines(
            "Publish to readable, p99 of each window",
            "minutes",
            "ms",
            {"p99": [tuple(each) for each in soak["p99_ms"]]},
        ),
    }


def _bars(of_kind: Lines, key: str) -> Sequence[Bar]:
    held = [(line["cell"]["name"], line.get(key)) for line in of_kind]
    return [Bar(name, spread["median"], spread["min"], spread["max"]) for name, spread in held if spread]
