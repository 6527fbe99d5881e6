"""One embedded Apache Kafka node (KRaft) with SCRAM and ACLs, whose process never outlives ours."""

import asyncio
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.errors import ConfigError, Fatal, KafkaUnavailable
from broker.kafka import node_files
from broker.kafka.clients import KafkaAccess, probe
from broker.kafka.node_files import Identity, TlsFiles
from broker.kafka.runtime import ClassArchive, Progress, find_java, resolve_jars

DEFAULT_CACHE = Path(".cache")

_LEASH = Path(__file__).with_name("leash.py")
_BOOT_S = 60.0
_STOP_S = 20.0
_LOCK_S = 5.0
_FEW_FILES = 8_192
_FILES_PER_PARTITION = 3
_UNLIMITED_FILES = 65_536
DEFAULT_HEAP_MB = 512
"""Enough for some 4,000 partitions."""

_JVM = ("-Xms128m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Dfile.encoding=UTF-8")
_INHERITED = ("HOME", "JAVA_HOME", "JAVA_TOOL_OPTIONS", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A SCRAM user; the password never appears in a repr."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BootTimes:
    """Seconds spent on finding jars and Java, formatting, and from process start to the first accepted login."""

    resolve_s: float
    format_s: float
    boot_s: float


class LocalKafka:
    """One Kafka node on loopback; all it keeps lies under `data_dir`/kafka (mode 0700) and survives a restart.

    `port` pins the clients' port; otherwise the last one is used again if it is free, else any free one. With `tls` it also
    listens for client certificates, on `tls_port` or in the same way. `progress` receives lines for the person who waits.
    Call `start` in a thread that lives as long as the node should: the kernel ends the node when that thread ends, however
    it ends.
    """

    def __init__(
        self,
        data_dir: Path,
        cache_dir: Path = DEFAULT_CACHE,
        port: int | None = None,
        *,
        tls: TlsFiles | None = None,
        tls_port: int | None = None,
        heap_mb: int = DEFAULT_HEAP_MB,
        progress: Progress | None = None,
    ) -> None:
        self._dir = data_dir.resolve() / "kafka"
        self._cache_dir = cache_dir
        self._port = port
        self._tls = tls
        self._tls_port = tls_port
        self._heap_mb = heap_mb
        self._progress: Progress = progress or (lambda _line: None)
        self._identity: Identity | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._archive: ClassArchive | None = None
        self.boot_times: BootTimes | None = None

    @property
    def directory(self) -> Path:
        """Folder of everything that this node keeps, its logs included."""
        return self._dir

    @property
    def bootstrap(self) -> str:
        """Address for clients, `host:port`."""
        return f"127.0.0.1:{self._known.port}"

    @property
    def bootstrap_tls(self) -> str | None:
        """Address for clients with a certificate."""
        return f"127.0.0.1:{self._known.tls_port}" if self._known.tls_port else None

    @property
    def controller_port(self) -> int:
        """Port of the controller listener; no client of ours uses it."""
        return self._known.controller_port

    @property
    def cluster_id(self) -> str:
        """Kafka's id of this cluster; the same after a restart."""
        return self._known.cluster_id

    @property
    def admin_credentials(self) -> Credentials:
        """The super user that `start` creates."""
        return Credentials(node_files.SUPER_USER, self._known.password)

    @property
    def access(self) -> KafkaAccess:
        """How the super user reaches this node."""
        return KafkaAccess(self.bootstrap, node_files.SUPER_USER, self._known.password)

    @property
    def pid(self) -> int | None:
        """Process id of the node while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def _known(self) -> Identity:
        if self._identity is None:
            raise KafkaUnavailable("the embedded Kafka node was not started")
        return self._identity

    async def start(self) -> None:
        """Return when the node accepts logins; does nothing if it runs.

        Raises `MissingPrerequisite` (no Java, no Maven), `ConfigError` (directory or port in use, damaged directory)
        or `Fatal` (the node ended; the last lines of its log are in `operator`), `KafkaUnavailable` (no login in time).
        """
        if self.pid is not None:
            return
        if set(str(self._dir)) & set(",\\\n"):
            raise ConfigError("the data directory's path holds a comma, a backslash or a line break")
        began = time.monotonic()
        jars = await asyncio.to_thread(resolve_jars, self._cache_dir, self._progress)
        java = [
            str(await asyncio.to_thread(find_java)),
            *_JVM,
            f"-Xmx{self._heap_mb}m",
            "-cp",
            ":".join(map(str, jars)),
        ]
        self._raise_file_limit()
        with ExitStack() as held:
            self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = await self._lock(held)
            self._identity = node_files.load_identity(self._dir) or node_files.new_identity()
            self._choose_ports(held)
            node_files.save_identity(self._dir, self._known)
            node_files.write_configuration(self._dir, self._known, self._tls)
            (self._dir / "logs").mkdir(exist_ok=True)
            resolved = time.monotonic()
            if not node_files.is_formatted(self._dir):
                self._progress("formatting Kafka's data directory (once)")
                await asyncio.to_thread(self._format, java)
            formatted = time.monotonic()
            self._progress("starting Kafka")
            self._archive = ClassArchive.of(java[0], jars, "tls" if self._tls else "")
            self._process = self._spawn([*java, self._archive.jvm_option], lock)
            try:
                await self._ready()
            except BaseException:
                await self.stop()
                raise
        self.boot_times = BootTimes(resolved - began, formatted - resolved, time.monotonic() - formatted)

    async def stop(self) -> None:
        """Shut the node down cleanly (SIGTERM), by force after 20 s; does nothing if it does not run."""
        if (process := self._process) is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()  # no-op if it ended
            process.wait()
            self._process = None
            if self._archive:
                self._archive.keep()

    async def wait(self) -> int:
        """Return the exit code once the node has ended, for a supervisor."""
        if self._process is None:
            raise KafkaUnavailable("the embedded Kafka node was not started")
        while self.pid is not None:  # noqa: ASYNC110 - a process sends no event that works on every platform
            await asyncio.sleep(0.2)
        return self._process.returncode if self._process else 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _raise_file_limit(self) -> None:
        """Kafka keeps about three files open per partition; use all that this machine allows, and say so if it is little."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _UNLIMITED_FILES if hard == resource.RLIM_INFINITY else hard
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        if wanted < _FEW_FILES:
            fits = wanted // _FILES_PER_PARTITION
            self._progress(
                f"open files are limited to {wanted}: Kafka fails beyond about {fits} partitions (ulimit -n)"
            )

    async def _lock(self, held: ExitStack) -> int:
        """Lock the directory. The node inherits the descriptor and we close ours: the lock lasts exactly as long as it."""
        lock = held.enter_context((self._dir / "lock").open("w"))
        deadline = time.monotonic() + _LOCK_S  # a predecessor may be on its way out
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock.fileno()
            if time.monotonic() > deadline:
                raise ConfigError(f"another Kafka node runs on {self._dir}")
            await asyncio.sleep(0.05)

    def _choose_ports(self, held: ExitStack) -> None:
        """Reserve the ports until the node listens: the reservations are bound but never listen, so Kafka can bind too."""
        known = self._known
        port = _wanted(held, self._port, known.port)
        tls = _wanted(held, self._tls_port, known.tls_port) if self._tls else 0
        controller = _wanted(held, None, known.controller_port)
        self._identity = replace(known, port=port, controller_port=controller, tls_port=tls)

    def _format(self, java: list[str]) -> None:
        arguments = self._dir / "format.arguments"
        node_files.write_private(arguments, node_files.format_arguments(self._dir, self._known))
        try:
            done = subprocess.run(  # noqa: S603 - our own program, no shell
                [*java, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", f"@{arguments}"],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        finally:
            arguments.unlink()
        if done.returncode:
            raise Fatal("Kafka's data directory could not be formatted", operator=_last_lines(done.stderr))

    def _spawn(self, java: list[str], lock: int) -> subprocess.Popen[bytes]:
        logging = f"-Dlog4j2.configurationFile={self._dir / 'log4j2.properties'}"
        command = [*java, logging, "kafka.Kafka", str(self._dir / "server.properties")]
        with (self._dir / "logs" / "console.log").open("wb") as console:
            return subprocess.Popen(  # noqa: S603 - our own program, no shell
                [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *command],
                cwd=self._dir,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C reaches us only: we stop Kafka after its clients
            )

    async def _ready(self) -> None:
        deadline = time.monotonic() + _BOOT_S
        while time.monotonic() < deadline:
            if self.pid is None:
                raise Fatal("Kafka ended while starting", operator=self._log_tail())
            with suppress(OSError, KafkaUnavailable):
                # A bare connection first: the client library logs an error for each refused one.
                _, writer = await asyncio.open_connection("127.0.0.1", self._known.port)
                writer.close()
                await probe(self.access)
                return
            await asyncio.sleep(0.02)
        raise KafkaUnavailable(f"Kafka did not accept a login within {_BOOT_S:.0f} s", operator=self._log_tail())

    def _log_tail(self) -> str:
        names = ("console.log", "kafka.log")
        return "\n".join(
            _last_lines(path.read_bytes()) for name in names if (path := self._dir / "logs" / name).exists()
        )


def _wanted(held: ExitStack, pinned: int | None, last: int) -> int:
    """Reserve the pinned port, else the last one if it is free, else any free one; raises `ConfigError`."""
    port = _reserve(held, pinned or last) or (0 if pinned else _reserve(held, 0))
    if not port:
        raise ConfigError(f"port {pinned} is in use")
    return port


def _reserve(held: ExitStack, port: int) -> int:
    """A loopback port bound until `held` closes: `port` if it is free (0: any), else 0."""
    reservation = held.enter_context(socket.socket())
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reservation.bind(("127.0.0.1", port))
    except OSError:
        return 0
    return int(reservation.getsockname()[1])


def _environment() -> dict[str, str]:
    """What Java needs of our environment, without the secrets that may be in it."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _last_lines(text: bytes, count: int = 15) -> str:
    return "\n".join(text.decode(errors="replace").splitlines()[-count:])
