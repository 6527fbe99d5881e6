"""Labelled points at which a fault test may kill this process; inert unless `DATANUTS_FAULT_POINT` names one."""

import os
import signal
from enum import StrEnum


class FaultPoint(StrEnum):
    """The places in a lane's transaction where a crash must not lose, double or reorder anything."""

    FETCHED = "fetched"
    DECIDED = "decided"
    PRODUCED = "produced"
    OFFSETS_SENT = "offsets-sent"
    CHECKED = "checked"
    COMMITTED = "committed"


_SETTING = "DATANUTS_FAULT_POINT"
"""`<label>` or `<label>:<n>` for the n-th pass; `<label>@stop` sends SIGSTOP instead of SIGKILL."""

_passes: dict[str, int] = {}


def fault_point(point: FaultPoint) -> None:
    """Kill (or stop) this process here if the test asked for it."""
    setting = os.environ.get(_SETTING)
    if setting is None:
        return
    label, _, nth = setting.partition(":")
    label, _, how = label.partition("@")
    if label != point.value:
        return
    _passes[label] = _passes.get(label, 0) + 1
    if _passes[label] == int(nth or 1):
        os.kill(os.getpid(), signal.SIGSTOP if how == "stop" else signal.SIGKILL)
