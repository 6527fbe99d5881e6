"""What traces show of a committed batch: one span for it, and one in the trace of each of its first few records.

After the commit and outside the transaction; nothing is done per record, and nothing at all while tracing is off.
"""

from itertools import chain, zip_longest

from broker.model.record import header
from broker.routing.fetching import Batch
from broker.telemetry import batch_span, record_spans, sampled

_NS_PER_MS = 1_000_000


def observe(batch: Batch, *, lane: int, decided_ms: int, committed_ms: int) -> None:
    """Record the way of `batch` from its decision instant to the end of its commit (epoch milliseconds)."""
    # One record of each topic in turn: the first topic of a batch must not hide the others.
    in_turn = chain.from_iterable(zip_longest(*batch.records.values()))
    traced = sampled(header(record.headers, "traceparent") for record in in_turn if record is not None)
    if not traced:
        return
    start_ns, end_ns = decided_ms * _NS_PER_MS, committed_ms * _NS_PER_MS
    seen = {"lane": lane, "records": batch.size}
    batch_span("router.batch", start_ns=start_ns, end_ns=end_ns, attributes=seen, links=traced)
    record_spans("router.route", traced, start_ns=start_ns, end_ns=end_ns, attributes=seen)
