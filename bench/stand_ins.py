"""Stand-ins that make one part of the router cost nothing, in the measuring process only: "what trust costs".

What is routed with one of them in place must never be used: no product code knows of them. Each raises `AttributeError`
where the part that it replaces is not there, so that a cell fails rather than measures the whole again.

Large batches go through the native core, around the parts in Python. So whatever replaces one of those leaves out the core too.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.cells import Part
from broker.model import topics
from broker.native.library import core
from broker.routing import router
from broker.routing.checkpoint import Checkpoint
from broker.routing.door import door
from broker.routing.lane_state import LaneState
from broker.routing.outlet import Outlet


class _Nowhere(list[Any]):
    """A list that keeps nothing."""

    def append(self, _row: Any) -> None:
        """Nothing."""


def put(part: Part) -> None:
    """Put the stand-in for `part` into this process."""
    for stand_in in _PUT[part]:
        stand_in()


def _core() -> None:
    """Every record goes through the twin in Python, as where no core was built."""
    if core() is None:
        raise AttributeError("the native core was not built: nothing to leave out")
    _replace(router, "core", lambda: None)


def _state() -> None:
    """A lane knows nothing of its subjects, and keeps nothing of them: it meets each anew in every transaction."""
    _replace(LaneState, "rows", lambda *_asked: [])
    _replace(LaneState, "write", lambda *_told: None)
    _replace(LaneState, "absorbed", lambda *_asked: 1 << 62)


def _guard() -> None:
    """The door from memory: bytes that were admitted once are not looked at again (guard, key and wall)."""
    known: dict[tuple[bytes, bytes], Any] = {}

    def remembering(*told: Any, **named: Any) -> Any:
        admit = door(*told, **named)

        def remembered(record: Any) -> Any:
            place = record.key, record.value
            found = known.get(place)
            if found is None:
                found = known[place] = admit(record)
            return found

        return remembered

    _replace(router, "door", remembering)


def _receipts() -> None:
    """No receipt is made, and none is written."""
    output, nowhere = Checkpoint.output, _Nowhere()

    def unless_receipt(self: Checkpoint, topic: str, partition: int) -> Any:
        return nowhere if topic == topics.RECEIPTS else output(self, topic, partition)

    _replace(Checkpoint, "output", unless_receipt)
    _replace(router, "_receipts", lambda *_about: lambda *_told: None)


def _envelopes() -> None:
    """The source's key, and the same ten headers for every delivery: nothing is made for its agreement but the cut."""
    headers = [*((f"ce_{number}", b"x" * 12) for number in range(8)), ("ce_id", b"0" * 32), ("traceparent", b"0" * 55)]

    def deliver(self: Outlet, decision: Any, source: Any, batch: Any) -> Any:
        cut = self.projection.cut(source.value, source.offsets, batch.day, decision.reference)
        return (source.key, self.frame + cut, headers), self.release_leaves[decision.kind] + bytes(16)

    _replace(Outlet, "deliver", deliver)


def _replace(owner: Any, name: str, value: Any) -> None:
    getattr(owner, name)
    setattr(owner, name, value)


_PUT: Mapping[Part, Sequence[Callable[[], None]]] = {
    Part.CORE: (_core,),
    Part.STATE: (_state,),
    Part.GUARD: (_core, _guard),
    Part.RECEIPTS: (_core, _receipts),
    Part.ENVELOPES: (_core, _envelopes),
}
