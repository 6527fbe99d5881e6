"""The only place that builds aiokafka clients, so that every one of them keeps the rules of exactly-once (design §5).

Every consumer is read_committed, commits only when told to, and never resets its position by itself; every producer is
idempotent with acks=all. Clients are returned unstarted: the caller starts and stops them.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError, SaslAuthenticationFailed
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import TopicPartition

from broker.batches import MAX_BATCH_BYTES
from broker.errors import KafkaUnavailable, Unauthenticated
from broker.kafka import header_names, whole_batches, wide_requests
from broker.kafka.closing import ClosingConsumer, ClosingProducer
from broker.kafka.transactions import TransactionalProducer

header_names.tolerate()
whole_batches.hand_out()
wide_requests.take_over()

TRANSACTION_TIMEOUT_MS = 10_000
"""R3: commit deadline plus the longest pause. A dead lane's readers wait at most this long."""

SESSION_TIMEOUT_MS = 4_000
"""A dead router is noticed after this; longer than any batch keeps the event loop busy."""

_FETCH_BYTES = 4 << 20
_READ_BYTES = 1 << 16
_COMMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """How one principal reaches Kafka; the password never shows in a representation."""

    bootstrap: str
    username: str
    password: str = field(repr=False)
    protocol: str = "SASL_PLAINTEXT"
    mechanism: str = "SCRAM-SHA-512"
    ca: Path | None = None

    def as_user(self, username: str, password: str) -> "KafkaAccess":
        """The same Kafka, as another principal."""
        return replace(self, username=username, password=password)

    def for_aiokafka(self) -> dict[str, Any]:
        """Keyword arguments for an aiokafka client."""
        encrypted = self.protocol == "SASL_SSL"
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": "datanuts",
            "security_protocol": self.protocol,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
            "ssl_context": ssl.create_default_context(cafile=self.ca) if encrypted else None,
        }

    def for_librdkafka(self) -> dict[str, Any]:
        """Configuration for a confluent-kafka client."""
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": "datanuts",
            "security.protocol": self.protocol,
            "sasl.mechanism": self.mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
            **({"ssl.ca.location": str(self.ca)} if self.ca else {}),
        }


@dataclass(frozen=True, slots=True)
class KafkaClients:
    """Makes clients for one principal; none is started."""

    access: KafkaAccess

    def consumer(self, group: str | None = None) -> ClosingConsumer:
        """Consumer for manual assignment; `group` only names where its positions are committed."""
        return self._consumer(group, _FETCH_BYTES)

    def batches(self, group: str) -> ClosingConsumer:
        """As `consumer`, but it hands out every batch as one `whole_batches.RecordBatch`."""
        return self._consumer(group, _FETCH_BYTES, key_deserializer=whole_batches.undecoded)

    def reader(self) -> ClosingConsumer:
        """Consumer for single records at known offsets: it fetches little behind them."""
        return self._consumer(None, _READ_BYTES)

    def _consumer(self, group: str | None, fetch_bytes: int, **more: Any) -> ClosingConsumer:
        return ClosingConsumer(
            **self.access.for_aiokafka(),
            group_id=group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_bytes=4 * fetch_bytes,
            max_partition_fetch_bytes=fetch_bytes,
            fetch_max_wait_ms=250,
            retry_backoff_ms=20,
            **more,
        )

    def member(self, group: str, *, session_timeout_ms: int = SESSION_TIMEOUT_MS) -> ClosingConsumer:
        """Consumer that takes part in `group`'s assignment; it must be polled."""
        return ClosingConsumer(
            **self.access.for_aiokafka(),
            group_id=group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="latest",  # the topic behind a membership is empty: there is no position to lose
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=session_timeout_ms // 4,
            rebalance_timeout_ms=10_000,
            # The second for as long as a member of before there was the first takes part.
            partition_assignment_strategy=(keeping_assignor(), RoundRobinPartitionAssignor),
            retry_backoff_ms=20,
        )

    def transactional_producer(
        self, transactional_id: str, *, timeout_ms: int = TRANSACTION_TIMEOUT_MS
    ) -> TransactionalProducer:
        """Producer of one transactional id; starting it fences the previous holder and aborts its transaction (R1)."""
        return TransactionalProducer(
            **self.access.for_aiokafka(),
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            # Not shorter than the transaction: the client blindly repeats a request that timed out, and a second
            # EndTxn is what R2 forbids.
            request_timeout_ms=timeout_ms,
            acks="all",
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_BATCH_BYTES,
            # A transaction over many partitions meets CONCURRENT_TRANSACTIONS while they are added (design §7).
            retry_backoff_ms=5,
        )

    def producer(self) -> ClosingProducer:
        """Idempotent producer without transactions."""
        return ClosingProducer(
            **self.access.for_aiokafka(),
            enable_idempotence=True,
            acks="all",
            request_timeout_ms=10_000,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_BATCH_BYTES,
            retry_backoff_ms=20,
        )

    def requests(self) -> Any:
        """Client for single requests to the node that a request is for, not bootstrapped."""
        return AIOKafkaClient(**self.access.for_aiokafka())

    async def commit_offsets(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set the committed positions of a group that has no members now, by (topic, partition).

        Not by librdkafka: asked while a node's first coordinator loads, it waits for ever, also at the process's exit.
        """
        positions = {TopicPartition(topic, partition): offset for (topic, partition), offset in offsets.items()}
        try:
            async with asyncio.timeout(_COMMIT_S), self.consumer(group) as consumer:
                consumer.assign(list(positions))
                for target in positions:
                    consumer.pause(target)
                await consumer.commit(positions)
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable("Kafka did not confirm a position", operator=type(error).__name__) from error

    async def know_topics(self, producer: ClosingProducer, topics: Iterable[str]) -> None:
        """As the function of this name: for rooms that reach Kafka through a Protocol."""
        await know_topics(producer, topics)


def keeping_assignor() -> type[Any]:
    """Assignor for one membership: fair, and a lane moves only where that makes it fair.

    aiokafka's keeps what a member had in its class, so that each membership needs a class of its own.
    """
    return type("KeepingAssignor", (StickyPartitionAssignor,), {})


async def know_topics(producer: ClosingProducer, topics: Iterable[str]) -> None:
    """Tell a started producer all the topics it will touch, in one request.

    Otherwise each first touch refreshes all metadata (design §7). A topic told before is asked for again only if it is
    still unknown; the set replaces the previous one.

    Raises `KafkaUnavailable` when no node answers.
    """
    client, wanted = producer.client, set(topics)
    if not wanted:
        return  # for aiokafka an empty set means every topic of the cluster
    answered = await client.set_topics(wanted)
    if answered and not wanted <= client.cluster.topics(exclude_internal_topics=False):
        answered = await client.force_metadata_update()
    if not answered:
        raise KafkaUnavailable("no Kafka node answered a metadata request")


async def probe(access: KafkaAccess, *, timeout_s: float = 5.0) -> None:
    """Return once a node accepted our credentials; raise `Unauthenticated` or `KafkaUnavailable` otherwise."""
    try:
        brokers = await asyncio.wait_for(_brokers_seen(access, timeout_s), timeout_s)
    except SaslAuthenticationFailed as error:
        raise Unauthenticated("Kafka refused these credentials") from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise KafkaUnavailable("no Kafka node answered in time", operator=type(error).__name__) from error
    if not brokers:
        raise KafkaUnavailable("Kafka is starting: no broker has joined it yet")


async def connected(access: KafkaAccess, *, timeout_s: float) -> Any:
    """One bare connection to the first node that takes our login; raises what the last one did.

    For a request of which clients know nothing, or whose refusal they would hide.
    """
    arguments = access.for_aiokafka()
    *others, last = collect_hosts(arguments.pop("bootstrap_servers"))
    arguments["request_timeout_ms"] = int(timeout_s * 1000)
    for host, port, _ in others:
        with suppress(KafkaError, TimeoutError, OSError):
            return await create_conn(host, port, **arguments)
    return await create_conn(last[0], last[1], **arguments)


async def _brokers_seen(access: KafkaAccess, timeout_s: float) -> int:
    """Number of brokers in a node's answer."""
    connection = await connected(access, timeout_s=timeout_s)
    try:
        return len((await connection.send(MetadataRequest([]))).brokers)
    finally:
        connection.close()
