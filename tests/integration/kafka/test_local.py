"""The embedded node's life: restart, stop, sudden death of its parent, and refusal of strangers on every port."""

import asyncio
import fcntl
import os
import signal
import socket
import ssl
import stat
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, ProducerClosed
from aiokafka.structs import TopicPartition

from broker.cli.datadir import DataDir
from broker.cli.tls import node_files as tls_files
from broker.control.keys import FileKeyStore
from broker.errors import ConfigError, KafkaUnavailable
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaAccess, KafkaClients, probe
from broker.kafka.local import LocalKafka
from broker.settings import load_settings
from broker.stopping import stop_quietly
from broker.testing import wait_until

pytestmark = pytest.mark.timeout(90)

CACHE = Path(__file__).resolve().parents[3] / ".cache"

PARENT = """
import asyncio, sys
from pathlib import Path
from broker.kafka.local import LocalKafka

async def main():
    node = LocalKafka(Path(sys.argv[1]), Path(sys.argv[2]))
    await node.start()
    print(node.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LocalKafka]:
    async with LocalKafka(tmp_path, CACHE) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalKafka]:
    """A node that several tests look at and none stops."""
    async with LocalKafka(tmp_path_factory.mktemp("undisturbed"), CACHE) as running:
        yield running


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def test_restart_keeps_cluster_port_credentials_and_data(node: LocalKafka, tmp_path: Path) -> None:
    before, cluster = node.access, node.cluster_id
    await KafkaAdmin(before).ensure_topics([TopicSpec("kept")])
    async with KafkaClients(before).producer() as producer:
        await producer.send_and_wait("kept", b"record", partition=0)
    pid = node.pid
    assert pid is not None
    await node.stop()
    assert not is_running(pid)
    assert node.pid is None
    async with LocalKafka(tmp_path, CACHE) as again:
        assert (again.access, again.cluster_id) == (before, cluster)
        async with KafkaClients(before).consumer() as consumer:
            target = TopicPartition("kept", 0)
            consumer.assign([target])
            await consumer.seek_to_beginning(target)
            assert (await consumer.getone()).value == b"record"


async def test_a_port_given_later_is_used_and_one_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)):
            await LocalKafka(tmp_path, CACHE, port).start()
    async with LocalKafka(tmp_path, CACHE) as first:
        other = first.bootstrap
    async with LocalKafka(tmp_path, CACHE, port) as second:
        assert second.bootstrap == f"127.0.0.1:{port}" != other
        assert set(await KafkaAdmin(second.access).topics()) == set()


async def test_a_directory_holds_one_running_node(undisturbed: LocalKafka) -> None:
    with pytest.raises(ConfigError, match="another Kafka node"):
        await LocalKafka(undisturbed.directory.parent, CACHE).start()
    await probe(undisturbed.access)


async def test_secrets_are_private_and_on_no_command_line(undisturbed: LocalKafka) -> None:
    node = undisturbed
    password = node.access.password
    holders = _files_with(password.encode(), node.directory)
    assert {path.name for path in holders} == {"node.json", "server.properties"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
    assert stat.S_IMODE(node.directory.stat().st_mode) == 0o700
    assert password not in _command_line(node.pid)
    assert password not in repr((node, node.access, node.admin_credentials, node._identity))


def _files_with(secret: bytes, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


def _command_line(pid: int | None) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


async def test_only_loopback_is_listened_on_and_every_port_authenticates(undisturbed: LocalKafka) -> None:
    node = undisturbed
    ports = _listening(node.pid)
    assert {address for address, _ in ports} <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert {port for _, port in ports} == {int(node.bootstrap.rpartition(":")[2]), node.controller_port}
    for _, port in ports:
        assert await asyncio.to_thread(_answer_to_a_stranger, port) == b""
    with pytest.raises(
        KafkaUnavailable
    ):  # SCRAM is not spoken on the controller's port: even the super user is refused
        await probe(KafkaAccess(f"127.0.0.1:{node.controller_port}", node.access.username, node.access.password))


async def test_the_listener_for_certificates_keeps_its_port_and_lets_no_stranger_in(tmp_path: Path) -> None:
    home, keys = DataDir(tmp_path), FileKeyStore(tmp_path / "keys")
    files = tls_files(home, load_settings({}, data_dir=tmp_path), keys)
    async with LocalKafka(tmp_path, CACHE, tls=files) as first:
        address = first.bootstrap_tls
        assert address is not None
        port = int(address.rpartition(":")[2])
        ports = _listening(first.pid)
        assert {host for host, _ in ports} <= {"0100007F", "0000000000000000FFFF00000100007F"}
        assert port in {number for _, number in ports}
        nobody = ssl.create_default_context(cafile=home.ca)
        with pytest.raises((OSError, KafkaError)):
            await create_conn("127.0.0.1", port, security_protocol="SSL", ssl_context=nobody)
        secret = files.server.read_text().splitlines()[1]
        assert _files_with(secret.encode(), tmp_path) == [files.server]
        assert secret not in _command_line(first.pid)
    async with LocalKafka(tmp_path, CACHE, tls=files) as second:
        assert second.bootstrap_tls == address
    async with LocalKafka(tmp_path, CACHE) as third:
        assert third.bootstrap_tls is None
        await probe(third.access)


def _listening(pid: int | None) -> set[tuple[str, int]]:
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    inodes = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:")}
    rows = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    listening = [row[1].split(":") for row in rows if row[3] == "0A" and row[9] in inodes]
    return {(address, int(port, 16)) for address, port in listening}


def _answer_to_a_stranger(port: int) -> bytes:
    """Ask for all topics (Metadata v1) without logging in; empty when the node hangs up."""
    request = b"\x00\x03\x00\x01\x00\x00\x00\x07\x00\x01x\xff\xff\xff\xff"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(len(request).to_bytes(4, "big") + request)
        try:
            return connection.recv(100)
        except ConnectionResetError:
            return b""


async def test_ctrl_c_reaches_us_and_not_kafka(undisturbed: LocalKafka) -> None:
    assert undisturbed.pid is not None
    assert os.getpgid(undisturbed.pid) != os.getpgid(0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_no_kafka_outlives_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), str(CACHE), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert is_running(pid)
    parent.send_signal(how)
    await parent.wait()
    await wait_until(lambda: not is_running(pid))
    async with LocalKafka(tmp_path, CACHE) as again:  # the lock died with it, the data did not
        await probe(again.access)


async def test_a_killed_node_is_noticed_and_starts_again(node: LocalKafka) -> None:
    assert node.pid is not None
    os.kill(node.pid, signal.SIGKILL)
    assert await asyncio.wait_for(node.wait(), 10) == -signal.SIGKILL
    await node.start()
    await probe(node.access)


def client_tasks() -> Counter[str]:
    """Tasks that a client keeps as long as it lives; others of this process may come and go meanwhile."""
    kept = {"Sender._sender_routine", "MessageAccumulator.close", "AIOKafkaClient._md_synchronizer"}
    return Counter(name for task in asyncio.all_tasks() if (name := task.get_coro().__qualname__) in kept)


async def test_clients_of_a_dead_node_leave_nothing_behind(node: LocalKafka) -> None:
    clients, target = KafkaClients(node.access), TopicPartition("left", 0)
    await KafkaAdmin(node.access).ensure_topics([TopicSpec("left")])
    before = client_tasks()
    plain, transactional = clients.producer(), clients.transactional_producer("left")
    reader, member = clients.consumer("left"), clients.member("left-members")
    for client in (plain, transactional, reader, member):
        await client.start()
    reader.assign([target])
    await reader.seek_to_beginning(target)
    member.subscribe(["left"])
    await wait_until(lambda: bool(member.assignment()))
    await transactional.begin_transaction()
    await transactional.send_and_wait("left", b"1", partition=0)
    assert node.pid is not None
    os.kill(node.pid, signal.SIGKILL)
    await node.wait()
    unsent = [await plain.send("left", b"2", partition=0), await transactional.send("left", b"2", partition=0)]
    for client in (plain, transactional, reader, member):
        await stop_quietly(client)
    assert [type(sent.exception()) for sent in unsent] == [ProducerClosed, ProducerClosed]
    await wait_until(lambda: client_tasks() <= before)


async def test_stopping_twice_and_starting_twice_is_fine(node: LocalKafka) -> None:
    pid = node.pid
    await node.start()
    assert node.pid == pid
    await node.stop()
    await node.stop()


async def test_lost_secrets_are_said_not_replaced(node: LocalKafka, tmp_path: Path) -> None:
    await node.stop()
    (tmp_path / "kafka" / "node.json").unlink()
    with pytest.raises(ConfigError, match=r"node\.json"):
        await LocalKafka(tmp_path, CACHE).start()


async def test_the_lock_is_free_after_a_stop(node: LocalKafka, tmp_path: Path) -> None:
    await node.stop()
    with (tmp_path / "kafka" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
