"""Log lines: one JSON object per line, from a closed list of events; what other libraries log passes through the same filter."""

import logging
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from enum import StrEnum
from functools import partial
from types import FrameType, TracebackType
from typing import Any, TextIO

import structlog

from broker.telemetry.safe import WITHHELD, FromCode, safe_fields


class Event(StrEnum):
    """Everything this broker logs; the names are stable. A line per batch at most, never per record."""

    ADAPTER_BATCH = "adapter.batch"
    ADAPTER_DRIFT = "adapter.drift"
    ADAPTER_ENDED = "adapter.ended"
    ADAPTER_QUARANTINED = "adapter.quarantined"
    ADAPTER_STARTED = "adapter.started"
    AFTERCARE_FAILED = "aftercare.failed"
    API_STARTED = "api.started"
    API_STOPPED = "api.stopped"
    CHILD_ENDED = "child.ended"
    CONTROL_CONFLICT = "control.conflict"
    CREDENTIAL_COMPROMISED = "credential.compromised"
    FOREIGN = "foreign"
    HTTP_UNEXPECTED = "http.unexpected"
    ISSUER_KEYS = "issuer.keys"
    ISSUER_UNAVAILABLE = "issuer.unavailable"
    KAFKA_STARTED = "kafka.started"
    KAFKA_STOPPED = "kafka.stopped"
    LANES_ASSIGNED = "lanes.assigned"
    LANE_FENCED = "lane.fenced"
    LANE_FENCED_BY_CONTROL = "lane.fenced_by_control"
    LANE_OPENED = "lane.opened"
    LANE_REOPENED = "lane.reopened"
    LOGIN_NOT_KEPT = "login.not_kept"
    PROCESS_FAILED = "process.failed"
    PURPOSE_CLAIMED = "purpose.claimed"
    QUALITY_NOT_TAKEN = "quality.not_taken"
    REVOCATION_COMPLETED = "revocation.completed"
    ROUTER_SLOW = "router.slow"
    ROUTER_STARTED = "router.started"
    ROUTER_STOPPED = "router.stopped"
    SUPERVISOR_READ = "supervisor.read"
    TERM_NOT_KEPT = "term.not_kept"
    TRACES_LOST = "traces.lost"
    PROCESSOR_READ = "processor.read"
    WEBHOOK_SUSPENDED = "webhook.suspended"
    WEBHOOK_TROUBLE = "webhook.trouble"
    WEBHOOK_UNEXPECTED = "webhook.unexpected"
    DROP_SUSPENDED = "drop.suspended"
    DROP_TROUBLE = "drop.trouble"
    DROP_UNEXPECTED = "drop.unexpected"


_WARNINGS = frozenset(
    {
        Event.ADAPTER_DRIFT,
        Event.ADAPTER_QUARANTINED,
        Event.AFTERCARE_FAILED,
        Event.CHILD_ENDED,
        Event.CREDENTIAL_COMPROMISED,
        Event.ISSUER_UNAVAILABLE,
        Event.LANE_FENCED,
        Event.LANE_FENCED_BY_CONTROL,
        Event.LANE_REOPENED,
        Event.PURPOSE_CLAIMED,
        Event.ROUTER_SLOW,
        Event.QUALITY_NOT_TAKEN,
        Event.LOGIN_NOT_KEPT,
        Event.TERM_NOT_KEPT,
        Event.TRACES_LOST,
        Event.WEBHOOK_SUSPENDED,
        Event.WEBHOOK_TROUBLE,
        Event.DROP_SUSPENDED,
        Event.DROP_TROUBLE,
    }
)
_ERRORS = frozenset({Event.HTTP_UNEXPECTED, Event.PROCESS_FAILED, Event.WEBHOOK_UNEXPECTED, Event.DROP_UNEXPECTED})

_sink: Any = None


def log(event: Event, **fields: object) -> None:
    """Write one line, with the fields that may be shown; does nothing before `start`.

    Field names and forms are those of `safe.FIELDS`. Give an exception as `error=`: its class, code and place are logged,
    its text never is.
    """
    if _sink is not None:
        level = "error" if event in _ERRORS else "warning" if event in _WARNINGS else "info"
        getattr(_sink, level)(event, **fields)


def start(service: str, level: str, stream: TextIO) -> Callable[[], None]:
    """Log as `service` to `stream` from `level` on; returns what undoes it.

    Whatever else would reach a log is taken in too: the standard library's loggers from WARNING on, and exceptions that
    nobody caught, whose text Python would print.
    """
    global _sink  # noqa: PLW0603 - a process has one log
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            partial(_filtered, service),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    _sink = structlog.get_logger()
    foreign = _Foreign(max(logging.WARNING, getattr(logging, level)))
    logging.getLogger().addHandler(foreign)
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_elsewhere
    sys.unraisablehook = _uncaught_elsewhere

    def stop() -> None:
        global _sink  # noqa: PLW0603
        _sink = None
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        logging.getLogger().removeHandler(foreign)
        structlog.reset_defaults()

    return stop


def _filtered(service: str, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The last step before the sink: whoever logs, only what may be shown goes on."""
    at, level, event = (line.pop(name) for name in ("at", "level", "event"))  # set by the steps before this one
    named = event.value if isinstance(event, Event) else WITHHELD
    return {"at": at, "level": level, "event": named, "service": service} | safe_fields(line)


class _Lines:
    """Where lines go. A full disk or a closed file costs the line, never the process that logs it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._turn = threading.Lock()

    def msg(self, line: str) -> None:
        """Write one line at once."""
        with self._turn, suppress(OSError, ValueError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


class _Foreign(logging.Handler):
    """Another library's record, as where it was logged and, if that is part of the program, its unformatted message."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log it; arguments and exception texts are left out."""
        if _sink is not None:
            error = record.exc_info[1] if record.exc_info else None
            _sink.log(
                min(record.levelno, logging.CRITICAL),
                Event.FOREIGN,
                logger=FromCode(record.name),
                template=_template(record),
                place=FromCode(f"{record.module}:{record.lineno}"),
                error=error,
            )

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Nothing: the default prints the record's arguments."""


def _template(record: logging.LogRecord) -> str | None:
    """The message if it is a constant of the function that logs; None if it was put together, perhaps from data."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as logging itself finds its caller
    while frame is not None:
        code = frame.f_code
        if (code.co_filename, code.co_name, frame.f_lineno) == (record.pathname, record.funcName, record.lineno):
            known = any(isinstance(constant, str) and constant == record.msg for constant in code.co_consts)
            return FromCode(record.msg) if known else None
        frame = frame.f_back
    return None


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        log(Event.PROCESS_FAILED, error=error)


def _uncaught_elsewhere(failed: Any) -> None:
    """In a thread, or where Python cannot raise (`threading.ExceptHookArgs`, `sys.UnraisableHookArgs`)."""
    log(Event.PROCESS_FAILED, error=failed.exc_value)
