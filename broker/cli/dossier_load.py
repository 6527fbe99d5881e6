"""`datanuts dossier load`: a CSV or NDJSON file in parts, so that progress shows and a failure costs one part only."""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from broker.cli.client import Client, add_options, connect
from broker.cli.line_file import LineReport, opened, patiently
from broker.cli.output import machine, say
from broker.errors import Invalid, NotYetKnown, Retriable

CSV, NDJSON = "text/csv", "application/x-ndjson"

_PART_LINES = 5_000
_LONGEST_READING_S = 900
_BOM = b"\xef\xbb\xbf"
_ORDER = ("registered", "ended", "already", "unknown", "invalid")


def register(verbs: Any) -> None:
    """Add the verb to the subparsers of `datanuts dossier`."""
    parser = verbs.add_parser(
        "load",
        help="register the files of a CSV or NDJSON file, or end them",
        description="CSV: a heading (insz or kbo, referentie, hoedanigheid, begin, einde), then one file per line. NDJSON:"
        " objects with subject, reference, capacity, begin, end. Run it again after a failure: what is there stays as it is.",
    )
    parser.add_argument("agreement", metavar="AGREEMENT")
    parser.add_argument("file", metavar="FILE", help="- reads standard input")
    parser.add_argument("--end", action="store_true", help="end these files (columns: insz or kbo, referentie, einde)")
    add_register_unknown(parser)
    parser.add_argument("--results", type=Path, metavar="FILE", help="write one JSON object per line of the file there")
    add_options(parser, acting=None)
    parser.set_defaults(run=_load)


def add_register_unknown(parser: argparse.ArgumentParser) -> None:
    """Declare `--register-unknown`."""
    parser.add_argument(
        "--register-unknown", action="store_true", help="also subjects that the source has no record of now"
    )


def unknown_subjects(given: argparse.Namespace) -> dict[str, str]:
    """What a registration's query says of such subjects."""
    return {"unknown": "register"} if given.register_unknown else {}


@dataclass(frozen=True, slots=True)
class Part:
    """A file of its own for the broker; its line numbers plus `before` are those of the whole file."""

    kind: str
    content: bytes
    before: int


def parts(file: IO[bytes], lines: int = _PART_LINES) -> Iterator[Part]:
    """The file cut into parts of `lines` lines, each with the heading that a CSV has."""
    heading, body = _heading(file)
    kind, before = NDJSON if body else CSV, 0
    while True:
        while len(body) < lines and (line := file.readline()):
            body.append(line)
        if body or (heading and not before):  # a heading alone is told whether it is one
            yield Part(kind, b"".join([*heading, *body]), before)
        if not body:
            return
        before, body = before + len(body), []


def _heading(file: IO[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The lines up to and with the one that names the columns, else those up to and with the first object."""
    read: list[bytes] = []
    while line := file.readline():
        read.append(line if line.endswith(b"\n") else line + b"\n")
        stated = line.removeprefix(_BOM).strip()
        if stated.startswith(b"{"):
            return [], read
        if stated and not stated.strip(b'"').lower().startswith(b"sep="):
            break
    return read, []


class _Report(LineReport):
    """Of a file of dossiers."""

    def progress(self, took_s: float) -> str:
        """With the time that is left."""
        left = "" if self.size is None else f", about {max(0, self.size - self.done) * took_s / self.done:.0f} s left"
        return super().progress(took_s) + left

    def finish(self) -> None:
        """Say the sum."""
        took = self.took_s
        counts = {status: self.outcomes[status] for status in _ORDER if self.outcomes[status]}
        if self.as_json:
            machine({"lines": self.outcomes.total(), **counts, "seconds": round(took, 1)})
        else:
            shown = ", ".join(f"{number} {status}" for status, number in counts.items()) or "no lines"
            say(f"{shown} in {took:.1f} s")


def _load(given: argparse.Namespace) -> int:
    path = f"/v1/agreements/{given.agreement}/dossiers{'/end' if given.end else ''}/bulk"
    with ExitStack() as held:
        file, size = opened(held, given.file)
        results = held.enter_context(_written(given.results)) if given.results else None
        broker = held.enter_context(connect(given))
        report = _Report(size, as_json=given.json, more="and more: --results FILE keeps them all")
        for part in parts(file):
            for outcome in _sent(broker, path, part, {} if given.end else unknown_subjects(given)):
                told = {**outcome, "line": outcome["line"] + part.before}
                report.tell(told)
                if results is not None:
                    results.write(json.dumps(told) + "\n")
            report.passed(len(part.content))
    report.finish()
    return 1 if report.outcomes["invalid"] or report.outcomes["unknown"] else 0


def _sent(broker: Client, path: str, part: Part, query: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """The outcomes of one part; while the broker reads whom the source has, it is asked for as long as that may take."""
    read_until = time.monotonic() + _LONGEST_READING_S

    def while_reading(error: Retriable) -> float | None:
        return error.after_s if isinstance(error, NotYetKnown) and time.monotonic() < read_until else None

    return patiently(lambda: broker.post_file(path, part.content, part.kind, **query), while_reading)


def _written(path: Path) -> IO[str]:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise Invalid(f"the results cannot be written: {error.strerror}") from None
