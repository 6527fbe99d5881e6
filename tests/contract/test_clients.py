"""Every Kafka client of the broker is built in one module, and every consumer reads committed records only (design §5).

The subscriber, which agencies run, builds its one consumer itself, by the same rules.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.kafka.clients import KafkaAccess, KafkaClients

ROOT = Path(__file__).resolve().parents[2]
FACTORY = ROOT / "broker" / "kafka" / "clients.py"
ADMIN = ROOT / "broker" / "kafka" / "admin.py"
PEER = ROOT / "bench" / "frameworks" / "quix_peer.py"  # runs in an environment of its own, without the broker
SUBSCRIBER = ROOT / "broker" / "client" / "kafka.py"
BUILT_HERE_ONLY = {
    "AIOKafkaConsumer": {FACTORY, SUBSCRIBER},
    "AIOKafkaProducer": {FACTORY},
    "AIOKafkaClient": {FACTORY},
    "ClosingConsumer": {FACTORY},
    "ClosingProducer": {FACTORY},
    "TransactionalProducer": {FACTORY},
    "create_conn": {FACTORY, SUBSCRIBER},
    "AdminClient": {ADMIN},
    "Consumer": {ADMIN, PEER},
    "Producer": {ADMIN},
}
LIBRARIES = {"aiokafka", "confluent_kafka"}
OURS = {"broker.kafka.closing", "broker.kafka.transactions"}


def modules() -> Iterator[Path]:
    for package in ("broker", "adapters", "bench", "portal"):
        yield from (ROOT / package).rglob("*.py")


def library_names(tree: ast.AST) -> dict[str, str]:
    """Local name → library name of everything imported from a Kafka client library, modules and subclasses included."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (
            (node.module or "").partition(".")[0] in LIBRARIES or node.module in OURS
        ):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                (alias.asname or alias.name.partition(".")[0]): "*"
                for alias in node.names
                if alias.name.partition(".")[0] in LIBRARIES
            }
    for node in ast.walk(tree):
        bases = [base.id for base in getattr(node, "bases", ()) if isinstance(base, ast.Name) and base.id in found]
        if isinstance(node, ast.ClassDef) and bases:
            found[node.name] = found[bases[0]]
    return found


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Calls of client classes, by the library's name: `AIOKafkaConsumer(…)`, `c.AIOKafkaConsumer(…)`, `Alias(…)`."""
    names = library_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            yield node, names.get(node.func.id, "")
        elif isinstance(node.func, ast.Attribute):
            base = node.func
            while isinstance(base, ast.Attribute):
                base = base.value  # type: ignore[assignment]
            if isinstance(base, ast.Name) and names.get(base.id) == "*":
                yield node, node.func.attr


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_clients_are_built_in_their_factory_only(path: Path) -> None:
    made = {name for _, name in calls(ast.parse(path.read_text())) if name in BUILT_HERE_ONLY}
    assert {name for name in made if path not in BUILT_HERE_ONLY[name]} == set()


def keywords(name: str, path: Path = FACTORY) -> list[dict[str | None, object]]:
    """Literal keyword arguments of every call of `name` in a module."""
    return [
        {
            keyword.arg: keyword.value.value if isinstance(keyword.value, ast.Constant) else "computed"
            for keyword in call.keywords
        }
        for call, called in calls(ast.parse(path.read_text()))
        if called == name
    ]


def test_every_consumer_reads_committed_records_and_never_moves_by_itself() -> None:
    consumers = [*keywords("ClosingConsumer"), *keywords("AIOKafkaConsumer", SUBSCRIBER)]
    assert len(consumers) >= 3
    assert {consumer["isolation_level"] for consumer in consumers} == {"read_committed"}
    assert {consumer["enable_auto_commit"] for consumer in consumers} == {False}
    assert keywords("AIOKafkaConsumer", SUBSCRIBER)[0]["auto_offset_reset"] == "none"


def test_every_producer_waits_for_all_replicas_and_is_idempotent() -> None:
    producers = [*keywords("ClosingProducer"), *keywords("TransactionalProducer")]
    assert len(producers) >= 2
    assert {producer["acks"] for producer in producers} == {"all"}
    assert all("transactional_id" in producer or producer["enable_idempotence"] is True for producer in producers)


async def test_what_the_clients_hold_is_what_the_factory_says() -> None:
    clients = KafkaClients(KafkaAccess("127.0.0.1:9", "user", "secret"))
    consumer = clients.consumer("group")
    held = consumer._isolation_level, consumer._auto_offset_reset, consumer._enable_auto_commit
    await consumer.stop()
    assert held == ("read_committed", "none", False)
    assert "secret" not in repr(clients)
