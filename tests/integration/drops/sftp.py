"""An SFTP server in a folder of its own, as good or as bad as a test needs it; it admits keys, never passwords."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USER = "datanuts"
Hook = Callable[[str], Awaitable[None]]
"""Awaited with `open`, `read`, `write`, `rename` before, and with `renamed` after the server does it; what it raises is the answer."""


async def nothing(_step: str) -> None:
    """A server that does what it is asked."""


@dataclass
class Server:
    """`root` is what its user sees as `/`; `admitted` are lines of `authorized_keys`; `logins` counts sessions that began."""

    root: Path
    key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    hook: Hook = nothing
    atomic: bool = True
    admitted: set[str] = field(default_factory=set)
    port: int = 0
    connections: int = 0
    _listener: Any = None

    @property
    def host_key(self) -> str:
        return self.key.export_public_key().decode().strip()

    def admit(self, line: str) -> None:
        self.admitted.add(" ".join(line.split()[:2]))

    def files(self, ending: str = "") -> list[str]:
        """Names in the drop's folder, in their order."""
        return sorted(path.name for path in (self.root / "in").iterdir() if path.name.endswith(ending))

    def read(self, name: str) -> bytes:
        return (self.root / "in" / name).read_bytes()

    async def up(self) -> None:
        (self.root / "in").mkdir(parents=True, exist_ok=True)
        self._listener = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self.key],
            server_factory=lambda: _Gate(self),
            sftp_factory=lambda channel: _Files(self, channel),
            password_auth=False,
            config=None,
        )
        self.port = self._listener.get_port()

    async def down(self) -> None:
        self._listener.close()
        await self._listener.wait_closed()


class _Gate(asyncssh.SSHServer):
    def __init__(self, server: Server) -> None:
        self._server = server
        server.connections += 1

    def begin_auth(self, username: str) -> bool:
        del username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        line = key.export_public_key().decode()
        return username == USER and " ".join(line.split()[:2]) in self._server.admitted


class _Files(asyncssh.SFTPServer):
    def __init__(self, server: Server, channel: Any) -> None:
        super().__init__(channel, chroot=str(server.root).encode())
        self._server = server

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        await self._server.hook("open")
        return super().open(path, pflags, attrs)

    async def read(self, file_obj: Any, offset: int, size: int) -> Any:
        await self._server.hook("read")
        return super().read(file_obj, offset, size)

    async def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        await self._server.hook("write")
        return super().write(file_obj, offset, data)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        if not self._server.atomic:
            raise asyncssh.SFTPOpUnsupported("no such extension")
        await self._server.hook("rename")
        super().posix_rename(oldpath, newpath)
        await self._server.hook("renamed")


@asynccontextmanager
async def listening(root: Path, **given: Any) -> AsyncIterator[Server]:
    made = Server(root, **given)
    await made.up()
    try:
        yield made
    finally:
        await made.down()


@dataclass
class Stop:
    """Holds a server at the `nth` time of a step until it is released."""

    step: str
    nth: int = 1
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: int = 0

    async def __call__(self, step: str) -> None:
        if step == self.step:
            self._seen += 1
            if self._seen == self.nth:
                self.reached.set()
                await self.released.wait()
