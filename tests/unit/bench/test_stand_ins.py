"""A stand-in fails where what it replaces is no longer there, rather than measure the whole again."""

from types import SimpleNamespace
from typing import Any

import pytest

from bench import stand_ins
from bench.cells import Part
from broker.routing.lane_state import Absorbed, LaneState

PYTHON = {Part.CORE, Part.GUARD, Part.RECEIPTS, Part.ENVELOPES}
"""Parts that are left out of the path in Python."""


@pytest.mark.parametrize("part", list(Part))
def test_each_stand_in_replaces_what_is_there(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[str] = []
    monkeypatch.setattr(stand_ins, "core", object)

    def note(owner: Any, name: str, value: Any) -> None:
        assert callable(getattr(owner, name))
        assert callable(value)
        replaced.append(name)

    monkeypatch.setattr(stand_ins, "_replace", note)
    stand_ins.put(part)
    assert len(replaced) > (part in PYTHON - {Part.CORE})
    assert ("core" in replaced) is (part in PYTHON)


@pytest.mark.parametrize("part", sorted(PYTHON))
def test_a_part_of_the_twin_is_not_measured_where_all_is_the_twin(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_ins, "core", lambda: None)
    monkeypatch.setattr(stand_ins, "_replace", lambda *_told: None)
    with pytest.raises(AttributeError, match="not built"):
        stand_ins.put(part)


def test_without_its_state_a_lane_knows_nobody_and_has_nothing_to_catch_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rows", "write", "absorbed"):
        monkeypatch.setattr(LaneState, name, getattr(LaneState, name))  # put back afterwards
    stand_ins.put(Part.STATE)
    state, key = LaneState(None), b"0123456789abcdef"
    try:
        state.write({"a": {}}, [Absorbed("a", 5, ())], {}, {"a": [(key, bytes(16))]})
        assert not state.rows("a", [key])
        assert state.absorbed("a", ()) > 5
    finally:
        state.close()


def test_what_is_not_there_is_not_replaced() -> None:
    with pytest.raises(AttributeError):
        stand_ins._replace(SimpleNamespace(), "gone", print)
