"""One agency's SFTP server, as far as a drop goes: parts that are written, and files that appear under their name when whole.

Every step is bounded in time. What the server says beyond a status is neither kept nor logged.
"""

import asyncio
import logging
import posixpath
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncssh

from broker.delivery.egress_guard import EgressGuard
from broker.delivery.push_circuit import Failure
from broker.errors import AddressRefused
from broker.model import ssh_keys
from broker.model.drop_book import Destination

OWNER_AND_GROUP = 0o640
"""Permissions of a file, where the server heeds them."""

_MOST_ADDRESSES = 3
_LAST_S = 2.0

_MEANINGS: tuple[tuple[type[Exception], Failure], ...] = (
    (asyncssh.PermissionDenied, Failure.LOGIN),
    (asyncssh.SFTPNoSuchFile, Failure.DIRECTORY),
    (asyncssh.SFTPNoSuchPath, Failure.DIRECTORY),
    (asyncssh.SFTPNotADirectory, Failure.DIRECTORY),
    (asyncssh.SFTPPermissionDenied, Failure.PERMISSION),
    (asyncssh.SFTPWriteProtect, Failure.PERMISSION),
    (asyncssh.SFTPConnectionLost, Failure.PROTOCOL),
    (asyncssh.SFTPNoConnection, Failure.PROTOCOL),
    (asyncssh.SFTPBadMessage, Failure.PROTOCOL),
    (asyncssh.SFTPError, Failure.WRITE),
    (asyncssh.Error, Failure.PROTOCOL),
)
"""The first that an error is one of; what is none is the connection's."""


class NotTaken(Exception):
    """The server did not take it; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class Writing:
    """A part that is being written."""

    def __init__(self, file: asyncssh.SFTPClientFile, within_s: float) -> None:
        self._file = file
        self._within_s = within_s
        self.size = 0

    async def write(self, piece: bytes) -> None:
        """Append; returns when the server has it. Raises `NotTaken`."""
        if piece:
            async with _judged(self._within_s):
                await self._file.write(piece)
            self.size += len(piece)

    async def finish(self) -> None:
        """Have it on the server's disk, whole; raises `NotTaken`."""
        async with _judged(self._within_s):
            with suppress(asyncssh.SFTPOpUnsupported):
                await self._file.fsync()
            kept = (await self._file.stat()).size
            await self._file.close()
        if kept != self.size:
            raise NotTaken(Failure.WRITE)


class DropServer:
    """The directory of one drop over one connection; every method raises `NotTaken`."""

    def __init__(self, sftp: asyncssh.SFTPClient, directory: str, within_s: float) -> None:
        self._sftp = sftp
        self._directory = directory
        self._within_s = within_s

    async def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        async with _judged(self._within_s):
            try:
                return (await self._sftp.stat(self._path(name))).size
            except asyncssh.SFTPNoSuchFile:
                return None

    async def remove(self, name: str) -> None:
        """Have no such file any more."""
        async with _judged(self._within_s):
            with suppress(asyncssh.SFTPNoSuchFile):
                await self._sftp.remove(self._path(name))

    @asynccontextmanager
    async def writing(self, part: str) -> AsyncIterator[Writing]:
        """A new part; removed if the block fails, as far as the server lets us."""
        async with _judged(self._within_s):
            permissions = asyncssh.SFTPAttrs(permissions=OWNER_AND_GROUP)
            file = await self._sftp.open(self._path(part), "wb", permissions)
        try:
            yield Writing(file, self._within_s)
        except BaseException:
            with suppress(NotTaken):
                async with _judged(min(_LAST_S, self._within_s)):
                    await file.close()
                    await self._sftp.remove(self._path(part))
            raise

    async def publish(self, part: str, name: str) -> None:
        """Give a part its name, in the place of a file that has it."""
        async with _judged(self._within_s):
            try:
                await self._sftp.posix_rename(self._path(part), self._path(name))
            except asyncssh.SFTPOpUnsupported:  # plain SFTP renames onto nothing that is there
                with suppress(asyncssh.SFTPNoSuchFile):
                    await self._sftp.remove(self._path(name))
                await self._sftp.rename(self._path(part), self._path(name))

    def _path(self, name: str) -> str:
        return posixpath.join(self._directory, name)


class DropServers:
    """Opens connections to addresses that `guard` lets pass, each step within `within_s` seconds."""

    def __init__(self, guard: EgressGuard, within_s: float) -> None:
        self._guard = guard
        self._within_s = within_s
        # The library's own lines name hosts and users.
        logging.getLogger("asyncssh").setLevel(logging.CRITICAL + 1)

    @asynccontextmanager
    async def open(self, to: Destination, seed: bytes) -> AsyncIterator[DropServer]:
        """Log in with the key of `seed`, on the server that has the destination's host key only; raises `NotTaken`."""
        async with _judged(self._within_s):
            connection = await self._connected(to, seed)
        try:
            async with _judged(self._within_s):
                sftp = await connection.start_sftp_client()
            yield DropServer(sftp, to.directory, self._within_s)
        finally:
            connection.abort()

    async def _connected(self, to: Destination, seed: bytes) -> asyncssh.SSHClientConnection:
        addresses = await _addresses(self._guard, to)
        options = ssh_keys.options(to.host_key, ssh_keys.private_key(seed))
        trouble: OSError | None = None
        for place in addresses[:_MOST_ADDRESSES]:
            try:
                return await asyncssh.connect(place, to.port, username=to.username, **options)
            except ConnectionRefusedError as error:
                trouble = error
        raise trouble or OSError("no address")


async def _addresses(guard: EgressGuard, to: Destination) -> tuple[str, ...]:
    try:
        return await guard.addresses(guard.place(to.host, to.port))
    except AddressRefused:
        raise NotTaken(Failure.ADDRESS) from None
    except OSError:
        raise NotTaken(Failure.NAME) from None


@asynccontextmanager
async def _judged(within_s: float) -> AsyncIterator[None]:
    """Bound a step, and turn what goes wrong in it into `NotTaken`."""
    try:
        async with asyncio.timeout(within_s):
            yield
    except TimeoutError:
        raise NotTaken(Failure.TIMEOUT) from None
    except (asyncssh.Error, OSError) as error:
        raise NotTaken(failure_of(error)) from None


def failure_of(error: Exception) -> Failure:
    """What an error of SSH, of SFTP or of the connection below means; by its class, never by the server's words."""
    if ssh_keys.is_another(error):
        return Failure.HOST_KEY
    return next((meaning for class_, meaning in _MEANINGS if isinstance(error, class_)), Failure.CONNECT)
