"""The files of one embedded node: its identity and secrets (0600), its ports, and the configuration made from them."""

import json
import os
import secrets
import uuid
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass, field
from pathlib import Path

from broker.errors import ConfigError

SUPER_USER = "broker"
_CONTROLLER_USER = "controller"


@dataclass(frozen=True, slots=True)
class Identity:
    """What must survive a restart: cluster id, generated passwords, and the ports used last."""

    cluster_id: str
    password: str = field(repr=False)
    controller_password: str = field(repr=False)
    port: int = 0
    controller_port: int = 0
    tls_port: int = 0
    """0: there is no listener for client certificates."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of the listener for client certificates."""

    server: Path
    """Its private key (PKCS#8) and certificate chain."""
    clients: Path
    """The one authority whose certificates are let in."""


def new_identity() -> Identity:
    """A fresh cluster id and two passwords of 256 random bits."""
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # A leading hyphen would read as an option on StorageTool's command line.
    return Identity(cluster_id.replace("-", "A", 1), secrets.token_hex(32), secrets.token_hex(32))


def load_identity(data_dir: Path) -> Identity | None:
    """The identity kept in `data_dir`, or None for a directory that holds no node yet.

    Raises `ConfigError` if the node's data is there but its identity is gone or unreadable.
    """
    try:
        return Identity(**json.loads((data_dir / "node.json").read_text()))
    except FileNotFoundError:
        if is_formatted(data_dir):
            raise ConfigError(f"{data_dir} holds Kafka data, but its secrets (node.json) are gone") from None
        return None
    except (ValueError, TypeError):
        raise ConfigError(f"{data_dir / 'node.json'} is damaged: restore it, or choose another directory") from None


def save_identity(data_dir: Path, identity: Identity) -> None:
    """Replace the kept identity, readable by its owner only."""
    fresh = data_dir / "node.json.new"
    write_private(fresh, json.dumps(asdict(identity)))
    fresh.replace(data_dir / "node.json")


def is_formatted(data_dir: Path) -> bool:
    """Whether the data directory was formatted to its end (Kafka writes this file last)."""
    return (data_dir / "data" / "meta.properties").exists()


def write_private(path: Path, text: str) -> None:
    """Write `text` to a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def write_configuration(data_dir: Path, identity: Identity, tls: TlsFiles | None = None) -> None:
    """Write `server.properties` (holds secrets, 0600) and `log4j2.properties` for the ports in `identity`."""
    properties = _server(data_dir, identity)
    if tls is not None:
        properties |= _tls(identity, tls)
    write_private(data_dir / "server.properties", _lines(properties))
    (data_dir / "log4j2.properties").write_text(_lines(_logging(data_dir)))


def format_arguments(data_dir: Path, identity: Identity) -> str:
    """StorageTool's arguments, one per line: it reads them from a file, so that no password is on a command line."""
    scram = f"SCRAM-SHA-512=[name={SUPER_USER},iterations=4096,password={identity.password}]"
    properties = data_dir / "server.properties"
    return f"format\n--cluster-id\n{identity.cluster_id}\n--config\n{properties}\n--add-scram\n{scram}\n"


def _lines(properties: dict[str, str | int]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def _server(data_dir: Path, identity: Identity) -> dict[str, str | int]:
    security = "org.apache.kafka.common.security"
    clients = f"127.0.0.1:{identity.port}"
    controller = f"127.0.0.1:{identity.controller_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",  # static: the port may change at a restart
        "listeners": f"CLIENTS://{clients},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENTS://{clients}",
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "inter.broker.listener.name": "CLIENTS",
        "controller.listener.names": "CONTROLLER",
        # Every listener authenticates. SCRAM needs the metadata log, which the controller listener carries: PLAIN there.
        "listener.name.clients.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": (
            f'{security}.scram.ScramLoginModule required username="{SUPER_USER}" password="{identity.password}";'
        ),
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": (
            f"{security}.plain.PlainLoginModule required"
            f' username="{_CONTROLLER_USER}" password="{identity.controller_password}"'
            f' user_{_CONTROLLER_USER}="{identity.controller_password}";'
        ),
        "sasl.mechanism.controller.protocol": "PLAIN",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{SUPER_USER};User:{_CONTROLLER_USER}",
        # After a kill the controller waits this long before it takes the same broker back (default 9 s). Shorter, and a
        # busy machine makes the node lose its own leadership: seen at 3 s with a load of 8 on two cores.
        "broker.session.timeout.ms": 6_000,
        "broker.heartbeat.interval.ms": 500,
        "log.dirs": str(data_dir / "data"),
        "auto.create.topics.enable": "false",
        "num.partitions": 1,
        "default.replication.factor": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "offsets.retention.minutes": 525_600,  # a year: "no offset" must always mean loss (design §5)
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 8,
        "transaction.max.timeout.ms": 60_000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,  # readers wait for an open transaction
        "transactional.id.expiration.ms": 2_147_483_647,  # the most Kafka takes (24 days): epochs outlive a pause
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 50,
        "group.min.session.timeout.ms": 1_000,  # a dead router is noticed in seconds
        "log.index.size.max.bytes": 131_072,  # 10 MB per partition by default: see design §7
        "log.retention.check.interval.ms": 60_000,
        "log.segment.delete.delay.ms": 10_000,
    }


def _tls(identity: Identity, files: TlsFiles) -> dict[str, str | int]:
    """One more listener: whoever shows a certificate is the user that it names, if it names one of ours and nothing else.

    A slug holds no `~`, so that no certificate is the super user; another name fits no rule and is refused.
    """
    clients, tls = f"127.0.0.1:{identity.port}", f"127.0.0.1:{identity.tls_port}"
    own = "listener.name.tls.ssl"
    return {
        "listeners": f"CLIENTS://{clients},TLS://{tls},CONTROLLER://127.0.0.1:{identity.controller_port}",
        "advertised.listeners": f"CLIENTS://{clients},TLS://{tls}",
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,TLS:SSL,CONTROLLER:SASL_PLAINTEXT",
        "listener.name.tls.num.network.threads": 1,  # each sets TLS up for itself at the boot
        f"{own}.client.auth": "required",
        f"{own}.keystore.type": "PEM",
        f"{own}.keystore.location": str(files.server.resolve()),  # the node runs in another directory
        f"{own}.truststore.type": "PEM",
        f"{own}.truststore.location": str(files.clients.resolve()),
        f"{own}.principal.mapping.rules": "RULE:^CN=([a-z0-9-]+~[0-9a-f]+)$/$1/",
    }


def _logging(data_dir: Path) -> dict[str, str | int]:
    logs = data_dir / "logs"
    return {
        "status": "error",
        "appender.file.type": "RollingFile",
        "appender.file.name": "file",
        "appender.file.fileName": str(logs / "kafka.log"),
        "appender.file.filePattern": str(logs / "kafka.%i.log"),
        "appender.file.layout.type": "PatternLayout",
        "appender.file.layout.pattern": "%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %p %c{1}: %m%n",
        "appender.file.policies.type": "Policies",
        "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
        "appender.file.policies.size.size": "10MB",
        "appender.file.strategy.type": "DefaultRolloverStrategy",
        "appender.file.strategy.max": 3,
        "rootLogger.level": "info",
        "rootLogger.appenderRef.file.ref": "file",
    }
