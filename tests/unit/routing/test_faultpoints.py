"""A fault point does nothing unless a test names it, and then only at the pass that was asked for."""

import os
import signal

import pytest

from broker.routing import faultpoints
from broker.routing.faultpoints import FaultPoint, fault_point


@pytest.fixture
def killed(monkeypatch) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: seen.append((pid, number)))
    monkeypatch.setattr(faultpoints, "_passes", {})
    return seen


@pytest.mark.parametrize("setting", [None, "", "elsewhere", "committed-not", "FETCHED"])
def test_nothing_happens_unless_asked(monkeypatch, killed, setting) -> None:
    monkeypatch.delenv("DATANUTS_FAULT_POINT", raising=False)
    if setting is not None:
        monkeypatch.setenv("DATANUTS_FAULT_POINT", setting)
    for point in FaultPoint:
        fault_point(point)
    assert killed == []


@pytest.mark.parametrize(
    ("setting", "passes", "number"),
    [("decided", 1, signal.SIGKILL), ("decided:3", 3, signal.SIGKILL), ("decided@stop:2", 2, signal.SIGSTOP)],
)
def test_the_named_point_kills_at_its_pass(monkeypatch, killed, setting, passes, number) -> None:
    monkeypatch.setenv("DATANUTS_FAULT_POINT", setting)
    for done in range(1, passes + 2):
        fault_point(FaultPoint.FETCHED)
        fault_point(FaultPoint.DECIDED)
        assert killed == ([(os.getpid(), number)] if done >= passes else [])
