"""A journal in memory that keeps what was committed and can lose its owner at any commit, as Kafka's can."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from broker.batches import Row
from broker.errors import Doubt, Fatal
from broker.model.record import header


class Crash(Enum):
    """How a commit fails: the process dies, or it does not hear what became of it; and whether it was written."""

    KILLED_BEFORE = (Fatal, False)
    KILLED_AFTER = (Fatal, True)
    DOUBT_BEFORE = (Doubt, False)
    DOUBT_AFTER = (Doubt, True)


@dataclass(frozen=True, slots=True)
class Published:
    """One record as it lies in its topic."""

    topic: str
    key: bytes | None
    value: bytes | None
    event: bytes | None


@dataclass(slots=True)
class Log:
    """What stays when processes die; `commits` were written, `asked` were tried."""

    state: dict[bytes, bytes] = field(default_factory=dict)
    records: list[Published] = field(default_factory=list)
    commits: int = 0

    def take(self, outputs: Mapping[tuple[str, int], Sequence[Row]]) -> None:
        """Write all of a transaction."""
        self.commits += 1
        for (topic, _), rows in outputs.items():
            for key, value, headers in rows:
                if topic.startswith("source."):
                    self.records.append(Published(topic, key, value, header(headers, "ce_id")))
                elif topic.startswith("cursors.") and key is not None:
                    if value is None:
                        self.state.pop(key, None)
                    else:
                        self.state[key] = value


@dataclass(slots=True)
class MemoryJournal:
    """Writes to `log`; its commit number `at` (from 1) fails as `crash` says."""

    log: Log
    crash: Crash | None = None
    at: int = 0
    _tried: int = 0

    async def open(self) -> Mapping[bytes, bytes]:
        """The state as committed."""
        return dict(self.log.state)

    async def commit(self, outputs: Mapping[tuple[str, int], Sequence[Row]]) -> None:
        """Write all, or fail as told."""
        self._tried += 1
        if self.crash is None or self._tried != self.at:
            self.log.take(outputs)
            return
        kind, written = self.crash.value
        if written:
            self.log.take(outputs)
        raise kind("the kit ends this commit")

    async def close(self) -> None:
        """There is nothing to give up."""
