"""Where a subscriber keeps how far it came: in a file, in memory, or wherever the agency keeps its own data."""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from broker.errors import ConfigError
from broker.model import topics


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to `cursor` is done; `recent` are the ids of the last deliveries done, the oldest first."""

    cursor: str
    recent: tuple[str, ...] = ()


class Positions(Protocol):
    """Keeps one position per agreement. What these raise ends the iteration, so that nothing is skipped."""

    async def load(self, agreement: str) -> Position | None:
        """The position saved last; None: never one."""

    async def save(self, agreement: str, position: Position) -> None:
        """Replace the agreement's position; when this returns, it is kept."""


class MemoryPositions:
    """Positions that end with the program."""

    def __init__(self) -> None:
        self.kept: dict[str, Position] = {}

    async def load(self, agreement: str) -> Position | None:
        """The position saved last; None: never one."""
        return self.kept.get(agreement)

    async def save(self, agreement: str, position: Position) -> None:
        """Replace the agreement's position."""
        self.kept[agreement] = position


class FilePositions:
    """One small file per agreement, `<agreement>.position.json`, in `folder` (default: where the program is).

    A file is replaced at once, so that a crash leaves the old or the new one, and only its owner can read it (0600). One
    program at a time, and one broker. Raises `ConfigError` where a file is damaged or cannot be written.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self._folder = _beside_the_program() if folder is None else Path(folder)

    async def load(self, agreement: str) -> Position | None:
        """The position saved last; None: never one."""
        path = self._path(agreement)
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            return Position(str(held["cursor"]), tuple(map(str, held["recent"])))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f"{path} is no position: restore it, or delete it to start at the oldest retained delivery"
            ) from error

    async def save(self, agreement: str, position: Position) -> None:
        """Replace the agreement's file."""
        path = self._path(agreement)
        fresh = path.with_suffix(".new")
        try:
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(asdict(position), file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error

    def _path(self, agreement: str) -> Path:
        return self._folder / f"{topics.slug(agreement, 'agreement')}.position.json"


def _beside_the_program() -> Path:
    program = Path(sys.argv[0])
    return program.resolve().parent if program.is_file() else Path.cwd()
