"""OPA and Cedar beside our engine, in process, in one run: which agreements a record reaches.

Agreement i reaches a record whose municipality is nis_i, for its purpose, if it may deliver (a tenth are suspended); a
tenth of the records lie in no agreement's municipality. Every engine has its policies compiled and its inputs in its own
form before anything is measured, and must give the answers that ours gives, or there are no figures.
"""

import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.decisions import NOW, START
from bench.peer_programs import FRAMEWORKS, environment
from bench.population import PURPOSE, document, nis_of
from broker.errors import Fatal, MissingPrerequisite
from broker.model.agreement import State
from broker.model.decision import Kind, Release
from broker.policy import documents
from broker.policy.compiler import compile_engine
from broker.policy.engine import Previous
from broker.policy.standing import Standing
from broker.schema.avro import Schema, encode_literal

Progress = Callable[[str], None]
Found = Mapping[str, Any]
Command = Sequence[str]
"""How a program is started; it takes a file of cases, and prints what it found."""

_HERE = Path(__file__).parent
_CACHE = _HERE.parent / ".cache" / "bench"
_SIZES = (10, 1_000, 10_000)
_RECORDS, _CHECKED, _TENTH = 20_000, 200, 10
_PATIENCE_S = 1800


@dataclass(frozen=True, slots=True)
class Rate:
    """What one form of one engine's policy costs under `agreements`, by the best of the turns."""

    engine: str
    form: str
    agreements: int
    prepare_s: float
    cpu_ns: float
    wall_ns: float

    def as_json(self) -> Found:
        """Rounded; decisions are of one record on all agreements, and a second is one of CPU time."""
        return {
            "engine": self.engine,
            "form": self.form,
            "agreements": self.agreements,
            "prepare_s": round(self.prepare_s, 3),
            "ns": round(self.cpu_ns),
            "wall_ns": round(self.wall_ns),
            "decisions_per_cpu_s": round(1e9 / self.cpu_ns),
        }


def compare(
    schema: Schema,
    programs: Mapping[str, Command],
    *,
    turns: int,
    progress: Progress,
    seconds: float = 0.5,
    sizes: Sequence[int] = _SIZES,
) -> Sequence[Rate]:
    """Every form of our engine and of the programs, `turns` times at each size in turn, at least `seconds` each time.

    Raises `Fatal` where a program ends badly or answers other than our engine does.
    """
    best: dict[tuple[str, str, int], Rate] = {}
    with tempfile.TemporaryDirectory(prefix="datanuts-bench-") as folder:
        for size in sizes:
            cases = _cases(size, seconds)
            file = Path(folder) / f"{size}.json"
            file.write_text(json.dumps(cases))
            ours = _Ours(schema, cases)
            for turn in range(turns):
                found = {"ours": ours.measure(seconds)}
                for name, command in programs.items():
                    progress(f"{size} agreements, turn {turn + 1} of {turns}: {name}")
                    result = _asked(name, command, file)
                    found[f"{name} {result['version']}"] = result["forms"]
                _equal(found, size)
                for engine, forms in found.items():
                    for form, one in forms.items():
                        rate = Rate(engine, form, size, one["prepare_s"], one["cpu_ns"], one["wall_ns"])
                        held = best.get((engine, form, size), rate)
                        best[engine, form, size] = min(held, rate, key=lambda rate: rate.cpu_ns)
    return list(best.values())


def _cases(size: int, seconds: float) -> Found:
    """What every engine reads: agreements, records over all their municipalities alike, and how many are checked."""
    rng = random.Random(7)  # noqa: S311 - the same records in every run
    agreements = [
        {"id": document(number)["id"], "nis": nis_of(number), "purpose": PURPOSE, "allowed": number % _TENTH != 0}
        for number in range(size)
    ]
    inside = rng.sample([index % size for index in range(_RECORDS)], _RECORDS)
    numbers = [number if rng.randrange(_TENTH) else number + size for number in inside]
    records = [{"nis": nis_of(number), "purpose": PURPOSE} for number in numbers]
    return {"agreements": agreements, "records": records, "checked": _CHECKED, "seconds": seconds}


class _Ours:
    """Our engine on the same cases; it has no purpose to compare, because an agreement has one and a record none."""

    def __init__(self, schema: Schema, cases: Found) -> None:
        encode = partial(encode_literal, schema)
        standings = [
            Standing(documents.agreement(document(number)), State.ACTIVE if held["allowed"] else State.SUSPENDED, START)
            for number, held in enumerate(cases["agreements"])
        ]
        began = time.perf_counter()
        self._engine = compile_engine(standings, schema, encode)
        self._prepare_s = time.perf_counter() - began
        (path,) = self._engine.paths
        self._values = [(encode(path, record["nis"]),) for record in cases["records"]]
        self._checked = cases["checked"]

    def measure(self, seconds: float) -> Found:
        """`first`: a subject without a record before; `stays`: one whose record before had the same values."""
        befores: Mapping[str, Sequence[Previous | None]] = {
            "first": [None] * len(self._values),
            "stays": [Previous(values, NOW - 1000) for values in self._values],
        }
        return {form: self._measured(before, seconds) for form, before in befores.items()}

    def _measured(self, before: Sequence[Previous | None], seconds: float) -> Found:
        decide, asked = self._engine.batch(NOW).decide, list(zip(before, self._values, strict=True))
        answers = [
            sorted(given.agreement for _, given in decide(was, values, Kind.CHANGED) if isinstance(given, Release))
            for was, values in asked[: self._checked]
        ]
        decisions, cpu, wall = 0, time.process_time(), time.perf_counter()
        # The clock is read once per pass over the records; the first pass, which makes each agreement's answers, is left out.
        for passes in range(1 << 30):
            if passes == 1:
                decisions, cpu, wall = 0, time.process_time(), time.perf_counter()
            for was, values in asked:
                decide(was, values, Kind.CHANGED)
            decisions += len(asked)
            if passes and time.perf_counter() - wall >= seconds:
                break
        spent, passed = time.process_time() - cpu, time.perf_counter() - wall
        return {
            "prepare_s": self._prepare_s,
            "cpu_ns": 1e9 * spent / decisions,
            "wall_ns": 1e9 * passed / decisions,
            "answers": answers,
        }


def _equal(found: Mapping[str, Found], size: int) -> None:
    """Raise `Fatal` unless every form of every engine gave the answers of ours."""
    expected = found["ours"]["first"]["answers"]
    if not any(expected):
        raise Fatal("no record reaches an agreement: there is nothing to compare")
    for engine, forms in found.items():
        for form, one in forms.items():
            if one["answers"] != expected:
                wrong = sum(given != due for given, due in zip(one["answers"], expected, strict=True))
                raise Fatal(f"{engine}, {form}, {size} agreements: other answers than ours on {wrong} records")


def _asked(name: str, command: Command, cases: Path) -> Found:
    done = subprocess.run(  # noqa: S603 - a program made here, no shell
        [*command, str(cases)], capture_output=True, text=True, check=False, timeout=_PATIENCE_S
    )
    if done.returncode:
        raise Fatal(f"{name} ended with {done.returncode}", operator=done.stderr[-2000:])
    result: Found = json.loads(done.stdout)
    return result


def _opa(progress: Progress) -> Command:
    go = _found("go", "Go 1.26 or later builds the OPA program: install it from go.dev/dl")
    progress("building the OPA program with Go (the first time some minutes)")
    target = _CACHE / "opa-decisions"
    _built([go, "build", "-trimpath", "-o", str(target), "."], _HERE / "opa", "Go could not build the OPA program")
    return [str(target)]


def _cedar(progress: Progress) -> Command:
    python = environment("cedar", "Cedar", progress)
    return [str(python), "-I", str(FRAMEWORKS / "cedar_decisions.py")]


PEERS: Mapping[str, Callable[[Progress], Command]] = {"opa": _opa, "cedar": _cedar}
"""Each makes its program and says how it is started; raises `MissingPrerequisite` where it cannot."""


def _found(program: str, missing: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise MissingPrerequisite(missing)
    return path


def _built(command: Sequence[str], folder: Path, problem: str) -> None:
    """Run a build tool, which knows itself what is built already."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(  # noqa: S603 - programs found here, no shell
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise MissingPrerequisite(f"{problem}: is its registry reachable?", operator=done.stderr[-2000:])
