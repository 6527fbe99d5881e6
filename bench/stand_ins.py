"""Stand-ins that make one part of the router cost nothing, in the measuring process only: "what trust costs".

What is routed with one of them in place must never be used: no product code knows of them. Each raises `AttributeError`
where the part that it replaces is no longer there, so that a cell fails rather than measures the whole again.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from bench.cells import Part
from broker.model import topics
from broker.policy.engine import Previous
from broker.routing import router
from broker.routing.checkpoint import Checkpoint
from broker.routing.door import door
from broker.routing.lane_state import LaneState
from broker.routing.outlet import Outlet


class _Nowhere(list[Any]):
    """A list that keeps nothing."""

    def append(self, _row: Any) -> None:
        """Nothing."""

    def extend(self, _rows: Any) -> None:
        """Nothing."""


def put(part: Part) -> None:
    """Put the stand-in for `part` into this process."""
    _PUT[part]()


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


def _state() -> None:
    """What a lane knows of its subjects lies in a dictionary, and is lost with the process."""
    known: dict[tuple[int, str], dict[bytes, Previous]] = {}

    def read(self: LaneState, topic: str, keys: Collection[bytes]) -> Mapping[bytes, Previous]:
        held = known.get((id(self), topic), {})
        return {key: held[key] for key in keys if key in held}

    def write(self: LaneState, changes: Mapping[str, Mapping[bytes, Previous | None]], *_told: Any) -> None:
        for topic, changed in changes.items():
            held = known.setdefault((id(self), topic), {})
            held.update({key: value for key, value in changed.items() if value is not None})

    _replace(LaneState, "read", read)
    _replace(LaneState, "write", write)
    _replace(LaneState, "absorbed", lambda *_asked: 1 << 62)


def _envelopes() -> None:
    """The source's key, and the same headers for every delivery: nothing is made for its agreement but the cut."""
    headers = [*((f"ce_{number}", b"x" * 12) for number in range(6)), ("ce_id", b"0" * 32), ("traceparent", b"0" * 55)]

    def deliver(self: Outlet, decision: Any, source: Any, batch: Any) -> Any:
        cut = self.projection.cut(source.value, source.offsets, batch.day, decision.reference)
        return (source.key, self.frame + cut, headers), self.release_leaves[decision.kind] + bytes(16)

    _replace(Outlet, "deliver", deliver)


def _replace(owner: Any, name: str, value: Any) -> None:
    getattr(owner, name)
    setattr(owner, name, value)


_PUT: Mapping[Part, Callable[[], None]] = {
    Part.GUARD: _guard,
    Part.RECEIPTS: _receipts,
    Part.STATE: _state,
    Part.ENVELOPES: _envelopes,
}
