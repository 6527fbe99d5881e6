"""LMDB files of derived data: whole after a kill, thrown away when damaged or of another format, readable by their owner only.

A lane's subjects are looked up in no order, thousands at once: that costs several times less here than in SQLite (the
ADR of the lane state has the figures). Nothing is synced to the disk. LMDB cannot tell what a power cut has torn, and
reading it may end the process, so a file is only taken again in the boot it was written in, or after it was closed.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TypeAlias
from uuid import uuid4

import lmdb

from broker.routing.derived_file import remove_derived

Transaction: TypeAlias = "lmdb.Transaction[bytes]"
Table: TypeAlias = "lmdb._Database"  # noqa: SLF001 - the type has no other name

_ADDRESSES = 1 << 36
"""Address space kept for a file, bytes (64 GiB); the file itself only grows as it is filled."""

_TABLES = 4096
_PATIENCE_S = 5.0
_AGAIN_S = 0.005

_CLOSED = "closed"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_OTHERWISE = uuid4().hex
"""Where the system does not name its boots, only a file that was closed is taken again."""

_DAMAGE = (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError)

_turn = Lock()
_open: dict[tuple[int, int], tuple[lmdb.Environment, int]] = {}
"""By device and inode, how often this process has it open: LMDB must not open a file twice in one process."""


class DerivedMap:
    """Tables of bytes by key in one file (`None`: in a folder of its own that goes with it).

    Several processes may have it open; one writes at a time. Raises `lmdb.Error` where the file cannot be used.
    """

    def __init__(self, path: Path | None, version: int) -> None:
        self._folder = TemporaryDirectory(prefix="datanuts-") if path is None else None
        self._path = Path(self._folder.name) / "map" if self._folder is not None else path or Path()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._use = os.open(_beside(self._path, "-use"), os.O_CREAT | os.O_RDWR, 0o600)
        self._marks = f"{version} {_boot()}", f"{version} {_CLOSED}"
        self._mark = f"{self._marks[0]} {uuid4().hex}"
        try:
            with self._held():
                if not self._marked().startswith(self._marks):
                    _remove(self._path)
                self._file, self._env = _opened(self._path)
                os.ftruncate(self._use, 0)
                os.pwrite(self._use, self._mark.encode(), 0)
        except BaseException:
            os.close(self._use)
            raise

    def close(self) -> None:
        """Close the file; who has it open besides, here or elsewhere, keeps it."""
        with self._held():
            _close(self._file)
            if self._marked() == self._mark:  # nobody opened it since
                os.ftruncate(self._use, 0)
                os.pwrite(self._use, self._marks[1].encode(), 0)
        os.close(self._use)
        if self._folder is not None:
            self._folder.cleanup()

    def table(self, name: str) -> Table:
        """The table of this name, made if there was none; not to be asked for within `at_once`."""
        with self._held():
            return self._env.open_db(name.encode())

    def read(self) -> Transaction:
        """All tables as they are now, whatever is written meanwhile; a context manager."""
        return self._env.begin()

    @contextmanager
    def at_once(self) -> Iterator[Transaction]:
        """All that the block writes, or nothing of it."""
        with self._held(), self._env.begin(write=True) as transaction:
            yield transaction

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The turn to write. LMDB's own lock would wait for ever for a process that was stopped with it."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(self._use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise lmdb.LockError("another process keeps writing") from None
                time.sleep(_AGAIN_S)
        try:
            yield
        finally:
            fcntl.flock(self._use, fcntl.LOCK_UN)

    def _marked(self) -> str:
        return os.pread(self._use, 256, 0).decode(errors="replace")


def _opened(path: Path) -> tuple[tuple[int, int], lmdb.Environment]:
    with _turn:
        file = _made(path)
        if file in _open:
            env, times = _open[file]
        else:
            try:
                env, times = _environment(path), 0
            except _DAMAGE:
                _remove(path)
                file = _made(path)
                env, times = _environment(path), 0
        _open[file] = env, times + 1
        return file, env


def _environment(path: Path) -> lmdb.Environment:
    # Not a writable map: a full disk is an error then, not a signal, and a stray write cannot reach the file.
    env = lmdb.open(
        str(path),
        subdir=False,
        map_size=_ADDRESSES,
        max_dbs=_TABLES,
        mode=0o600,
        sync=False,
        metasync=False,
        readahead=False,
    )
    env.reader_check()  # those of killed processes would keep the room of old pages from being used again
    return env


def _close(file: tuple[int, int]) -> None:
    with _turn:
        env, times = _open.pop(file)
        if times > 1:
            _open[file] = env, times - 1
        else:
            env.close()


def _made(path: Path) -> tuple[int, int]:
    made = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        found = os.fstat(made)
    finally:
        os.close(made)
    return found.st_dev, found.st_ino


def _remove(path: Path) -> None:
    remove_derived(path)  # of earlier versions SQLite's files lie there
    _beside(path, "-lock").unlink(missing_ok=True)


def _beside(path: Path, part: str) -> Path:
    return path.with_name(path.name + part)


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return _OTHERWISE
