"""No value about a person leaves a process, wherever a program puts it by mistake."""

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from broker.errors import Doubt, PoisonRecord
from broker.telemetry import Event, batch_span, log, record_spans
from broker.telemetry.safe import FIELDS
from tests.unit.telemetry.conftest import Process

CANARIES = [
    "85673003328", "85.67.30-033.28", "856730-033-28", "INSZ85673003328", "Peeters", "PEETERS", "Van den Berghe", "D'Hondt",
    "Anna-Maria", "Veldstraat 12", "Veldstraat", "9000 Gent", "anna.peeters@example.org", "0470/12.34.56", "1985-07-30",
]  # fmt: skip
NUMBERS = [85673003328, 85673003328.0, 10**30, float("nan")]
PARENT = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"


def raised(canary: str, kind: Callable[[str], BaseException] = ValueError) -> BaseException:
    try:
        try:
            {}[canary]
        except KeyError as cause:
            raise kind(canary) from cause
    except BaseException as error:  # noqa: BLE001 - whatever was asked for
        return error


def clean(process: Process, canary: str) -> bool:
    return canary not in process.written() and len(process.lines) > 0


@pytest.mark.parametrize("canary", CANARIES)
def test_no_field_lets_it_through(process: Process, canary: str) -> None:
    forms = (canary, canary.encode(), [canary], {"insz": canary}, {canary: 1}, (canary,), SimpleNamespace(a=canary))
    for name in FIELDS:
        for value in (*forms, raised(canary)):
            log(Event.LANE_OPENED, **{name: value})
    log(canary, lane=1)  # type: ignore[arg-type]
    log(Event.LANE_OPENED, **{canary: 1, "subject": canary, "service": canary, "level": canary, "at": canary})
    assert clean(process, canary)
    assert len(process.lines) == 8 * len(FIELDS) + 2


@pytest.mark.parametrize("number", NUMBERS)
def test_a_national_number_is_not_a_number(process: Process, number: float) -> None:
    log(Event.LANE_OPENED, **dict.fromkeys(FIELDS, number))
    assert {process.lines[0][name] for name in FIELDS} == {"[withheld]"}


@pytest.mark.parametrize("canary", CANARIES)
def test_exceptions_are_told_without_their_text(process: Process, canary: str) -> None:
    log(Event.HTTP_UNEXPECTED, error=raised(canary))
    log(Event.LANE_REOPENED, lane=1, error=raised(canary, Doubt))
    log(Event.LANE_REOPENED, lane=1, error=raised(canary, lambda text: Doubt(operator=text)))
    log(Event.LANE_REOPENED, lane=1, error=raised(canary, lambda text: PoisonRecord(text, text)))
    log(Event.LANE_REOPENED, lane=1, error=raised(canary, lambda text: ExceptionGroup(text, [ValueError(text)])))
    assert clean(process, canary)
    told = process.lines[1]["error"]
    assert (told["class"], told["code"], told["cause"]) == ("Doubt", "DOUBT", "KeyError")
    assert told["places"][0].startswith("tests.unit.telemetry.test_canary:")


@pytest.mark.parametrize("canary", CANARIES)
def test_other_libraries_lines_are_told_without_their_arguments(process: Process, canary: str) -> None:
    other = logging.getLogger("aiokafka.consumer")
    other.warning("record of %s is odd", canary)
    other.warning("record of %(insz)s is odd", {"insz": canary})
    other.warning(f"record of {canary} is odd")
    other.warning("record of " + canary, extra={"insz": canary})
    other.warning(SimpleNamespace(insz=canary))
    other.error("failed", exc_info=raised(canary))
    other.log(logging.CRITICAL, canary)
    assert clean(process, canary)
    assert [line["template"] for line in process.lines] == [
        "record of %s is odd", "record of %(insz)s is odd", None, None, None, "failed", None,
    ]  # fmt: skip
    assert {line["logger"] for line in process.lines} == {"aiokafka.consumer"}
    assert process.lines[5]["error"]["class"] == "ValueError"


async def test_a_forgotten_tasks_exception_is_told_without_its_text(process: Process) -> None:
    async def fail() -> None:
        raise ValueError(canary)

    canary = "85673003328"
    task = asyncio.get_running_loop().create_task(fail(), name=canary)
    await asyncio.wait([task])
    del task
    gc.collect()
    assert clean(process, canary)
    assert [line["logger"] for line in process.lines] == ["asyncio"]
    assert process.lines[0]["error"]["class"] == "ValueError"


@pytest.mark.parametrize("canary", CANARIES)
def test_uncaught_exceptions_are_told_without_their_text(
    process: Process, capsys: pytest.CaptureFixture[str], canary: str
) -> None:
    error = raised(canary)
    sys.excepthook(type(error), error, error.__traceback__)
    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))
    sys.unraisablehook(SimpleNamespace(exc_value=error, object=canary, err_msg=canary))  # type: ignore[arg-type]
    assert clean(process, canary)
    assert canary not in "".join(capsys.readouterr())
    assert [line["event"] for line in process.lines] == ["process.failed"] * 3


def attributes(canary: str) -> list[dict[str, Any]]:
    named = [{name: canary} for name in FIELDS]
    return [
        *named,
        {"insz": canary},
        {canary: 1},
        {"lane": {"a": canary}},
        {"topic": [canary]},
        {"lane": raised(canary)},
    ]


@pytest.mark.parametrize("canary", CANARIES)
def test_no_span_holds_it(process: Process, canary: str) -> None:
    for given in attributes(canary):
        batch_span(canary, start_ns=1, end_ns=2, attributes=given, links=[canary.encode(), PARENT])
        record_spans(canary, [PARENT, canary.encode()], start_ns=1, end_ns=2, attributes=given)
    assert canary not in process.written()
    collector = process.export()
    for given in attributes(canary):
        batch_span(canary, start_ns=1, end_ns=2, attributes=given, links=[canary.encode(), PARENT])
        record_spans(canary, [PARENT, canary.encode()], start_ns=1, end_ns=2, attributes=given)
    process.written()
    exported = collector.get_finished_spans()
    assert len(exported) == 2 * len(attributes(canary))
    assert canary not in "".join(span.to_json() for span in exported)
