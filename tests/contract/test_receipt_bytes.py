"""The hand-written receipt bytes are exactly what schemas/receipt.v1.avsc says (fastavro is the oracle)."""

import io
import json
from pathlib import Path

import fastavro
from hypothesis import given
from hypothesis import strategies as st

from broker.model import receipt
from broker.model.decision import Kind, Reason

SCHEMA = fastavro.parse_schema(json.loads((Path(__file__).parents[2] / "schemas" / "receipt.v1.avsc").read_text()))
ids = st.from_regex(r"[a-z]{1,12}(-[a-z]{1,12}){0,3}", fullmatch=True)
digests = st.binary(min_size=16, max_size=16)
longs = st.integers(min_value=0, max_value=2**50)
instants = st.integers(min_value=0, max_value=253_402_300_799_999)  # the last one that Python's datetime can hold


def symbol(kind: Kind) -> str:
    return kind.value.replace("-", "_")


@given(
    at=st.builds(
        receipt.Coordinates,
        topic=ids,
        lane=st.integers(0, 10_000),
        epoch=longs,
        subjects_offset=longs,
        decided_at_ms=instants,
        run=st.integers(0, 1000),
    ),
    offset=longs,
    subject=digests,
    trace=digests,
    releases=st.lists(st.tuples(ids, st.integers(1, 10**6), st.sampled_from(Kind), digests), max_size=5),
    withholds=st.lists(
        st.tuples(
            ids, st.integers(1, 10**6), st.sampled_from([r for r in Reason if r.receipted]), st.sampled_from(Kind)
        ),
        max_size=5,
    ),
)
def test_a_receipt_reads_back_as_written(at, offset, subject, trace, releases, withholds) -> None:
    leaves = [receipt.released(agreement, version, kind) + delivery for agreement, version, kind, delivery in releases]
    leaves += [receipt.withheld(agreement, version, reason, kind) for agreement, version, reason, kind in withholds]
    if not leaves:
        return
    raw = receipt.receipt(receipt.prefix(b"", at), offset, subject, trace, leaves)
    stream = io.BytesIO(raw)
    read = fastavro.schemaless_reader(stream, SCHEMA, SCHEMA)
    assert stream.read() == b""
    assert (read["topic"], read["lane"], read["offset"], read["epoch"]) == (at.topic, at.lane, offset, at.epoch)
    assert (read["subjectsOffset"], read["run"], read["subject"], read["trace"]) == (
        at.subjects_offset,
        at.run,
        subject,
        trace,
    )
    expected = [(a, v, "release", symbol(k), None, d) for a, v, k, d in releases]
    expected += [(a, v, "withhold", symbol(k), r.value, None) for a, v, r, k in withholds]
    leaf = ("agreement", "version", "outcome", "kind", "reason", "delivery")
    assert [tuple(decision[name] for name in leaf) for decision in read["decisions"]] == expected
