"""Logs and traces of a process, without data about persons (design §9).

`configure` once per process; before that, and after `shutdown`, every call does nothing and costs nothing.
"""

import atexit
import sys
from collections.abc import Callable
from typing import TextIO

from broker.model.topics import slug
from broker.settings import Settings
from broker.telemetry import logs, spans
from broker.telemetry.logs import Event, log
from broker.telemetry.spans import batch_span, record_spans, sampled, span_store

__all__ = ["Event", "batch_span", "configure", "log", "record_spans", "sampled", "shutdown", "span_store"]

_stop_logging: Callable[[], None] | None = None


def configure(service: str, settings: Settings, *, stream: TextIO | None = None) -> None:
    """Log and trace this process as `service` (a slug), log lines to `stream` (default: standard error).

    Again: what was set up before is flushed and replaced. What is finished is also flushed at a normal exit.
    """
    global _stop_logging  # noqa: PLW0603 - a process has one log
    shutdown()
    _stop_logging = logs.start(slug(service, "service"), settings.log_level, stream or sys.stderr)
    spans.start(service, settings)
    atexit.register(shutdown)


def shutdown() -> None:
    """Write what is finished, and stop; safe to call at any time."""
    global _stop_logging
    spans.stop()
    stopping, _stop_logging = _stop_logging, None
    if stopping is not None:
        stopping()
    atexit.unregister(shutdown)
