"""`datanuts`: the root of the command line, and the one place that turns an error into a line and an exit code."""

import argparse
import asyncio
import inspect
import json
import os
import sys
from collections.abc import Coroutine, Sequence
from importlib import import_module, metadata
from typing import Any, NoReturn

import uvloop

from broker.cli.output import plain
from broker.errors import AgreementRefused, BrokerError, Fenced, MappingRefused, Refused

OK, REFUSED, FAILED, FENCED, USAGE, INTERRUPTED = 0, 1, 2, 3, 64, 130

_COMMANDS = (
    "up",
    "demo",
    "adapter",
    "product",
    "raw",
    "quarantine",
    "announce",
    "agreement",
    "catalogue",
    "credential",
    "identity",
    "mandate",
    "purpose",
    "ceiling",
    "dossier",
    "consent",
    "consume",
    "client",
    "webhook",
    "drop",
    "trace",
    "api",
    "router",
    "webhooks",
    "drops",
    "bench",
)
"""Modules of this room, in the order of the help; each offers `register(commands)` and sets `run` on its parsers."""

_ELSEWHERE = {"client": "client_code"}
"""Modules of those whose own name is taken."""

_EPILOG = """\
examples:
  datanuts up --data-dir .datanuts                     start a broker on this machine
  datanuts agreement check policies/agreements/inwoners-gent.yaml
  datanuts agreement list
  datanuts dossier add --agreement parkeerboetes-gent --as gent-parkeren --ref P-17   (the subject is asked for)
  datanuts consume inwoners-gent --as stad-gent --max 3 --json
  datanuts trace 4bf92f3577b34da6a3ce929d0e0e4736 --why jeugddienst-leuven

exit codes:
  0 done   1 refused: change the request   2 failed or unavailable: see the line   3 another instance took over
  64 wrong usage   130 interrupted

The data directory is --data-dir, else DATANUTS_DATA_DIR, else .datanuts.
"""


class Parser(argparse.ArgumentParser):
    """argparse with sysexits' code for wrong usage, so that 2 always means a failure."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit 64."""
        self.exit(USAGE, f"{self.format_usage()}{self.prog}: {message}\n")


def parser(only: str | None = None) -> Parser:
    """The whole command line, or just its command `only`: one command need not load what the others need."""
    root = Parser(
        prog="datanuts",
        description="Purpose-bound data exchange between public administrations.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"datanuts {metadata.version('datanutsbedrijf')}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in [only] if only in _COMMANDS else _COMMANDS:
        import_module(f"broker.cli.{_ELSEWHERE.get(name, name)}").register(commands)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    given = parser(next(iter(arguments), None)).parse_args(arguments)
    try:
        done = given.run(given)
        code: Any = _awaited(done) if inspect.iscoroutine(done) else done
    except BrokerError as error:
        return _failed(error, as_json=getattr(given, "json", False), failed=getattr(given, "failed", FAILED))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`) has what it wanted; Python would complain again while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return int(code or OK)


def _awaited(work: Coroutine[Any, Any, int | None]) -> int | None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _failed(error: BrokerError, *, as_json: bool, failed: int) -> int:
    if as_json:
        from broker.api.problems import problem  # noqa: PLC0415 - the web framework, for a failure only

        told = problem(error) | {"detail": str(error)}
        if isinstance(error, MappingRefused):
            told["findings"] = [
                {"file": error.file, "line": line, "path": path, "text": text} for line, path, text in error.findings
            ]
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    else:
        lines = [f"datanuts: {error} [{error.code}]"]
        if isinstance(error, AgreementRefused):
            lines = [
                f"datanuts: the agreement breaks {len(error.findings)} clause(s) [{error.code}]",
                *(f"  {path}: {text} [{code}]" for code, path, text in error.findings),
            ]
        if isinstance(error, MappingRefused):
            lines = [
                f"datanuts: the mapping has {len(error.findings)} mistake(s) [{error.code}]",
                *(f"  {error.file}:{line}: {path}{': ' * bool(path)}{text}" for line, path, text in error.findings),
            ]
        if error.operator:
            lines += [f"  {line}" for line in error.operator.splitlines()]
        sys.stderr.write("".join(f"{plain(line)}\n" for line in lines))
    if isinstance(error, Fenced):
        return FENCED
    return REFUSED if isinstance(error, Refused) else failed


if __name__ == "__main__":
    sys.exit(main())
