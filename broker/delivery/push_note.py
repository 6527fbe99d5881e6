"""What is kept beside a committed position, so that whoever goes on from there knows what the last one knew."""

import json
from dataclasses import dataclass, field
from typing import Any

from broker.delivery import push_circuit
from broker.delivery.push_circuit import Health


@dataclass(frozen=True, slots=True)
class Written:
    """A file that begins at the position and may have its name already: where it ends, and its bytes."""

    end: int
    size: int


@dataclass(frozen=True, slots=True)
class Note:
    """What is kept beside a position.

    Of which registration it is, and of which fact about it; the latest fact about the agreement that was told, and how
    the receiver fares. Of a drop also the name of a part that may lie on the server, and the file that was made of it.
    """

    series: int
    fact: int
    told: int = -1
    health: Health = field(default_factory=Health)
    part: str = ""
    written: Written | None = None

    def text(self) -> str:
        """What `Note.of` reads."""
        known: dict[str, Any] = {"series": self.series, "fact": self.fact, "told": self.told}
        if self.part:
            known["part"] = self.part
        if self.written is not None:
            known["written"] = [self.written.end, self.written.size]
        return json.dumps(known | push_circuit.as_json(self.health), separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> "Note | None":
        """The note of a position; None for one that somebody else committed."""
        try:
            stated = json.loads(text)
            series, fact, told = (int(stated[name]) for name in ("series", "fact", "told"))
            end_and_size = stated.get("written")
            written = None if end_and_size is None else Written(*map(int, end_and_size))
            health = push_circuit.of_json(stated)
            return cls(series, fact, told, health, str(stated.get("part", "")), written)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
