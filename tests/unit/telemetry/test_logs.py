"""Log lines: what an operator reads."""

import logging
from io import StringIO
from pathlib import Path

import pytest

from broker import telemetry
from broker.errors import Fenced, Invalid
from broker.model.decision import Reason
from broker.settings import load_settings
from broker.telemetry import Event, log
from tests.unit.telemetry.conftest import Process


def test_a_line_tells_when_who_what_and_the_fields(process: Process) -> None:
    log(
        Event.LANE_OPENED,
        lane=3,
        topic="source.rijksregister.persoon.v1",
        agreement="inwoners-gent",
        reason=Reason.REVOKED,
    )
    (line,) = process.lines
    assert list(line)[:4] == ["at", "level", "event", "service"]
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "event": "lane.opened",
        "service": "router",
        "lane": 3,
        "topic": "source.rijksregister.persoon.v1",
        "agreement": "inwoners-gent",
        "reason": "REVOKED",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code", "DOUBT"), ("code", "KAFKA_UNAVAILABLE"), ("reason", "WRONG_LANE"), ("product", "persoon.v1"),
        ("topic", "delivery.gent-parkeren.parkeerboetes-gent"), ("organisation", "ovo002949"), ("delivery", "85673003328" + "0" * 21),
        ("records", 0), ("duration_ms", 12.5), ("status", 500), ("lane", None), ("ignored", True), ("code", 137),
    ],
)  # fmt: skip
def test_what_an_operator_needs_passes(process: Process, name: str, value: object) -> None:
    log(Event.ADAPTER_BATCH, **{name: value})
    assert process.lines[0][name] == value


def test_an_unknown_field_is_counted(process: Process) -> None:
    log(Event.LANE_OPENED, lane=1, detail="x", other=2)
    assert {"lane": 1, "withheld": 2}.items() <= process.lines[0].items()


def test_trouble_is_louder_than_progress(process: Process) -> None:
    log(Event.LANE_OPENED, lane=1)
    log(Event.LANE_FENCED, error=Fenced("x"))
    log(Event.HTTP_UNEXPECTED, error=ValueError("x"))
    logging.getLogger("aiokafka").info("chatter")
    assert [line["level"] for line in process.lines] == ["info", "warning", "error"]


def test_a_level_leaves_the_quieter_lines_out(tmp_path: Path) -> None:
    stream = StringIO()
    telemetry.configure("api", load_settings({}, data_dir=tmp_path, log_level="ERROR"), stream=stream)
    log(Event.LANE_FENCED, error=Fenced("x"))
    logging.getLogger("aiokafka").warning("chatter")
    log(Event.HTTP_UNEXPECTED, error=ValueError("x"))
    telemetry.shutdown()
    assert stream.getvalue().count("\n") == 1


def test_configured_again_each_line_is_written_once(process: Process) -> None:
    stream = StringIO()
    telemetry.configure("api", process.settings, stream=stream)
    log(Event.API_STARTED, port=8080)
    logging.getLogger("uvicorn.error").warning("odd")
    assert stream.getvalue().count("\n") == 2
    assert process.lines == []


def test_before_and_after_nothing_is_written(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.shutdown()
    telemetry.shutdown()
    log(Event.LANE_OPENED, lane=1)
    assert process.lines == []
    assert "".join(capsys.readouterr()) == ""


def test_a_line_that_cannot_be_written_stops_nobody(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    process.stream.close()
    log(Event.LANE_OPENED, lane=1)
    logging.getLogger("aiokafka").warning("odd")
    assert "".join(capsys.readouterr()) == ""


def test_a_service_has_the_name_of_a_program(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="service"):
        telemetry.configure("Router 1", load_settings({}, data_dir=tmp_path), stream=StringIO())
