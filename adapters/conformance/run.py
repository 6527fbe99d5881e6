"""One run of the kit in pytest: its checks as tests, and the report at its end."""

import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from adapters import mapped
from adapters.conformance.bench import Bench
from adapters.conformance.catalogue import CHECKS
from adapters.conformance.kit import Check, Outcome, Play, counts
from adapters.conformance.report import TriedAdapter, as_text, mapping_documents, report, subject_of
from adapters.sdk import Adapter
from broker.errors import BrokerError, SchemaRefused
from broker.schema.avro import Schema, load_schema

_CHECKOUT = Path(__file__).parents[2] / "schemas"
_NOWHERE = "http://127.0.0.1:9/"
_PLACE = Path(__file__).with_name("catalogue.py")


@dataclass(slots=True, eq=False)
class Run:
    """One run of the kit."""

    about: TriedAdapter
    checks: tuple[Check, ...]
    play: Play
    http: bool
    file: Path | None
    folder: tempfile.TemporaryDirectory[str] = field(repr=False)

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """The checks stand where their catalogue is."""
        if file_path != _PLACE:
            return None
        return Checks.from_parent(parent, path=file_path, nodeid="conformance", run=self)

    def pytest_sessionfinish(self) -> None:
        """Write the report, where every check was played."""
        verdicts = {each.code: self.play.verdicts[each.code] for each in self.checks if each.code in self.play.verdicts}
        if self.file is not None and len(verdicts) == len(self.checks):
            document = report(self.about, verdicts, datetime.now(UTC), http=self.http)
            self.file.write_text(as_text(document), encoding="utf-8")
        self.folder.cleanup()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say how it went, in one line."""
        told = ", ".join(
            f"{number} {outcome.value}" for outcome, number in counts(self.play.verdicts).items() if number
        )
        terminalreporter.write_line(f"{self.about.name}, {self.about.product}: {told}")
        if self.file is not None:
            whole = len(self.play.verdicts) == len(self.checks)
            written = "written" if whole else "not written: not all checks were played"
            terminalreporter.write_line(f"report {self.file}: {written}")


class Checks(pytest.File):
    """All checks of the kit."""

    def __init__(self, *, run: Run, **given: Any) -> None:
        super().__init__(**given)
        self.run = run

    def collect(self) -> Iterable[pytest.Item]:
        """One test per check."""
        for each in self.run.checks:
            yield CheckItem.from_parent(self, name=each.code, check=each, play=self.run.play)


class CheckItem(pytest.Item):
    """One check as a test."""

    def __init__(self, *, check: Check, play: Play, **given: Any) -> None:
        super().__init__(**given)
        self.check, self.play = check, play

    def runtest(self) -> None:
        """Play it: skipped where it could not be played, failed where it does not hold."""
        verdict = self.play.verdict(self.check.code)
        if verdict.outcome in {Outcome.NOT_HERE, Outcome.NOT_TRIED}:
            pytest.skip(f"{verdict.outcome.value}: {verdict.seen}")
        if verdict.outcome is Outcome.BROKEN:
            pytest.fail(f"{verdict.seen}\n{self.check.guarantee}\nMend: {self.check.remedy}", pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Its code."""
        return self.path, None, self.check.code


def asked(config: pytest.Config) -> Run:
    """The run that the options ask for; without paths of tests it is all that runs. Raises `UsageError`."""
    source = config.getoption("--source")
    if source is None or not Path(source).exists():
        raise pytest.UsageError(
            "--source names a good sample on disk, a file or a folder; for an adapter of a web source, what it answers, with --http"
        )
    http = bool(config.getoption("--http"))
    try:
        schemas = dict(_schemas(Path(config.getoption("--schemas") or _CHECKOUT)))
        module, build, documents = _factory(config, lambda product: schemas[product])
        about = subject_of(
            module, build(_NOWHERE if http else str(Path(source).resolve())), config.getoption("--product"), documents
        )
    except (BrokerError, ImportError, AttributeError, KeyError, OSError) as error:
        raise pytest.UsageError(f"the adapter cannot be made: {type(error).__name__}: {error}") from error
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = []
    config.args.append(str(_PLACE))
    folder = tempfile.TemporaryDirectory(prefix="conformance-")
    number = itertools.count(1)

    def bench() -> Bench:
        return Bench(build, Path(source).resolve(), schemas, Path(folder.name) / str(next(number)), http=http)

    file = config.getoption("--report")
    return Run(about, CHECKS, Play(CHECKS, bench), http, Path(file) if file else None, folder)


def _factory(
    config: pytest.Config, schema_of: Callable[[str], Any]
) -> tuple[str, Callable[[str], Adapter], tuple[Path, ...]]:
    """Module, factory, and the documents that are part of what is tried."""
    mapping = config.getoption("--mapping")
    if mapping is None:
        module, _, factory = str(config.getoption("--adapter")).partition(":")
        return module, getattr(import_module(module), factory or "build"), ()

    made = mapped.load_mapping(Path(mapping), schema_of)
    return "adapters.mapped", lambda source: mapped.build(made, source), mapping_documents(made.file)


def _schemas(folder: Path) -> Iterator[tuple[str, Schema]]:

    for file in sorted(folder.glob("*.avsc")):
        try:
            schema = load_schema(file.read_text(encoding="utf-8"))
        except SchemaRefused:
            continue  # of something else than a product
        yield schema.product, schema
