"""The bytes of a seal stay as they are, are written in one way only, and a record's leaf is that record's alone."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Invalid
from broker.model import topology
from broker.model.source_seal import SourceSeal, decode_seal, record_leaf

LEAVES = tuple(record_leaf("source.gipod.hinder.v1", b"%032x" % number, b"k", b"v") for number in range(3))
SEAL = SourceSeal.over(
    LEAVES,
    adapter="werken",
    organisation="gipod",
    product="hinder.v1",
    at="2026-07-01T12:00:00Z",
    series="00112233aabbccdd",
    number=7,
)
SIGNED = replace(SEAL, key="gipod/1").with_signature(bytes(range(64)))


def test_these_bytes_never_change() -> None:
    assert record_leaf("source.gipod.hinder.v1", b"id", b"key", b"value").hex() == LEAF_OF_A_RECORD
    assert record_leaf("source.gipod.hinder.v1", b"id", b"key", None).hex() == LEAF_OF_A_DELETION
    line = (
        b'{"adapter":"werken","at":"2026-07-01T12:00:00Z","certificate":"","key":"gipod/1","leaves":3,"number":7,'
        b'"organisation":"gipod","product":"hinder.v1","root":"%b","series":"00112233aabbccdd"}'
        % SEAL.root.hex().encode()
    )
    assert SIGNED.signed_bytes() == b"datanuts source seal v1\n" + line
    signature = b'"signature":"%b"' % bytes(range(64)).hex().encode()
    assert SIGNED.encode() == line[:-1] + b"," + signature + b"}\n" + b"".join(LEAVES)


LEAF_OF_A_RECORD = "ec1df00a8710b81fad14a96e0c796e9c45599f9f71968704f0e2e1ffed49c2f2"
LEAF_OF_A_DELETION = "f1116c682f213f55bd39500fb4eaa689b6e4f5f8fc84f4ad4d7bd3721bd2fffb"


def test_a_seal_is_read_as_it_was_written() -> None:
    assert decode_seal(SIGNED.encode()) == SIGNED
    assert decode_seal(SIGNED.encode()).whole


def altered(**members: Any) -> bytes:
    line, _, leaves = SIGNED.encode().partition(b"\n")
    stated = {name: value for name, value in {**json.loads(line), **members}.items() if value is not ...}
    return json.dumps(stated, sort_keys=True, separators=(",", ":")).encode() + b"\n" + leaves


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"[]\n" + b"".join(LEAVES),
        SIGNED.encode()[:-1],
        SIGNED.encode() + b"x",
        b" " + SIGNED.encode(),
        SIGNED.encode().replace(b'","at"', b'", "at"'),
        altered(signature=...),
        altered(signature="00"),
        altered(more=1),
        altered(number="7"),
        altered(number=0),
        altered(number=True),
        altered(number=1 << 40),
        altered(leaves=2),
        altered(at="gisteren"),
        altered(at="2026-07-01T12:00:00"),
        altered(root="zz"),
        altered(key=None),
        altered(adapter=["werken"]),
    ],
)
def test_what_is_not_written_as_seals_are_is_none(raw: bytes) -> None:
    with pytest.raises(Invalid):
        decode_seal(raw)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_seal_or_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        decode_seal(raw)


def test_leaves_that_were_changed_are_not_whole() -> None:
    changed = replace(SIGNED, leaves=(LEAVES[0], LEAVES[2], LEAVES[1]))
    assert not decode_seal(changed.encode()).whole
    assert changed.signed_bytes() == SIGNED.signed_bytes()


PARTS = st.tuples(
    st.sampled_from(["source.a.hinder.v1", "source.a.hinder.v2", "source.ab.hinder.v1"]),
    st.binary(max_size=3),
    st.binary(max_size=3),
    st.none() | st.binary(max_size=3),
)


@given(PARTS, PARTS)
def test_two_records_share_a_leaf_only_if_they_are_the_same(one, other) -> None:
    assert (record_leaf(*one) == record_leaf(*other)) == (one == other)


def test_seals_are_kept_for_ever_under_kafkas_own_time() -> None:
    spec = topology.seals("gipod", "hinder.v1")
    assert (spec.name, spec.partitions) == ("seals.gipod.hinder.v1", 1)
    assert (spec.config["cleanup.policy"], spec.config["retention.ms"]) == ("delete", "-1")
    assert spec.config["message.timestamp.type"] == "LogAppendTime"
