"""`datanuts bench matrix|soak|plot`: every circumstance several times, a long run, and both as history and plots."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from broker.cli.bench_site import count, ends, fresh_installation, told_as_json
from broker.cli.output import note, say, table

_FAILED = 2


def register(verbs: Any) -> None:
    """Add the verbs to the parser of `datanuts bench`."""
    matrix = verbs.add_parser("matrix", help="every cell several times, in shuffled order: medians, spread and ratios")
    matrix.add_argument(
        "--cells", default="quick", metavar="WHICH", help="all, quick (default), topics, route, trust, names, or a file"
    )
    matrix.add_argument("--runs", type=count, default=5, metavar="N", help="runs of each cell (default 5)")
    matrix.add_argument("--seed", type=count, default=1, metavar="N", help="of the order (default 1)")
    matrix.add_argument(
        "--journal", type=Path, metavar="FILE", help="add each finished run at once, and go on where that file ends"
    )
    matrix.add_argument("--out", type=Path, metavar="DIR", help="write results.jsonl and plots there")
    _kept(matrix)
    ends(matrix, _matrix, "one JSON object per cell")
    soak = verbs.add_parser("soak", help="long at a share of what the router can: memory and latency over time")
    soak.add_argument("--minutes", type=count, default=30, metavar="N", help="default 30")
    soak.add_argument("--share", type=_share, default=0.5, metavar="X", help="of the measured capacity (default 0.5)")
    soak.add_argument("--rate", type=count, metavar="N", help="records a second at most (default: the share alone)")
    soak.add_argument("--agreements", type=count, default=300, metavar="N", help="live agreements (default 300)")
    soak.add_argument("--out", type=Path, metavar="DIR", help="write soak.json and plots there")
    _kept(soak)
    ends(soak, _soak)
    plot = verbs.add_parser("plot", help="plots of a history of measurements, as SVG")
    plot.add_argument("history", type=Path, metavar="HISTORY", help="a file of JSON lines, or a folder of them")
    plot.add_argument("out", type=Path, metavar="OUT", help="folder for the plots")
    plot.set_defaults(run=_plot)


def _kept(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep", action="store_true", help="add the results to bench/history/, with commit and machine"
    )


async def _matrix(given: argparse.Namespace) -> int:
    from bench import history, journal, matrix  # noqa: PLC0415 - a measurement's code is loaded by a measurement only
    from bench.cells import cells  # noqa: PLC0415 - as above
    from bench.gallery import plots  # noqa: PLC0415 - as above

    wanted, about = cells(given.cells), history.circumstances()
    measured = partial(matrix.measure, wanted, runs=given.runs, seed=given.seed, progress=note)
    if given.journal is None:
        results = await measured()
    else:
        book = journal.opened(given.journal, wanted, seed=given.seed, about=about)
        results = await measured(finished=book.finished, keep=book.keep)
    lines = matrix.as_lines(results)
    if (now := history.circumstances()["commit"]) != about["commit"]:
        note(f"the code changed while it was measured, from {about['commit']} to {now}: these figures are of both")
    if given.keep:
        note(f"added to {history.keep(lines, about)}")
    if given.out is not None:
        _write(given.out, "results.jsonl", "".join(f"{json.dumps({**about, **line})}\n" for line in lines))
        for name, text in plots([{**about, **line} for line in lines]).items():
            _write(given.out, name, text)
    if not told_as_json(given, *lines):
        table(("cell", "runs", "median (min-max)", "unit", "÷ baseline", "÷ cell"), _rows(lines))
        for line in lines:
            for failure in line["failures"]:
                say(f"{line['cell']['name']} failed in {failure}")
    return _FAILED if any(line["failures"] for line in lines) else 0


async def _soak(given: argparse.Namespace) -> None:
    from bench import history, soak  # noqa: PLC0415 - as above
    from bench.gallery import soak_plots  # noqa: PLC0415 - as above

    about = history.circumstances()
    async with fresh_installation() as here:
        figures = await soak.measure(
            here,
            minutes=given.minutes,
            share=given.share,
            most=given.rate,
            agreements=given.agreements,
            progress=note,
        )
    found = figures.as_json()
    if given.keep:
        note(f"added to {history.keep([{'soak': found}], about)}")
    if given.out is not None:
        _write(given.out, "soak.json", f"{json.dumps({**about, 'soak': found})}\n")
        for name, text in soak_plots(found).items():
            _write(given.out, f"soak-{name}", text)
    if told_as_json(given, found):
        return
    for line in _soaked(found):
        say(line)


def _soaked(found: Mapping[str, Any]) -> Iterator[str]:
    """What a long run says, a sentence each."""
    yield f"{found['rate']} of {found['capacity_per_s']} records/s for {found['minutes']} minutes"
    p99, late = found["latency"]["p99"], found["sent_late"]["p99"]
    yield f"p99 of the windows {_spread(p99)} ms{_drifted(found['p99_drift'])}"
    yield f"the publisher itself was late by {_spread(late)} ms (p99){_drifted(found['sent_late_drift'])}"
    for name, title in (("own", "memory without mapped files"), ("resident", "resident memory")):
        growth = found[f"{name}_mb_per_hour"]["second_half"]
        if growth is None or growth["low"] is None:
            yield f"{title}: the samples are too few, or too alike, for a slope with an interval"
        else:
            said = "it grows" if growth["low"] > 0 else "no growth"
            yield f"{title}, second half: {growth['slope']} MB/h (95 %: {growth['low']} to {growth['high']}): {said}"


def _drifted(drift: Mapping[str, Any] | None) -> str:
    if drift is None:
        return ""
    said = "drifts" if drift["worse"] else "no drift"
    return f"; last third ÷ first {drift['ratio']}, by chance {drift['chance']:.2g}: {said}"


def _plot(given: argparse.Namespace) -> None:
    from bench.gallery import plots  # noqa: PLC0415 - as above
    from bench.history import kept  # noqa: PLC0415 - as above

    for name, text in plots(kept([given.history])).items():
        _write(given.out, name, text)
        say(str(given.out / name))


def _rows(lines: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[object]]:
    for line in lines:
        value, against = line.get("value"), line.get("against")
        other = None if against is None else f"{_spread(against)} {against['cell']}"
        yield (
            line["cell"]["name"],
            0 if value is None else value["runs"],
            _spread(value),
            line.get("unit"),
            _spread(line.get("ratio")),
            other,
        )


def _spread(spread: Mapping[str, Any] | None) -> str | None:
    return None if spread is None else f"{spread['median']:g} ({spread['min']:g}-{spread['max']:g})"


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError("must be above 0 and at most 1")
    return share
