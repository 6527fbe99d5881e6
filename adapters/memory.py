"""What a runner remembers between its runs: where it stands in the source, and what became of each item (design R9).

Rows of the compacted state topic:

    key "cursor"             JSON {cursor, run, at, passed, intake by product, and the run's summary so far}
    key <32 hex of the item> 16 bytes of what was last published of it, then 16 bytes of the complaint, if one stands;
                             in a snapshot then 16 bytes of the Kafka key of its subject, and 4 of its product
    key "seals"              how far its seals are counted (`adapters.sealing`)
    key "drift/<product>"    how often each path was there (`adapters.drift`)

The item's key is a keyed hash of product and source id, both values are keyed hashes as well: nothing here can be read
back, or guessed without the key.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from adapters.summary import Summary
from broker.batches import Row
from broker.model.intake import CURSOR_KEY, Intake
from broker.model.keyed import DIGEST_BYTES, digest

NEVER = bytes(DIGEST_BYTES)
"""Stands for what was published of an item that never was."""

TAG_BYTES = 4

_ITEM_KEY_BYTES = 2 * DIGEST_BYTES

_COMPLAINT = slice(DIGEST_BYTES, 2 * DIGEST_BYTES)
_KEY = slice(2 * DIGEST_BYTES, 3 * DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item: hash of what was last published, of the complaint that stands; its subject's place.

    `subject` is the Kafka key of the subject, raw, then the product's tag; kept for items of snapshots only, so that a
    deletion can be derived without the identifier.
    """

    content: bytes = NEVER
    complaint: bytes = NEVER
    subject: bytes = b""

    @classmethod
    def of(cls, stored: bytes) -> "Outcome":
        """The outcome in a row of the state."""
        return cls(stored[:DIGEST_BYTES], stored[_COMPLAINT] or NEVER, stored[_KEY.start :])

    def stored(self) -> bytes:
        """The row's value."""
        complaint = b"" if self.complaint == NEVER and not self.subject else self.complaint
        return self.content + complaint + self.subject


@dataclass(frozen=True, slots=True)
class Hashes:
    """Keyed hashes of one adapter: of items, of what was published, of complaints."""

    key: bytes = field(repr=False)

    def item(self, product: str, source_id: str) -> bytes:
        """Of one item of the source. A file's name need not be UTF-8."""
        return digest(self.key, b"source-id", product.encode(), source_id.encode("utf-8", "surrogateescape"))

    def content(self, *parts: bytes) -> bytes:
        """Of what a change states; of nothing for a deletion."""
        return digest(self.key, b"content", *parts)

    def complaint(self, reason: str, path: str) -> bytes:
        """Of why an item was quarantined."""
        return digest(self.key, b"complaint", reason.encode(), path.encode())

    def product(self, product: str) -> bytes:
        """Tells items of one product from those of another: 4 bytes."""
        return digest(self.key, b"product", product.encode())[:TAG_BYTES]

    def event(self, item: bytes, content: bytes) -> bytes:
        """Id of the event that an item now states this."""
        return digest(self.key, b"event-id", item, content)


@dataclass(slots=True)
class Memory:
    """State as committed: replaced by `restored` after every opening, moved on by the runner after every commit.

    `intake` is by product, over all runs; `passed` is when the end of the source was last reached, whole seconds.
    """

    run: str
    cursor: str | None = None
    summary: Summary = field(default_factory=Summary)
    items: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    intake: dict[str, Intake] = field(default_factory=dict)
    passed: str | None = None

    @classmethod
    def restored(cls, state: Mapping[bytes, bytes], run: str) -> Self:
        """What the state topic holds. The counts are this run's: they tell which of its transactions were committed."""
        items = {bytes.fromhex(key.decode()): value for key, value in state.items() if len(key) == _ITEM_KEY_BYTES}
        if CURSOR_KEY not in state:
            return cls(run, items=items)
        noted = json.loads(state[CURSOR_KEY])
        summary = Summary.of_json(noted) if noted["run"] == run else Summary()
        intake = {product: Intake.of_json(held) for product, held in noted.get("intake", {}).items()}
        return cls(run, noted["cursor"], summary, items, intake, noted.get("passed"))

    def moved_on(self, cursor: str, summary: Summary, items: Mapping[bytes, bytes | None]) -> None:
        """Take over what was committed; an item that is None is forgotten."""
        for item, outcome in items.items():
            if outcome is None:
                self.items.pop(item, None)
            else:
                self.items[item] = outcome
        self.cursor, self.summary = cursor, summary

    def rows(
        self,
        cursor: str,
        summary: Summary,
        items: Mapping[bytes, bytes | None],
        at: str,
        *,
        intake: Mapping[str, Intake],
        passed: str | None,
    ) -> Iterator[Row]:
        """Rows that take this state to the next one; the cursor's is the last, so that who looks for it reads the end."""
        shown = {product: held.as_json() for product, held in intake.items()}
        for item, outcome in items.items():
            yield item.hex().encode(), outcome, []
        noted = {"cursor": cursor, "run": self.run, "at": at, "passed": passed, "intake": shown, **summary.as_json()}
        yield CURSOR_KEY, json.dumps(noted, separators=(",", ":")).encode(), []
