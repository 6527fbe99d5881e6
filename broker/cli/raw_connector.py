"""`datanuts raw connector`: configurations with which Kafka Connect's Debezium writes one table to a raw topic.

No secret stands in them: Connect reads them from files of properties (its FileConfigProvider). A key of Debezium is the row's
primary key, so it is emptied before it leaves the worker. tests/integration/adapters/test_debezium.py runs them as they are.
"""

import argparse
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from broker.cli import datadir
from broker.cli.output import machine, say
from broker.errors import BrokerUnavailable, Invalid
from broker.model import topics

_TABLE = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*", re.ASCII)
_USER = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)
_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
_LONGEST_NAME = 63
"""Of a slot or a publication of PostgreSQL."""

_LARGEST = 4 << 20
"""What a raw topic takes (`broker.model.topology`)."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a PostgreSQL server, and the raw source that it is written to."""

    organisation: str
    name: str
    table: str
    host: str
    port: int
    database: str
    user: str

    @property
    def topic(self) -> str:
        """Where its changes go."""
        return topics.raw(self.organisation, self.name)

    @property
    def place(self) -> str:
        """Name of its slot and of its publication in PostgreSQL."""
        return f"datanuts_{self.organisation}_{self.name}".replace("-", "_")[:_LONGEST_NAME]


def statements(source: Table) -> tuple[str, ...]:
    """What the table's owner runs once, beside `CREATE ROLE … LOGIN REPLICATION`.

    The whole row as it was goes with each change: a deletion says whose it is, and a large column that was left as it was is told.
    """
    schema = source.table.partition(".")[0]
    return (
        f"ALTER TABLE {source.table} REPLICA IDENTITY FULL;",
        f"GRANT USAGE ON SCHEMA {schema} TO {source.user};",
        f"GRANT SELECT ON {source.table} TO {source.user};",
        f"CREATE PUBLICATION {source.place} FOR TABLE {source.table};",
    )


def connector(source: Table, secrets: PurePosixPath) -> dict[str, str]:
    """Configuration of Debezium's PostgreSQL connector (3.3); `secrets` is the folder of the files of properties."""
    prefix = f"{source.organisation}.{source.name}"
    return {
        "name": f"{source.organisation}-{source.name}",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "plugin.name": "pgoutput",
        "database.hostname": source.host,
        "database.port": str(source.port),
        "database.dbname": source.database,
        "database.user": source.user,
        "database.password": f"${{file:{secrets}/database.properties:password}}",
        "database.sslmode": "disable" if source.host in _LOCAL else "require",
        "slot.name": source.place,
        "publication.name": source.place,
        # The table's owner makes it (`statements`): Debezium's user needs no more than to read.
        "publication.autocreate.mode": "disabled",
        "table.include.list": re.escape(source.table),
        "snapshot.mode": "initial",
        # A table that is emptied is told: nobody would hear of it otherwise.
        "skipped.operations": "none",
        "tombstones.on.delete": "false",
        # So that the database may drop what was read while other tables change.
        "heartbeat.interval.ms": "60000",
        "decimal.handling.mode": "string",
        "binary.handling.mode": "base64",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": "false",
        # The schema says which numbers are days and which are instants; compressed it weighs little.
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "true",
        "topic.prefix": prefix,
        "transforms": "route,beat,key",
        "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": re.escape(f"{prefix}.{source.table}"),
        "transforms.route.replacement": source.topic,
        "transforms.beat.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.beat.regex": f"__debezium-heartbeat\\.{re.escape(prefix)}",
        "transforms.beat.replacement": source.topic,
        # No field has this name, so that none is left.
        "transforms.key.type": "org.apache.kafka.connect.transforms.ReplaceField$Key",
        "transforms.key.include": "nothing",
    }


def worker(bootstrap: str, secrets: PurePosixPath, *, encrypted: bool) -> dict[str, str]:
    """Properties of a standalone worker of Kafka Connect (4.1) that logs in as the raw source's writer."""
    login = {
        "security.protocol": "SASL_SSL" if encrypted else "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="${{file:{secrets}/writer.properties:username}}" '
        f'password="${{file:{secrets}/writer.properties:password}}";',
    }
    return {
        "bootstrap.servers": bootstrap,
        **login,
        **{f"producer.{name}": value for name, value in login.items()},
        "producer.acks": "all",
        "producer.enable.idempotence": "true",
        "producer.compression.type": "lz4",
        "producer.max.request.size": str(_LARGEST),
        "config.providers": "file",
        "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
        "config.providers.file.param.allowed.paths": str(secrets),
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "offset.storage.file.filename": "connect.offsets",
        "offset.flush.interval.ms": "5000",
        "topic.creation.enable": "false",
        "plugin.discovery": "service_load",
        "plugin.path": "connect/plugins",
        "listeners": "http://127.0.0.1:8083",
    }


def register(verbs: Any) -> None:
    """Add the verb to those of `datanuts raw`."""
    parser = verbs.add_parser(
        "connector",
        help="configuration of Debezium, or of its worker, for a PostgreSQL table",
        description="Prints the connector's JSON for Kafka Connect, with --worker the properties of a standalone worker, with --sql "
        "what the table's owner runs once. No secret is in any of them: `writer.properties` is what `datanuts raw writer --out` made, `database.properties` has a line `password=…`.",
    )
    parser.add_argument("organisation", metavar="ORG", help="the source")
    parser.add_argument("name", metavar="NAME", help="the raw source, as it was declared")
    parser.add_argument("--table", metavar="SCHEMA.TABLE", help="default: public. and the name with underscores")
    parser.add_argument("--host", metavar="H", default="127.0.0.1", help="of PostgreSQL; default: 127.0.0.1")
    parser.add_argument("--port", type=int, metavar="P", default=5432, help="default: 5432")
    parser.add_argument("--database", metavar="D", default="postgres", help="default: postgres")
    parser.add_argument("--user", metavar="U", default="debezium", help="default: debezium")
    parser.add_argument(
        "--secrets",
        type=PurePosixPath,
        metavar="DIR",
        default=PurePosixPath("/etc/datanuts-connect"),
        help="where Connect finds the two files; default: /etc/datanuts-connect",
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--worker", action="store_true", help="print the worker's properties instead")
    shown.add_argument("--sql", action="store_true", help="print what the table's owner runs once, instead")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="Kafka, for the worker; default: the local stack's")
    parser.add_argument("--tls", action="store_true", help="the worker reaches Kafka with TLS")
    datadir.add_option(parser)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> None:
    if not given.secrets.is_absolute():
        raise Invalid("--secrets is an absolute path: Connect is started elsewhere")
    if given.worker:
        made = worker(_bootstrap(given), given.secrets, encrypted=given.tls)
        _shown(given, made, (f"{name}={value}" for name, value in made.items()))
        return
    table = given.table or f"public.{given.name.replace('-', '_')}"
    if not _TABLE.fullmatch(table) or not _USER.fullmatch(given.user):
        raise Invalid(
            "--table is SCHEMA.TABLE, as public.inwoners, and --user a role: small letters, digits and underscores"
        )
    source = Table(given.organisation, given.name, table, given.host, given.port, given.database, given.user)
    topics.raw(source.organisation, source.name)
    if given.sql:
        lines = statements(source)
        _shown(given, lines, lines)
        return
    made = connector(source, given.secrets)
    _shown(given, made, json.dumps(made, indent=2).splitlines())


def _bootstrap(given: argparse.Namespace) -> str:
    if given.bootstrap is not None:
        return str(given.bootstrap)
    try:
        return datadir.DataDir(given.data_dir).connection().kafka
    except BrokerUnavailable:
        pass
    raise Invalid("--bootstrap HOST:PORT: no local stack runs that would say where Kafka is")


def _shown(given: argparse.Namespace, made: Any, lines: Iterable[str]) -> None:
    if given.json:
        machine(made)
        return
    for line in lines:
        say(line)
