"""What is kept beside a committed position, so that whoever goes on from there knows what the last one knew."""

import json
from dataclasses import dataclass, field

from broker.delivery import webhook_circuit
from broker.delivery.webhook_circuit import Health


@dataclass(frozen=True, slots=True)
class Note:
    """What is kept beside a position.

    Of which registration it is, and of which fact about it; the latest fact about the agreement that was told, and how
    the receiver fares.
    """

    series: int
    fact: int
    told: int = -1
    health: Health = field(default_factory=Health)

    def text(self) -> str:
        """What `Note.of` reads."""
        known = {"series": self.series, "fact": self.fact, "told": self.told}
        return json.dumps(known | webhook_circuit.as_json(self.health), separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> "Note | None":
        """The note of a position; None for one that somebody else committed."""
        try:
            stated = json.loads(text)
            series, fact, told = (int(stated[name]) for name in ("series", "fact", "told"))
            return cls(series, fact, told, webhook_circuit.of_json(stated))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
