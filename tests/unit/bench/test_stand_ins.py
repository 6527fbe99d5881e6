"""A stand-in fails where what it replaces is no longer there, rather than measure the whole again."""

from types import SimpleNamespace
from typing import Any

import pytest

from bench import stand_ins
from bench.cells import Part


@pytest.mark.parametrize("part", list(Part))
def test_each_stand_in_replaces_what_is_there(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[str] = []

    def note(owner: Any, name: str, value: Any) -> None:
        assert callable(getattr(owner, name))
        assert callable(value)
        replaced.append(name)

    monkeypatch.setattr(stand_ins, "_replace", note)
    stand_ins.put(part)
    assert replaced


def test_what_is_not_there_is_not_replaced() -> None:
    with pytest.raises(AttributeError):
        stand_ins._replace(SimpleNamespace(), "gone", print)
