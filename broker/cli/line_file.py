"""A file of lines that goes to the broker in parts: opened, sent with patience, and told of while it goes."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, TypeVar

from broker.cli.output import note, say
from broker.errors import Invalid, Retriable

_PAUSES_S = (1, 2, 4, 8)
_PROGRESS_S = 2.0
_MOST_SHOWN = 20

Answer = TypeVar("Answer")


def opened(held: ExitStack, name: str) -> tuple[IO[bytes], int | None]:
    """The file (- is standard input) and its size, where that is known; raises `Invalid`."""
    if name == "-":
        return sys.stdin.buffer, None
    try:
        file = held.enter_context(Path(name).open("rb"))  # noqa: SIM115 - the stack closes it
    except OSError as error:
        raise Invalid(f"the file cannot be read: {error.strerror}") from None
    return file, os.fstat(file.fileno()).st_size


def patiently(send: Callable[[], Answer], longer: Callable[[Retriable], float | None] = lambda _error: None) -> Answer:
    """What `send` answers, tried again for some 15 s while the broker or its Kafka is away.

    For some errors `longer` says how many seconds to wait: these tries are not counted.
    """
    pauses = iter(_PAUSES_S)
    while True:
        try:
            return send()
        except Retriable as error:
            pause = longer(error)
            if pause is None:
                pause = next(pauses, None)
            if pause is None:
                raise
            note(f"{error}: trying again in {pause:g} s")
            time.sleep(pause)


class LineReport:
    """What the person at the terminal sees: progress, the first lines that went wrong; `more` where there are others."""

    def __init__(self, size: int | None, *, as_json: bool, more: str = "and more") -> None:
        self.outcomes: Counter[str] = Counter()
        self.size, self.done, self.as_json = size, 0, as_json
        self._more, self._shown = more, 0
        self._started = self._noted = time.monotonic()

    @property
    def took_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def tell(self, outcome: Mapping[str, Any]) -> None:
        """Count one line."""
        self.outcomes[outcome["status"]] += 1
        if "problem" in outcome and not self.as_json:
            self._shown += 1
            if self._shown <= _MOST_SHOWN:
                code = f" [{outcome['code']}]" if "code" in outcome else ""
                say(f"line {outcome['line']}: {outcome['status']}: {outcome['problem']}{code}")
            elif self._shown == _MOST_SHOWN + 1:
                say(self._more)

    def passed(self, size: int) -> None:
        """Note how far it is, now and then."""
        self.done += size
        now = time.monotonic()
        if now - self._noted >= _PROGRESS_S:
            self._noted = now
            note(self.progress(now - self._started))

    def progress(self, took_s: float) -> str:
        """How far it is after so many seconds."""
        return f"{self.outcomes.total()} lines, {self.outcomes.total() / took_s:.0f}/s"
