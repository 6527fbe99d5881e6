"""Fixtures for every suite: the shared sample data, and one real Kafka per session for those that ask for it."""

import itertools
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from broker.kafka.admin import KafkaAdmin
from broker.kafka.clients import KafkaAccess, KafkaClients
from broker.kafka.local import LocalKafka
from tests.postgres import Postgres, postgres

ROOT = Path(__file__).parents[1]

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure: timings live in bench/
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what stays in one process where tests run in several (`pytest -n 2 --dist loadgroup`).

    A file does, and so do all of tests/faults: each of its processes would have an installation under load, beside the
    other's.
    """
    for item in items:
        folder = item.path.relative_to(ROOT).parts[1]
        item.add_marker(pytest.mark.xdist_group(folder if folder == "faults" else str(item.path.relative_to(ROOT))))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real sample files beside the checkout; tests over it are skipped, loudly, where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real sample data is not at {folder.relative_to(ROOT.parent)}: the checks against it did NOT run")
    return folder


@pytest.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaAccess]:
    """Super-user access to one Kafka for the whole session: embedded, or the one DATANUTS_TEST_KAFKA names."""
    if external := os.environ.get("DATANUTS_TEST_KAFKA"):
        bootstrap, username, password = external.split(",")
        yield KafkaAccess(bootstrap, username, password)
        return
    async with LocalKafka(tmp_path_factory.mktemp("kafka"), ROOT / ".cache") as node:
        yield node.access


@pytest.fixture(scope="session")
def kafka_admin(kafka: KafkaAccess) -> KafkaAdmin:
    """Administration of the session's Kafka."""
    return KafkaAdmin(kafka)


@pytest.fixture(scope="session")
def kafka_clients(kafka: KafkaAccess) -> KafkaClients:
    """Clients under the super user."""
    return KafkaClients(kafka)


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Make names that no other test uses, nor another run on the same Kafka."""
    run, numbers = secrets.token_hex(3), itertools.count(1)
    return lambda prefix: f"{prefix}-{run}-{next(numbers)}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One PostgreSQL for the whole session."""
    with postgres() as server:
        yield server
