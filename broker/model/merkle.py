"""Merkle trees of RFC 6962 §2.1 (unchanged in RFC 9162 §2.1), over SHA-256: roots and proofs of inclusion.

A leaf is hashed behind a byte 0x00 and a node behind 0x01, so that neither can be taken for the other. A node without a
neighbour moves up as it is: it is never paired with itself, which would give two lists the same root.
"""

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32

EMPTY_ROOT = sha256().digest()
"""Root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of one leaf: 32 bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of what lies above two hashes: 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes in their order; `EMPTY_ROOT` over none."""
    level = list(leaves)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _above(level)
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from the leaf at `index` to the root, from below (RFC 6962 §2.1.1).

    Raises `IndexError` where there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError("no such leaf")
    level, proof = list(leaves), []
    while len(level) > 1:
        neighbour = index ^ 1
        if neighbour < len(level):
            proof.append(level[neighbour])
        level, index = _above(level), index >> 1
    return proof


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf hash is the one at `index` of the tree of `size` leaves with this root (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(each, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, each)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def _above(level: list[bytes]) -> list[bytes]:
    """The next level up."""
    paired = len(level) & ~1
    above = [
        sha256(b"\x01" + left + right).digest()
        for left, right in zip(level[0:paired:2], level[1:paired:2], strict=True)
    ]
    if paired < len(level):
        above.append(level[-1])
    return above
