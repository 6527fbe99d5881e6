"""Spans, made after the fact from instants that the caller took: one per batch, and one in the trace of a few of its records.

A record's trace id lies in its `traceparent`; a delivery's is its delivery id (ADR envelope). Which records get a span is
decided by their place in a batch: under little load all of them do, under backlog a few. Receipts are never sampled.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags, Tracer, set_span_in_context

from broker.model.record import trace_id_of
from broker.settings import Settings
from broker.telemetry.logs import Event, log
from broker.telemetry.safe import safe_fields, safe_name
from broker.telemetry.store import FILE, NoSpans, SpanStore, StoredSpan

_DELAY_MS = 500
"""Longest time a finished span waits in this process; they are written by a thread, in batches."""

_COLLECTOR_S = 2
"""A process that stops waits this long for a collector that does not answer, at most four times (a full queue)."""

_SPAN_ID = slice(36, 52)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


@dataclass(frozen=True, slots=True)
class _Tracing:
    provider: TracerProvider
    tracer: Tracer
    sample: int
    store: SpanStore | NoSpans


_tracing: _Tracing | None = None


def start(service: str, settings: Settings, exporter: SpanExporter | None = None) -> None:
    """Trace as `service`: to the collector of the settings, else into the store of the data directory."""
    global _tracing  # noqa: PLW0603 - a process has one tracer
    store: SpanStore | NoSpans = NoSpans()
    if exporter is None and settings.otlp_endpoint is not None:
        exporter = OTLPSpanExporter(f"{settings.otlp_endpoint}/v1/traces", timeout=_COLLECTOR_S)
    elif exporter is None:
        store = SpanStore(settings.data_dir / FILE)
        exporter = _ToStore(service, store)
    provider = TracerProvider(
        sampler=ALWAYS_ON, shutdown_on_exit=False, resource=Resource.create({SERVICE_NAME: service})
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY_MS))
    _tracing = _Tracing(provider, provider.get_tracer("datanuts"), settings.span_sample, store)


def stop() -> None:
    """Write what is finished and stop; later calls do nothing."""
    global _tracing
    ending, _tracing = _tracing, None
    if ending is not None:
        ending.provider.shutdown()


def flush() -> None:
    """Return once everything finished so far is written."""
    if _tracing is not None:
        _tracing.provider.force_flush()


def span_store() -> SpanStore | NoSpans:
    """Where this process's spans can be found again; empty where a collector gets them."""
    return _tracing.store if _tracing is not None else NoSpans()


def sampled(traceparents: Iterable[bytes | None]) -> Sequence[bytes]:
    """The valid ones among the first few; reads no further, and nothing at all while tracing is off."""
    if _tracing is None:
        return ()
    return [value for value in islice(traceparents, _tracing.sample) if value and _parent(value)]


def batch_span(
    name: str,
    *,
    start_ns: int,
    end_ns: int,
    attributes: Mapping[str, Any],
    links: Iterable[bytes | None] = (),
) -> None:
    """One span in a trace of its own, linked to the first few records; instants in nanoseconds since the epoch.

    Attributes pass the filter of log fields (`safe.FIELDS`).
    """
    if _tracing is not None:
        linked = [Link(parent) for value in sampled(links) if (parent := _parent(value))]
        span = _tracing.tracer.start_span(
            safe_name(name), attributes=_attributes(attributes), links=linked, start_time=start_ns
        )
        span.end(end_ns)


def record_spans(
    name: str, traceparents: Iterable[bytes | None], *, start_ns: int, end_ns: int, attributes: Mapping[str, Any]
) -> None:
    """One span in the trace of each of the first few records, below the span that their `traceparent` names."""
    if _tracing is None:
        return
    shown = _attributes(attributes)
    for value in sampled(traceparents):
        if (parent := _parent(value)) is not None:
            context = set_span_in_context(NonRecordingSpan(parent))
            span = _tracing.tracer.start_span(safe_name(name), context, attributes=shown, start_time=start_ns)
            span.end(end_ns)


def _attributes(given: Mapping[str, Any]) -> dict[str, str | bool | int | float]:
    return {name: value for name, value in safe_fields(given).items() if isinstance(value, str | bool | int | float)}


def _parent(value: bytes) -> SpanContext | None:
    trace = trace_id_of(value)
    try:
        span = int.from_bytes(bytes.fromhex(value[_SPAN_ID].decode("ascii")))
    except ValueError:
        return None
    if trace is None or not span:
        return None
    return SpanContext(int.from_bytes(trace), span, is_remote=True, trace_flags=_SAMPLED)


class _ToStore(SpanExporter):
    """Writes finished spans into the local store; called by the tracer's own thread."""

    def __init__(self, service: str, store: SpanStore) -> None:
        self._service = service
        self._store = store
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep them; a failure is logged once, until writing succeeds again."""
        try:
            self._store.add(self._stored(span) for span in spans if span.context)
        except (OSError, sqlite3.Error) as error:
            if not self._failing:
                log(Event.TRACES_LOST, error=error)
            self._failing = True
            return SpanExportResult.FAILURE
        self._failing = False
        return SpanExportResult.SUCCESS

    def _stored(self, span: ReadableSpan) -> StoredSpan:
        trace = f"{span.context.trace_id:032x}"
        return StoredSpan(trace, span.name, self._service, span.start_time or 0, span.end_time or 0)
