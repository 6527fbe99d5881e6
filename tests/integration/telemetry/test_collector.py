"""Spans reach a collector over OTLP/HTTP, with what may be shown and nothing else."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from broker import telemetry
from broker.model.record import traceparent
from broker.settings import load_settings
from broker.telemetry import record_spans, span_store

CANARY = "85673003328"


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent; answers `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[tuple[str, bytes]] = []
        self.status = 200


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def observed(collector: Collector, folder: Path) -> str:
    """Log text of a process that makes one span and ends."""
    stream, address = StringIO(), f"http://127.0.0.1:{collector.server_port}/"
    telemetry.configure("router", load_settings({}, data_dir=folder / "data", otlp_endpoint=address), stream=stream)
    seen = {"lane": 3, "topic": CANARY, "subject": CANARY}
    record_spans("router.route", [traceparent(b"\x01" * 16, b"\x02" * 8)], start_ns=5, end_ns=9, attributes=seen)
    assert span_store().find("01" * 16) == ()
    telemetry.shutdown()
    return stream.getvalue()


def test_a_collector_gets_the_spans_and_nothing_stays_here(collector: Collector, tmp_path: Path) -> None:
    assert observed(collector, tmp_path) == ""
    ((path, body),) = collector.received
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    (span,) = resource.scope_spans[0].spans
    assert path == "/v1/traces"
    assert "router" in [held.value.string_value for held in resource.resource.attributes if held.key == "service.name"]
    assert (span.name, span.trace_id, span.parent_span_id) == ("router.route", b"\x01" * 16, b"\x02" * 8)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (5, 9)
    assert CANARY.encode() not in body
    assert not (tmp_path / "data").exists()


def test_a_collector_that_refuses_is_told_in_the_log(collector: Collector, tmp_path: Path) -> None:
    collector.status = 400
    told = observed(collector, tmp_path)
    assert '"logger": "opentelemetry' in told
    assert CANARY not in told
