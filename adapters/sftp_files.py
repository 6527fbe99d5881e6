"""A folder of an SFTP server as the place of a source's files: one connection per reading, nothing is changed there.

A file is copied to a nameless temporary file of this machine (0600, gone with the process) and read from that. Every
step is bounded in time. What the server says beyond a status is neither kept nor told.
"""

import asyncio
import logging
import os
import posixpath
import stat
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import asyncssh

from adapters.file_cursor import Listed
from adapters.file_rows import FileBroken
from adapters.file_source import MOST_FILES, Copy, Visit, in_order, wanted
from broker.errors import BrokerError, Fatal, Invalid, Retriable
from broker.model import ssh_keys

_PIECE = 1 << 18
_MOST_ENTRIES, _DEEPEST = 20_000, 20
_ALIVE_S = 15
_LAST_S = 2.0
_NOT_THERE = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory)
_NOT_ALLOWED = (asyncssh.SFTPPermissionDenied,)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or file of a server."""

    host: str
    port: int
    username: str
    path: str


def is_sftp(source: str) -> bool:
    """Whether `source` names a place on an SFTP server."""
    return source.lower().startswith("sftp://")


def place_of(source: str) -> Place:
    """The place that `sftp://user@host:port/folder` names; raises `Invalid`."""
    try:
        parts = urlsplit(source)
        port = parts.port or 22
    except ValueError:
        parts, port = urlsplit(""), 0
    if not parts.hostname or not parts.username or parts.password is not None or parts.query or parts.fragment:
        raise Invalid(
            "an SFTP server is named as sftp://user@host:22/folder, without a password: `key` says where that is"
        )
    return Place(parts.hostname, port, unquote(parts.username), unquote(parts.path) or "/")


@dataclass(frozen=True, slots=True)
class SftpFiles:
    """Files below a place, read with the key that `key` gives, on the server that has `host_key` only."""

    place: Place
    key: Callable[[], str] = field(repr=False)
    host_key: str
    most_bytes: int
    timeout_s: float

    @asynccontextmanager
    async def visit(self, suffixes: frozenset[str]) -> AsyncIterator[Visit]:
        """Log in and list the files.

        Raises `Retriable` where the server cannot be read now, `Invalid` where it refuses, and `Fatal` where it is
        another one.
        """
        own = _private_key(self.key())
        # The library's own lines name hosts and users.
        logging.getLogger("asyncssh").setLevel(logging.CRITICAL + 1)
        async with _judged(self.timeout_s):
            connection = await asyncssh.connect(
                self.place.host,
                self.place.port,
                username=self.place.username,
                keepalive_interval=_ALIVE_S,
                **ssh_keys.options(self.host_key, own),
            )
        try:
            async with _judged(self.timeout_s):
                sftp = await connection.start_sftp_client(path_errors="surrogateescape")
            yield await self._listed(sftp, suffixes)
        finally:
            connection.abort()
            with suppress(TimeoutError, asyncssh.Error, OSError):
                async with asyncio.timeout(_LAST_S):
                    await connection.wait_closed()  # so that nothing of it goes on in the caller's loop

    async def _listed(self, sftp: asyncssh.SFTPClient, suffixes: frozenset[str]) -> "_Visit":
        async with _judged(self.timeout_s):
            facts = await sftp.stat(self.place.path)
        found: list[Listed] = []
        if _kind(facts) == stat.S_IFREG:
            folder, name = posixpath.split(self.place.path)
            found = [_told(name, facts)]
        else:
            folder, waiting, seen = self.place.path, [""], 0
            while waiting:
                below = waiting.pop()
                async with _judged(self.timeout_s * 10, within=bool(below)):
                    async for entry in sftp.scandir(posixpath.join(folder, below)):
                        seen += 1
                        if seen > _MOST_ENTRIES or len(found) > MOST_FILES:
                            break
                        path, kind = posixpath.join(below, str(entry.filename)), _kind(entry.attrs)
                        if not _is_name(str(entry.filename)):
                            continue
                        if kind == stat.S_IFDIR and path.count("/") < _DEEPEST:
                            waiting.append(path)
                        elif kind == stat.S_IFREG and wanted(PurePosixPath(path), suffixes):
                            found.append(_told(path, entry.attrs))
                if seen > _MOST_ENTRIES:
                    raise Invalid(f"the source has more than {_MOST_ENTRIES} entries: move away what was read")
        return _Visit(sftp, folder, in_order(found), self.most_bytes, self.timeout_s)


@dataclass(frozen=True, slots=True)
class _Visit:
    sftp: asyncssh.SFTPClient
    folder: str
    listing: list[Listed]
    most_bytes: int
    timeout_s: float

    @asynccontextmanager
    async def copy(self, file: Listed) -> AsyncIterator[Copy]:
        """The file as far as it was when it was listed: what was added since is read by the next reading.

        Raises `Retriable` where it went away, or became another one of the same size or less.
        """
        if file.size > self.most_bytes:
            yield _TooLarge()
            return
        path = posixpath.join(self.folder, file.name)
        with tempfile.TemporaryFile() as kept:
            left = file.size
            async with _judged(self.timeout_s, within=True):
                opened = await self.sftp.open(path, "rb", encoding=None)
            while left:
                async with _judged(self.timeout_s, within=True):
                    piece: bytes = await opened.read(min(left, _PIECE))
                if not piece:
                    break
                left -= await asyncio.to_thread(_kept, kept, piece)
            async with _judged(self.timeout_s, within=True):
                await opened.close()
                now = await self.sftp.stat(path)
            changed = _told(file.name, now) != file
            if left or (changed and (now.size or 0) <= file.size):
                raise Retriable("a file of the source was changed while it was read")
            yield _Kept(kept.fileno(), grew=changed)


@dataclass(frozen=True, slots=True)
class _Kept:
    descriptor: int
    grew: bool

    def open(self) -> BinaryIO:
        """The copy, from its start."""
        opened = os.fdopen(os.dup(self.descriptor), "rb")
        opened.seek(0)
        return opened

    def changed(self) -> bool:
        """As it was after the copy was made."""
        return self.grew


@dataclass(frozen=True, slots=True)
class _TooLarge:
    def open(self) -> BinaryIO:
        """Refuse it."""
        raise FileBroken("FILE_TOO_LARGE")

    def changed(self) -> bool:
        """Nothing of it was read."""
        return False


def _kept(copy: BinaryIO, piece: bytes) -> int:
    try:
        copy.write(piece)
        copy.flush()
    except OSError as error:
        trouble = error.strerror or "OSError"
    else:
        return len(piece)
    raise Retriable(f"a copy of a file of the source cannot be kept here ({trouble}): make room where TMPDIR points")


def _told(name: str, facts: asyncssh.SFTPAttrs) -> Listed:
    return Listed(name, facts.size or 0, (facts.mtime or 0) * 1_000_000_000 + (facts.mtime_ns or 0))


def _is_name(name: str) -> bool:
    """Whether it names something in its folder: what a server says is not trusted."""
    return name not in {"", ".", ".."} and "/" not in name


def _kind(facts: asyncssh.SFTPAttrs) -> int:
    return stat.S_IFMT(facts.permissions or 0)


def _private_key(text: str) -> asyncssh.SSHKey:
    told = "is no private key of SSH: make one with `ssh-keygen -t ed25519`"
    try:
        return asyncssh.import_private_key(text)
    except asyncssh.KeyEncryptionError:
        told = "has a passphrase: make one without, in a file that only this program reads"
    except (ValueError, asyncssh.KeyImportError):
        pass
    raise Invalid(f"what `key` names {told}")


@asynccontextmanager
async def _judged(seconds: float, *, within: bool = False) -> AsyncIterator[None]:
    """Bound a step, and tell what goes wrong in it by what is to be done; `within` the reading of a listed folder."""
    found: BrokerError
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        found = Retriable(f"the server of the source said nothing for {seconds:g} s")
    except (asyncssh.Error, OSError) as error:
        found = _meaning(error, within=within)
    else:
        return
    raise found  # outside the handlers, whose texts can name what is not told


def _meaning(error: Exception, *, within: bool) -> BrokerError:
    if ssh_keys.is_another(error):
        return Fatal(
            "the server has another host key than `host_key`: nothing was read. Ask its administrator whether it was "
            "changed; only if it was, put the new one in the mapping"
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return Invalid(
            "the server does not admit this user with this key: ask its administrator to admit the public half, "
            "which `ssh-keygen -y -f KEY` shows"
        )
    if isinstance(error, _NOT_THERE):
        if within:
            return Retriable("a file of the source went away while the folder was read")
        return Invalid("the server has no such folder or file: check the path behind the host's name")
    if isinstance(error, _NOT_ALLOWED):
        return Invalid("the server does not let this user read the folder or a file in it: ask its administrator to")
    return Retriable(f"the server of the source cannot be read now ({type(error).__name__})")
