"""`datanuts raw push`: an NDJSON file to a raw source in parts, each with an idempotency key: run again, it writes nothing twice."""

import argparse
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any

from broker.cli.client import Client, add_options, connect
from broker.cli.line_file import LineReport, opened, patiently
from broker.cli.output import machine, note, say
from broker.errors import Invalid

_PART_LINES, _PART_BYTES = 5_000, 8 << 20
_LONGEST_LINE = 1 << 20
_KIND = "application/x-ndjson"


def register(verbs: Any) -> None:
    """Add the verb to the subparsers of `datanuts raw`."""
    parser = verbs.add_parser(
        "push",
        help="send changes of a source, one JSON object per line",
        description="They lie on the raw topic when this ends; `datanuts adapter run` publishes them through a mapping. "
        "After a failure run it again with the --key that it shows: what is written is not written again.",
    )
    parser.add_argument("organisation", metavar="ORG", help="the source")
    parser.add_argument("name", metavar="NAME", help="the raw source, declared before")
    parser.add_argument("file", metavar="FILE", help="- reads standard input")
    parser.add_argument("--key", metavar="KEY", help="of an earlier run of the same file, within 24 hours")
    add_options(parser, acting="")
    parser.set_defaults(run=_push)


@dataclass(frozen=True, slots=True)
class Part:
    """What goes in one request; its line numbers plus `before` are those of the whole file."""

    number: int
    content: bytes
    before: int


def parts(file: IO[bytes], lines: int = _PART_LINES, size: int = _PART_BYTES) -> Iterator[Part]:
    """The file cut into parts of `lines` lines, or fewer where they have `size` bytes; the same file is cut alike.

    Raises `Invalid` for a line that no broker takes.
    """
    number = before = held = 0
    body: list[bytes] = []
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise Invalid(f"line {before + len(body) + 1} is longer than an object may be: is this NDJSON?")
        if body and (len(body) == lines or held + len(line) > size):
            yield Part(number, b"".join(body), before)
            number, before, held, body = number + 1, before + len(body), 0, []
        body.append(line)
        held += len(line)
    if body:
        yield Part(number, b"".join(body), before)


class _Report(LineReport):
    """Of a push."""

    def progress(self, took_s: float) -> str:
        """With the share of the file."""
        done = "" if not self.size else f" ({self.done / self.size:.0%})"
        return f"{self.outcomes.total()} lines{done}, {self.outcomes.total() / took_s:.0f}/s"

    def finish(self, key: str) -> None:
        """Say the sum."""
        took, accepted, invalid = self.took_s, self.outcomes["accepted"], self.outcomes["invalid"]
        if self.as_json:
            machine({"accepted": accepted, "invalid": invalid, "key": key, "seconds": round(took, 1)})
        else:
            say(f"{accepted} accepted{f', {invalid} invalid' if invalid else ''} in {took:.1f} s")


def _push(given: argparse.Namespace) -> int:
    given.acting = given.acting or given.organisation
    path = f"/v1/sources/{given.organisation}/raw/{given.name}/bulk"
    key = given.key or secrets.token_hex(8)
    if given.key is None:
        note(f"to go on with this file after a failure: --key {key}")
    with ExitStack() as held:
        file, size = opened(held, given.file)
        broker = held.enter_context(connect(given))
        report = _Report(size, as_json=given.json)
        for part in parts(file):
            for outcome in _sent(broker, path, part, f"{key}-{part.number}"):
                report.tell({**outcome, "line": outcome["line"] + part.before})
            report.passed(len(part.content))
    report.finish(key)
    return 1 if report.outcomes["invalid"] else 0


def _sent(broker: Client, path: str, part: Part, key: str) -> Sequence[Mapping[str, Any]]:
    return patiently(lambda: broker.post_file(path, part.content, _KIND, key=key))
