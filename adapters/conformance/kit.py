"""What a check is, what it finds, and how checks are played: each once, and only after those that it builds on held."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath

from adapters.conformance.bench import Bench

_LONGEST_S = 120.0
_REMEDY = "Mend: "


class Outcome(StrEnum):
    """What became of a check."""

    HELD = "passed"
    BROKEN = "failed"
    NOT_HERE = "not-applicable"
    NOT_TRIED = "not-tried"


@dataclass(frozen=True, slots=True)
class NotHere:
    """The sample offers nothing to play this check with; `why` for the reader of the report."""

    why: str


Finding = str | NotHere | None
"""None: it holds. A text: what was seen instead, without any value of the source."""


@dataclass(frozen=True, slots=True)
class Check:
    """One guarantee of an adapter; `after` are the codes without which its finding would mean nothing."""

    code: str
    guarantee: str
    remedy: str
    after: tuple[str, ...]
    play: Callable[[Bench], Awaitable[Finding]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of one check, and what was seen where it is not `passed`; `seconds` it took."""

    code: str
    outcome: Outcome
    seen: str = ""
    seconds: float = 0.0


def checks_of(functions: Iterable[Callable[[Bench], Awaitable[Finding]]]) -> tuple[Check, ...]:
    """Checks from functions marked by `check`, in their order."""
    return tuple(function.check for function in functions)  # type: ignore[attr-defined]


def check(*after: str) -> Callable[[Callable[[Bench], Awaitable[Finding]]], Callable[[Bench], Awaitable[Finding]]]:
    """Mark a function as a check: its name in capitals is the code, its docstring the guarantee and (`Mend: …`) the remedy."""

    def marked(function: Callable[[Bench], Awaitable[Finding]]) -> Callable[[Bench], Awaitable[Finding]]:
        text = " ".join(inspect.cleandoc(function.__doc__ or "").split())
        guarantee, _, remedy = text.partition(_REMEDY)
        made = Check(function.__name__.upper(), guarantee.strip(), remedy.strip(), after, function)
        function.check = made  # type: ignore[attr-defined]
        return function

    return marked


class Play:
    """Plays checks on one adapter; a verdict once reached stands."""

    def __init__(self, checks: Iterable[Check], bench: Callable[[], Bench]) -> None:
        self._checks = {each.code: each for each in checks}
        self._bench = bench
        self.verdicts: dict[str, Verdict] = {}

    def verdict(self, code: str) -> Verdict:
        """The verdict of a check, after those of the checks that it builds on. Called outside an event loop."""
        if code not in self.verdicts:
            self.verdicts[code] = self._played(self._checks[code])
        return self.verdicts[code]

    def _played(self, each: Check) -> Verdict:
        for earlier in each.after:
            if self.verdict(earlier).outcome in {Outcome.BROKEN, Outcome.NOT_TRIED}:
                return Verdict(each.code, Outcome.NOT_TRIED, f"{earlier} comes first")
        began = time.monotonic()
        try:
            found = asyncio.run(_bounded(each, self._bench()))
        except Exception as error:  # noqa: BLE001 - whatever somebody else's adapter raises
            found = f"raised {raised_at(error)}"
        took = round(time.monotonic() - began, 3)
        match found:
            case None:
                return Verdict(each.code, Outcome.HELD, seconds=took)
            case NotHere(why=why):
                return Verdict(each.code, Outcome.NOT_HERE, why, took)
            case _:
                return Verdict(each.code, Outcome.BROKEN, found, took)


async def _bounded(each: Check, bench: Bench) -> Finding:
    try:
        async with asyncio.timeout(_LONGEST_S), bench:
            return await each.play(bench)
    except TimeoutError:
        return f"was not over after {_LONGEST_S:g} s"


def raised_at(error: BaseException) -> str:
    """Type and place of an error, without its text, which could quote the source."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}" if place else type(error).__name__


def counts(verdicts: Mapping[str, Verdict]) -> dict[Outcome, int]:
    """Number of verdicts by outcome."""
    return {each: sum(verdict.outcome is each for verdict in verdicts.values()) for each in Outcome}
