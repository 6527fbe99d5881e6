"""What a snapshot has shown so far, and whom it lacks when it ends: deletions that no source states (design R9).

It lives as long as one reading of the source: one that begins again in the middle knows no beginning, so that nothing
can be derived from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.memory import NEVER, Hashes, Outcome
from adapters.sdk import SnapshotEnds
from broker.errors import Fatal, Invalid
from broker.model.keyed import DIGEST_BYTES

_MOST = 2
"""At most one in so many of the known is deleted unasked."""


@dataclass(slots=True)
class Snapshots:
    """Items seen since each product's snapshot began."""

    hashes: Hashes
    _seen: dict[str, set[bytes]] = field(default_factory=dict)
    _moved: dict[str, set[bytes]] = field(default_factory=dict)

    def begin(self, product: str) -> None:
        """Start afresh."""
        self._seen[product], self._moved[product] = set(), set()

    def saw(self, product: str, item: bytes) -> bool:
        """Note an item, and tell whether a snapshot of its product is open."""
        seen = self._seen.get(product)
        if seen is None:
            return False
        seen.add(item)
        return True

    def moved(self, product: str, subject: bytes) -> None:
        """Note that an item is about somebody else than this stored subject now."""
        self._moved[product].add(subject[:DIGEST_BYTES])

    def left(self, ends: SnapshotEnds, known: Mapping[bytes, bytes]) -> dict[bytes, bytes | None]:
        """The known items that the snapshot lacks, each with the Kafka key to delete.

        The key is None where another item of the snapshot states the same subject, or nothing was published of the
        item. Raises `Invalid` where more than half would be deleted, `Fatal` where the snapshot never began.
        """
        seen = self._seen.pop(ends.product, None)
        if seen is None:
            raise Fatal("an adapter ends a snapshot that did not begin in this reading")
        tag, published, here, left = self.hashes.product(ends.product), 0, set(), {}
        for item, stored in known.items():
            outcome = Outcome.of(stored)
            if outcome.subject[DIGEST_BYTES:] != tag or outcome.content == NEVER:
                continue
            published += 1
            key = outcome.subject[:DIGEST_BYTES].hex().encode()
            if item in seen:
                here.add(key)
            else:
                left[item] = key
        left |= {raw: raw.hex().encode() for raw in self._moved.pop(ends.product)}
        gone = {item: None if key in here else key for item, key in left.items()}
        deleted = len({key for key in gone.values() if key is not None})
        if deleted * _MOST > published and not ends.shrink:
            raise Invalid(
                f"a snapshot of {ends.product} lacks {deleted} of {published} known: nothing was deleted. "
                "Put the whole file in its place, or say `shrink: allowed` in the mapping if they are gone"
            )
        return _once(gone)


def _once(gone: Mapping[bytes, bytes | None]) -> dict[bytes, bytes | None]:
    """Every key with one item only: a subject is deleted once."""
    told: set[bytes] = set()
    found: dict[bytes, bytes | None] = {}
    for item, key in gone.items():
        found[item] = None if key in told else key
        if key is not None:
            told.add(key)
    return found
