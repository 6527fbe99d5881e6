"""Trees are those of RFC 6962: the reference implementation's roots, a naive reading of §2.1, and proofs that fit nothing else."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model.merkle import EMPTY_ROOT, included, inclusion_proof, leaf_hash, node_hash, root_of

REFERENCE = [
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    (
        "606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
]
"""Leaves of Certificate Transparency's reference tests, and the root with each of them added."""


def naive(entries: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return sha256(b"\x01" + naive(entries[:k]) + naive(entries[k:])).digest()


def naive_path(m: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1, word for word."""
    if len(entries) == 1:
        return []
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m < k:
        return [*naive_path(m, entries[:k]), naive(entries[k:])]
    return [*naive_path(m - k, entries[k:]), naive(entries[:k])]


def test_the_roots_of_the_reference_implementation() -> None:
    assert EMPTY_ROOT.hex() == root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    leaves: list[bytes] = []
    for entry, root in REFERENCE:
        leaves.append(leaf_hash(bytes.fromhex(entry)))
        assert root_of(leaves).hex() == root


def test_a_lone_node_moves_up_and_is_not_paired_with_itself() -> None:
    a, b, c = (leaf_hash(text) for text in (b"a", b"b", b"c"))
    assert root_of([a, b, c]) == node_hash(node_hash(a, b), c)
    assert root_of([a, b, c]) != root_of([a, b, c, c])


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_roots_and_proofs_are_those_of_a_naive_reading(entries: list[bytes]) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    root = root_of(leaves)
    assert root == naive(entries)
    for index in range(len(leaves)):
        proof = inclusion_proof(leaves, index)
        assert proof == naive_path(index, entries)
        assert included(leaves[index], index, len(leaves), proof, root)


@given(st.integers(2, 40), st.data())
def test_a_proof_holds_for_its_own_leaf_place_and_size_only(size: int, data) -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(size)]
    root, index = root_of(leaves), data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    other = data.draw(st.integers(0, size - 1).filter(lambda each: each != index))
    assert not included(leaves[other], index, size, proof, root)
    assert not included(leaves[index], other, size, proof, root)
    assert not included(leaves[index], index, size, proof[:-1], root)
    assert not included(leaves[index], index, size, [*proof, root], root)
    assert not included(leaves[index], size, size, proof, root)
    assert not included(leaves[index], index, size, proof, leaf_hash(b"another root"))


def test_there_is_no_proof_of_what_is_not_there() -> None:
    with pytest.raises(IndexError):
        inclusion_proof([leaf_hash(b"a")], 1)
    with pytest.raises(IndexError):
        inclusion_proof([leaf_hash(b"a")], -1)
