"""Seals of sources: what a source's key says of the records of one transaction, and how that is written.

A seal is one record of `seals.<organisation>.<product>`, without a key; its value is

    one line of JSON       the statement with its `signature` (hex), keys sorted, no spaces, ASCII
    line feed
    leaf hashes            32 bytes each, in the order of the leaves; their number is the statement's `leaves`

The signature (Ed25519, RFC 8032) is over `CONTEXT` and the same line without `signature`: the statement holds the Merkle
root (RFC 6962), which holds the leaves. The leaf hashes lie beside it because source topics are compacted: any record that
is left can be checked alone. Fixed by docs/adr/2026-11-26-source-seals.md.

A leaf's hash is no keyed digest of a record's values, but no guess can be tried on it either: it covers the record's id,
128 bits that nobody can make without the adapter's key, and that are gone with the record.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from broker.errors import Invalid
from broker.model.instants import stated_instant
from broker.model.merkle import HASH_BYTES, leaf_hash, root_of

CONTEXT = b"datanuts source seal v1\n"
"""Goes before what is signed: a signature on a seal is a signature on nothing else."""

SIGNATURE_BYTES = 64

MOST_LEAVES, MOST_NUMBER = (1 << 20) - 1, (1 << 31) - 1
"""Bounds of what `decode_seal` takes: whoever reads seals holds what they say in memory."""

_LEAF = b"datanuts source record v1\n"
_ABSENT = b"\xff\xff\xff\xff"
_TEXTS = ("adapter", "organisation", "product", "at", "series", "root", "key", "certificate")
_NUMBERS = ("number", "leaves")
_NAMES = frozenset((*_TEXTS, *_NUMBERS))


def leaves_of(topic: str) -> Callable[[bytes, bytes, bytes | None], bytes]:
    """`record_leaf` of one topic: of the id, the key and the value of its records."""
    name = topic.encode()
    head = _LEAF + len(name).to_bytes(4, "big") + name

    def leaf(event_id: bytes, key: bytes, value: bytes | None) -> bytes:
        parts = (head, len(event_id).to_bytes(4, "big"), event_id, len(key).to_bytes(4, "big"), key)
        if value is None:
            return leaf_hash(b"".join((*parts, _ABSENT)))
        return leaf_hash(b"".join((*parts, len(value).to_bytes(4, "big"), value)))

    return leaf


def record_leaf(topic: str, event_id: bytes, key: bytes, value: bytes | None) -> bytes:
    """Leaf hash of one source record: of its topic, its `ce_id`, its Kafka key and its value (None: a deletion).

    Each part is behind its length (four bytes, big-endian; of an absent value all ones), so that no two records share one.
    """
    return leaves_of(topic)(event_id, key, value)


@dataclass(frozen=True, slots=True)
class SourceSeal:
    """What is sealed: the records of one product in one transaction of one adapter.

    `series` and `number` count the seals of an adapter on a product, from 1 on: a seal that is missing or written again
    shows. A series (hex) ends only where the adapter's state was lost. `at` is the commit's instant, in whole seconds.
    `key` names the organisation's key (`<organisation>/<epoch>`), `certificate` the adapter's, empty where it has none.
    """

    adapter: str
    organisation: str
    product: str
    at: str
    series: str
    number: int
    leaves: tuple[bytes, ...] = field(repr=False)
    root: bytes
    key: str = ""
    certificate: str = ""
    signature: bytes = field(default=b"", repr=False)

    @classmethod
    def over(
        cls,
        leaves: Sequence[bytes],
        *,
        adapter: str,
        organisation: str,
        product: str,
        at: str,
        series: str,
        number: int,
    ) -> "SourceSeal":
        """The seal on these leaves, not signed yet."""
        return cls(adapter, organisation, product, at, series, number, tuple(leaves), root_of(leaves))

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        return CONTEXT + _line(self._stated())

    def with_signature(self, signature: bytes) -> "SourceSeal":
        """The same, signed."""
        return replace(self, signature=signature)

    def encode(self) -> bytes:
        """Value of the seal's record."""
        return _line({**self._stated(), "signature": self.signature.hex()}) + b"\n" + b"".join(self.leaves)

    @property
    def whole(self) -> bool:
        """Whether the leaves that lie beside the statement are the ones that it was made of."""
        return root_of(self.leaves) == self.root

    def instant(self) -> datetime:
        """When it says that it was made."""
        return stated_instant(self.at)

    def _stated(self) -> dict[str, Any]:
        return {
            "adapter": self.adapter,
            "at": self.at,
            "certificate": self.certificate,
            "key": self.key,
            "leaves": len(self.leaves),
            "number": self.number,
            "organisation": self.organisation,
            "product": self.product,
            "root": self.root.hex(),
            "series": self.series,
        }


def decode_seal(raw: bytes) -> SourceSeal:
    """The seal in a record's value; raises `Invalid` unless these are the bytes that `encode` writes of some seal."""
    line, _, beside = raw.partition(b"\n")
    try:
        stated = json.loads(line)
        signature = bytes.fromhex(stated.pop("signature"))
        texts = [stated[name] for name in _TEXTS]
        numbers = [stated[name] for name in _NUMBERS]
        _require(stated.keys() == _NAMES and len(signature) == SIGNATURE_BYTES)
        _require(all(type(text) is str for text in texts) and all(type(each) is int for each in numbers))
        _require(len(beside) == HASH_BYTES * stated["leaves"])
        _require(0 < stated["leaves"] <= MOST_LEAVES and 0 < stated["number"] <= MOST_NUMBER)
        root = bytes.fromhex(stated["root"])
        stated_instant(stated["at"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise Invalid("this is no seal") from None
    found = SourceSeal(
        stated["adapter"],
        stated["organisation"],
        stated["product"],
        stated["at"],
        stated["series"],
        stated["number"],
        tuple(beside[start : start + HASH_BYTES] for start in range(0, len(beside), HASH_BYTES)),
        root,
        stated["key"],
        stated["certificate"],
        signature,
    )
    if found.encode() != raw:
        raise Invalid("this seal is not written as seals are")
    return found


def _require(holds: bool) -> None:  # noqa: FBT001 - a condition is all that it takes
    if not holds:
        raise ValueError


def _line(stated: dict[str, Any]) -> bytes:
    return json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
