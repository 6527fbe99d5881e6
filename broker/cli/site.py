"""An installation as one process reaches it: its settings, its Kafka, its keys and its control log, opened in order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from broker.cli import tls
from broker.cli.datadir import DataDir
from broker.control.keys import FileKeyStore, KeyStore
from broker.control.log import ControlLog
from broker.errors import KafkaUnavailable, Unauthenticated
from broker.kafka import node_files
from broker.kafka.admin import KafkaAdmin
from broker.kafka.clients import KafkaAccess, KafkaClients, probe
from broker.kafka.local import DEFAULT_HEAP_MB, LocalKafka
from broker.model import topology
from broker.settings import Settings

Progress = Callable[[str], None]

_CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that a process of this installation shares with the others."""

    settings: Settings
    home: DataDir
    access: KafkaAccess
    clients: KafkaClients
    admin: KafkaAdmin
    keys: KeyStore
    control: ControlLog
    node: LocalKafka | None = None
    """The embedded node, where this process runs it."""

    @property
    def kafka_tls(self) -> str | None:
        """Where the embedded node listens for client certificates, whichever process runs it."""
        identity = node_files.load_identity(self.home.root / "kafka") if self.settings.embedded else None
        return f"127.0.0.1:{identity.tls_port}" if identity is not None and identity.tls_port else None

    @property
    def lanes(self) -> int:
        """Partitions of every source topic."""
        return self.settings.lanes


@asynccontextmanager
async def site(
    home: DataDir,
    settings: Settings,
    *,
    beating: bool = False,
    texts: bool = True,
    own_kafka: bool = True,
    kafka_port: int | None = None,
    kafka_tls_port: int | None = None,
    kafka_heap_mb: int = DEFAULT_HEAP_MB,
    progress: Progress = lambda _line: None,
) -> AsyncIterator[Site]:
    """Open the installation: the Kafka of the settings, else the embedded node that runs on `home`, else one of our own.

    Without `own_kafka` there is no third way: raises `KafkaUnavailable`.
    `beating`: the process proves its freshness (R6), as it must to release anything. `texts`: it shows protocols. Raises what Kafka, the key store
    and the control log raise.
    """
    home.make()
    async with AsyncExitStack() as held:
        keys = FileKeyStore(home.root / "keys")
        ports = (kafka_port, kafka_tls_port)
        access, node = await _kafka(held, home, settings, keys, ports, kafka_heap_mb, progress, own=own_kafka)
        admin = KafkaAdmin(access, replication=settings.replication_factor)
        await admin.ensure_topics(topology.installation(settings.lanes))
        clients = KafkaClients(access)
        control = await held.enter_async_context(ControlLog(clients, beating=beating, texts=texts))
        yield Site(settings, home, access, clients, admin, keys, control, node)


async def _kafka(
    held: AsyncExitStack,
    home: DataDir,
    settings: Settings,
    keys: KeyStore,
    ports: tuple[int | None, int | None],
    heap_mb: int,
    progress: Progress,
    *,
    own: bool,
) -> tuple[KafkaAccess, LocalKafka | None]:
    if settings.kafka_bootstrap is not None:
        secret = settings.kafka_secret()
        access = KafkaAccess(
            settings.kafka_bootstrap,
            settings.kafka_username or "",
            secret.get_secret_value() if secret else "",
            protocol=settings.kafka_protocol,
            ca=settings.kafka_ca,
        )
        await probe(access)
        return access, None
    running = await _running(home)
    if running is not None:
        return running, None
    if not own:
        raise KafkaUnavailable(f"no Kafka runs on {home.root}: start it with `datanuts up`")
    # Kafka's jars are shared by all data directories of a checkout; an installed package has none to share them in.
    cache = (_CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else home.root) / ".cache"
    files = tls.node_files(home, settings, keys)
    node = LocalKafka(home.root, cache, ports[0], tls=files, tls_port=ports[1], heap_mb=heap_mb, progress=progress)
    await held.enter_async_context(node)
    return node.access, node


async def _running(home: DataDir) -> KafkaAccess | None:
    """Access to the embedded node that another process runs on `home`, if one does."""
    identity = node_files.load_identity(home.root / "kafka")
    if identity is None or not identity.port:
        return None
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", identity.port)
    except OSError:
        return None
    writer.close()
    access = KafkaAccess(f"127.0.0.1:{identity.port}", node_files.SUPER_USER, identity.password)
    try:
        await probe(access)
    except (Unauthenticated, KafkaUnavailable):  # something else listens there now
        return None
    return access
