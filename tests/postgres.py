"""A real PostgreSQL for tests, from PyPI's binaries: over TCP on loopback, on a free port, ready for logical decoding."""

import os
import secrets
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_SITE = Path(sysconfig.get_path("platlib"))
_BINARIES = Path("pgserver", "pginstall")
"""Where the wheel has them; its package is not imported: it would look for a place for sockets that nobody needs."""

_SETTINGS = (
    "listen_addresses=127.0.0.1",
    "wal_level=logical",
    "max_replication_slots=20",
    "max_wal_senders=20",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; its superuser is `register`, whose password is checked."""

    port: int
    password: str = field(repr=False)

    @property
    def conninfo(self) -> str:
        """Where it is and who connects, without the password (libpq's PGPASSWORD)."""
        return f"host=127.0.0.1 port={self.port} dbname=postgres user=register"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server with an empty data directory; it is gone when the block ends.

    PostgreSQL refuses to run as root: then it runs as `nobody`, from a copy that this user can read.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as made:
        root, home, user = Path(made), _SITE, None
        if os.geteuid() == 0:
            home, user = root, "nobody"
            for part in ("bin", "lib", "share"):
                shutil.copytree(_SITE / _BINARIES / part, home / _BINARIES / part)
            shutil.copytree(_SITE / "pgserver.libs", home / "pgserver.libs")  # found from the binaries' own place
            shutil.chown(root, user)
        server = Postgres(_free_port(), secrets.token_urlsafe(16))
        word = root / "password"
        word.write_text(server.password)
        word.chmod(0o600)
        if user is not None:
            shutil.chown(word, user)

        def run(name: str, *arguments: str) -> None:
            command = [str(home / _BINARIES / "bin" / name), *arguments]
            quiet = subprocess.DEVNULL  # a server that keeps a pipe open would keep whoever reads it waiting
            subprocess.run(command, check=True, user=user, stdin=quiet, stdout=quiet, cwd=root)

        run(
            "initdb", "-D", f"{root}/data", "-U", "register", f"--pwfile={word}", "--auth=scram-sha-256",
            "--no-sync", "-E", "UTF8", "--locale=C.UTF-8",
        )  # fmt: skip
        options = " ".join(f"-c {setting}" for setting in (*_SETTINGS, f"unix_socket_directories={root}"))
        run("pg_ctl", "-D", f"{root}/data", "-w", "-l", f"{root}/log", "-o", f"-p {server.port} {options}", "start")
        try:
            yield server
        finally:
            run("pg_ctl", "-D", f"{root}/data", "-m", "immediate", "-w", "stop")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
