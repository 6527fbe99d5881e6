"""When a quiet stream is a silent one."""

import pytest

from broker.delivery.looks import Progress
from broker.delivery.silence import Code, alerts, whole_through

HOUR = 3_600_000
NOW = 1_000 * HOUR
CALM = Progress(None, NOW - HOUR // 2, ())


def codes(
    progress: Progress, *, last: int | None = None, began: int = 0, allowed: int = HOUR
) -> dict[Code, int | None]:
    found = alerts(progress, last_delivery_ms=last, began_ms=began, allowed_ms=allowed, now_ms=NOW)
    return {alert.code: alert.since_ms for alert in found}


def test_a_quiet_stream_whose_lanes_decided_everything_is_no_alert() -> None:
    assert codes(CALM) == {}
    assert whole_through(CALM, NOW) == NOW


@pytest.mark.parametrize("waiting", [NOW - 2 * HOUR, NOW - 3 * HOUR])
def test_records_that_wait_are_a_silence_from_the_oldest_on(waiting) -> None:
    assert codes(Progress(waiting, NOW, ())) == {Code.SILENT: waiting}
    assert codes(Progress(waiting, NOW, ()), last=NOW - 1) == {}  # another lane's delivery came through meanwhile
    assert whole_through(Progress(waiting, NOW, ()), NOW) == waiting


def test_without_a_router_nobody_says_that_there_was_nothing() -> None:
    progress = Progress(None, NOW - 1, (2,))
    assert whole_through(progress, NOW) is None
    assert codes(progress, last=NOW - 5 * HOUR) == {Code.LANES_UNSERVED: None, Code.SILENT: NOW - 5 * HOUR}
    assert codes(progress, last=NOW - 1) == {Code.LANES_UNSERVED: None}


@pytest.mark.parametrize("last", [None, NOW - 2 * HOUR])
def test_a_source_that_publishes_nothing_is_named(last) -> None:
    assert codes(Progress(None, last, ())) == {Code.SOURCE_SILENT: last}


def test_what_is_in_force_for_a_moment_only_is_not_late_yet() -> None:
    assert codes(Progress(None, None, (0, 1)), began=NOW - 1) == {Code.LANES_UNSERVED: None}
