"""A configured process whose log lines, span store and exported spans a test may read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from broker import telemetry
from broker.settings import Settings, load_settings
from broker.telemetry import spans


@dataclass
class Process:
    settings: Settings
    stream: StringIO

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def written(self) -> str:
        """Everything that reached a file or a stream, as text."""
        spans.flush()
        files = [file.read_bytes() for file in self.settings.data_dir.rglob("*") if file.is_file()]
        return self.stream.getvalue() + b"\n".join(files).decode("latin-1")

    def export(self) -> InMemorySpanExporter:
        """From now on spans go to the exporter that is returned, as they would to a collector."""
        spans.stop()
        exporter = InMemorySpanExporter()
        spans.start("router", self.settings, exporter)
        return exporter


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    held = Process(load_settings({}, data_dir=tmp_path / "data", span_sample=3), StringIO())
    telemetry.configure("router", held.settings, stream=held.stream)
    yield held
    telemetry.shutdown()
