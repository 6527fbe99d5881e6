"""Where files of a source are: a folder of this machine, or of another one; what is left, and in which order they come."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from adapters.file_cursor import Listed
from broker.errors import Invalid, Retriable

MOST_FILES = 1000
UNFINISHED = ("~$", ".")
"""How the names of files begin that another program still writes."""


class Copy(Protocol):
    """One file of a listing, held while it is read."""

    def open(self) -> BinaryIO:
        """Its bytes from the start, each time anew; raises `FileBroken`, `OSError`."""

    def changed(self) -> bool:
        """Whether it is no longer what was listed; raises `Retriable` where it went away."""


class Visit(Protocol):
    """The source as it was when it was listed."""

    @property
    def listing(self) -> list[Listed]:
        """Its files in the order of their names."""

    def copy(self, file: Listed) -> AbstractAsyncContextManager[Copy]:
        """Hold a file; raises `Retriable`."""


class Files(Protocol):
    """A place with files."""

    def visit(self, suffixes: frozenset[str]) -> AbstractAsyncContextManager[Visit]:
        """List the files with one of these suffixes. Raises `Retriable`, `Invalid` and `Fatal`."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder and what is below it, or one file, of this machine. Links are not followed."""

    path: Path

    @asynccontextmanager
    async def visit(self, suffixes: frozenset[str]) -> AsyncIterator[Visit]:
        """List it."""
        yield _Visit(self.path, await asyncio.to_thread(_listing, self.path, suffixes))


@dataclass(frozen=True, slots=True)
class _Visit:
    path: Path
    listing: list[Listed]

    @asynccontextmanager
    async def copy(self, file: Listed) -> AsyncIterator[Copy]:
        """The file itself."""
        yield _Here(self.path if self.path.is_file() else self.path / file.name, file)


@dataclass(frozen=True, slots=True)
class _Here:
    path: Path
    file: Listed

    def open(self) -> BinaryIO:
        """Open it."""
        return self.path.open("rb")

    def changed(self) -> bool:
        """Look at it again."""
        return _stat(self.file.name, self.path) != self.file


def wanted(name: PurePosixPath, suffixes: frozenset[str]) -> bool:
    """Whether a file of this name is read at all."""
    return name.suffix.lower() in suffixes and not name.name.startswith(UNFINISHED)


def in_order(found: Iterable[Listed]) -> list[Listed]:
    """The files in the order of the parts of their names; raises `Invalid` where they are too many."""
    listing = sorted(found, key=lambda file: PurePosixPath(file.name).parts)
    if len(listing) > MOST_FILES:
        raise Invalid(f"the source has more than {MOST_FILES} files: move away what was read, oldest first")
    return listing


def _listing(path: Path, suffixes: frozenset[str]) -> list[Listed]:
    if path.is_file():
        return [_stat(path.name, path)]
    found = (
        file
        for file in path.rglob("*")
        if wanted(PurePosixPath(file.name), suffixes) and file.is_file() and not file.is_symlink()
    )
    return in_order(_stat(file.relative_to(path).as_posix(), file) for file in found)


def _stat(name: str, path: Path) -> Listed:
    try:
        facts = path.stat()
    except OSError:
        facts = None
    if facts is None:
        raise Retriable("a file of the source went away while the folder was read")
    return Listed(name, facts.st_size, facts.st_mtime_ns)
