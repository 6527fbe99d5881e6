"""Topics, SCRAM users, ACLs and quotas of one Kafka, as idempotent operations (confluent-kafka: aiokafka has neither ACL nor SCRAM).

Resource names are always literal: a prefixed ACL on `delivery.gent` would also open `delivery.gent-parkeren`. A change
returns when the node that we ask shows it, because the controller answers before the brokers have heard of it.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from broker.errors import ConfigError, NotFound
from broker.kafka.clients import KafkaAccess
from broker.kafka.quotas import UserQuotas
from broker.kafka.requests import Patience, translated
from broker.model.topology import TopicSpec

_TIMEOUT_S = 30.0
_DURABLE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}  # R7, wherever there are replicas
_SCRAM_ITERATIONS = 4096  # Kafka's least: our passwords are 256 random bits, more rounds would only slow every login


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One ACL as Kafka shows it: `kind` is topic, group or transactional_id, `operation` read, write or describe."""

    principal: str
    kind: str
    name: str
    operation: str


class KafkaAdmin:
    """Administration under a super user's credentials.

    Every method raises `KafkaUnavailable` when no node answers in time or the failure is passing, `NotFound` for an
    absent topic, `Forbidden` when these credentials may not do it, and `ConfigError` for what Kafka refuses otherwise.
    """

    def __init__(self, access: KafkaAccess, *, replication: int = 1, timeout_s: float = _TIMEOUT_S) -> None:
        # Level 0: its own lines would go to stderr, past our logging; failures reach the caller as errors anyway.
        self._client = AdminClient({**access.for_librdkafka(), "log_level": 0})
        self._replication = replication
        self._timeout_s = timeout_s
        self._patience = Patience(timeout_s)
        self._quotas = UserQuotas(access, timeout_s)

    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> list[str]:
        """Create the topics that do not exist yet; returns the names created.

        Raises `ConfigError` if one exists with another number of partitions: keys would change lane.
        """
        wanted = {spec.name: spec for spec in specs}
        if not wanted:
            return []
        durable = _DURABLE if self._replication > 1 else {}
        new = [
            NewTopic(spec.name, spec.partitions, self._replication, config={**durable, **spec.config})
            for spec in wanted.values()
        ]
        created = await self._patience.each(
            lambda: self._client.create_topics(new, request_timeout=self._timeout_s),
            tolerate=KafkaError.TOPIC_ALREADY_EXISTS,
        )
        counts: dict[str, int] = {}

        async def visible() -> bool:
            counts.update(await self._partition_counts())
            return wanted.keys() <= counts.keys()

        await self._patience.until(visible)
        if other := sorted(name for name, spec in wanted.items() if counts[name] != spec.partitions):
            raise ConfigError(f"these topics exist with another number of partitions: {', '.join(other)}")
        return sorted(created)

    async def delete_topics(self, names: Sequence[str]) -> None:
        """Delete topics; absent ones are fine."""
        if names:
            await self._patience.each(
                lambda: self._client.delete_topics(list(names), request_timeout=self._timeout_s),
                tolerate=KafkaError.UNKNOWN_TOPIC_OR_PART,
            )

    async def topics(self) -> frozenset[str]:
        """Names of all topics."""
        return frozenset(await self._partition_counts())

    async def topic_exists(self, name: str) -> bool:
        """Whether a topic of this name exists."""
        return name in await self._partition_counts()

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Next offset of every partition of `topic`, open transactions included."""
        partitions = (await self._partition_counts()).get(topic)
        if partitions is None:
            raise NotFound(f"no topic {topic}")
        latest = {TopicPartition(topic, number): OffsetSpec.latest() for number in range(partitions)}
        found = await self._patience.each(lambda: self._client.list_offsets(latest, request_timeout=self._timeout_s))
        return {target.partition: int(answer.offset) for target, answer in found.items()}

    async def held_partitions(self, group: str) -> frozenset[int]:
        """Partitions that members of a consumer group hold now; none for a group that is not there."""
        found = await self._patience.each(
            lambda: self._client.describe_consumer_groups([group], request_timeout=self._timeout_s)
        )
        assigned = (member.assignment.topic_partitions for member in found[group].members)
        return frozenset(target.partition for targets in assigned for target in targets)

    async def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        """Set configuration entries of a topic, leaving the others as they are."""
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
        ]
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
        await self._patience.each(
            lambda: self._client.incremental_alter_configs([resource], request_timeout=self._timeout_s)
        )

    async def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Drop every record of a partition below the offset `before` (-1: all of them)."""
        target = TopicPartition(topic, partition, before)
        await self._patience.each(lambda: self._client.delete_records([target], request_timeout=self._timeout_s))

    async def ensure_scram_user(self, name: str, password: str, iterations: int = _SCRAM_ITERATIONS) -> None:
        """Create a SCRAM-SHA-512 user, or replace the password of an existing one."""
        mechanism = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, iterations)
        upsert = UserScramCredentialUpsertion(name, mechanism, password.encode())
        await self._patience.each(
            lambda: self._client.alter_user_scram_credentials([upsert], request_timeout=self._timeout_s)
        )
        await self._patience.until(lambda: self._scram_user_exists(name))

    async def delete_scram_user(self, name: str) -> None:
        """Delete a SCRAM user, absent or not; no new connection of it is accepted (an open one lives on: remove its ACLs too)."""
        deletion = UserScramCredentialDeletion(name, ScramMechanism.SCRAM_SHA_512)
        await self._patience.each(
            lambda: self._client.alter_user_scram_credentials([deletion], request_timeout=self._timeout_s),
            tolerate=KafkaError.RESOURCE_NOT_FOUND,
        )
        await self._patience.until(lambda: self._scram_user_absent(name))

    async def allow_read_topic(self, principal: str, topic: str, group: str) -> None:
        """Let the user `principal` read `topic`, and use the consumer group `group`."""
        await self._grant(
            principal,
            (ResourceType.TOPIC, topic, AclOperation.READ),
            (ResourceType.TOPIC, topic, AclOperation.DESCRIBE),
            (ResourceType.GROUP, group, AclOperation.READ),
        )

    async def allow_write_topic(self, principal: str, topic: str, transactional_id: str | None = None) -> None:
        """Let the user `principal` write `topic`, in transactions of `transactional_id` if one is given."""
        await self._grant(
            principal,
            (ResourceType.TOPIC, topic, AclOperation.WRITE),
            (ResourceType.TOPIC, topic, AclOperation.DESCRIBE),
            *(
                (ResourceType.TRANSACTIONAL_ID, transactional_id, operation)
                for operation in (AclOperation.WRITE, AclOperation.DESCRIBE)
                if transactional_id
            ),
        )

    async def scram_users(self) -> frozenset[str]:
        """Names of all SCRAM users."""
        found = await self._patience.each(
            lambda: {None: self._client.describe_user_scram_credentials(request_timeout=self._timeout_s)}
        )
        return frozenset(found[None])

    async def limit_user(self, name: str, quota: Mapping[str, float]) -> None:
        """Give a user a quota of its own on every node, in place of any it had; an empty one removes it."""
        await self._quotas.limit(name, quota)

    async def limited_users(self) -> Mapping[str, Mapping[str, float]]:
        """Quotas by user, of those that have one of their own."""
        return await self._quotas.of_users()

    async def remove_access(self, principal: str | None, topic: str) -> None:
        """Remove every ACL of the user `principal` (None: of every user) on `topic`; groups and other topics stay."""
        await self._remove(_filter(ResourceType.TOPIC, topic, None if principal is None else f"User:{principal}"))

    async def remove_user_access(self, principal: str) -> None:
        """Remove every ACL of the user `principal`: its open connections are refused from the next request on."""
        await self._remove(_filter(ResourceType.ANY, None, f"User:{principal}"))

    async def grants(self, *, principal: str | None = None, topic: str | None = None) -> list[Grant]:
        """ACLs as they stand, of one principal or on one topic if given, sorted."""
        kind = ResourceType.ANY if topic is None else ResourceType.TOPIC
        bindings = await self._acls(_filter(kind, topic, None if principal is None else f"User:{principal}"))
        return sorted(_grant_of(binding) for binding in bindings)

    async def _grant(self, principal: str, *allowed: tuple[ResourceType, str, AclOperation]) -> None:
        bindings = [
            AclBinding(
                kind, name, ResourcePatternType.LITERAL, f"User:{principal}", "*", operation, AclPermissionType.ALLOW
            )
            for kind, name, operation in allowed
        ]
        await self._patience.each(lambda: self._client.create_acls(bindings, request_timeout=self._timeout_s))
        expected = {_grant_of(binding) for binding in bindings}

        async def effective() -> bool:
            return expected <= set(await self.grants(principal=principal))

        await self._patience.until(effective)

    async def _remove(self, wanted: AclBindingFilter) -> None:
        await self._patience.each(lambda: self._client.delete_acls([wanted], request_timeout=self._timeout_s))

        async def gone() -> bool:
            return not await self._acls(wanted)

        await self._patience.until(gone)

    async def _acls(self, wanted: AclBindingFilter) -> list[AclBinding]:
        found = await self._patience.each(
            lambda: {wanted: self._client.describe_acls(wanted, request_timeout=self._timeout_s)}
        )
        return list(found[wanted])

    async def _scram_user_exists(self, name: str) -> bool:
        try:
            await self._patience.each(
                lambda: self._client.describe_user_scram_credentials([name], request_timeout=self._timeout_s)
            )
        except NotFound:
            return False
        return True

    async def _scram_user_absent(self, name: str) -> bool:
        return not await self._scram_user_exists(name)

    async def _partition_counts(self) -> dict[str, int]:
        try:
            metadata = await asyncio.to_thread(self._client.list_topics, timeout=self._timeout_s)
        except KafkaException as error:
            raise translated(error.args[0]) from error
        return {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}


def _filter(kind: ResourceType, name: str | None, principal: str | None) -> AclBindingFilter:
    pattern = ResourcePatternType.ANY if name is None else ResourcePatternType.LITERAL
    return AclBindingFilter(kind, name, pattern, principal, None, AclOperation.ANY, AclPermissionType.ANY)


def _grant_of(binding: AclBinding) -> Grant:
    return Grant(
        binding.principal.removeprefix("User:"),
        binding.restype.name.lower(),
        binding.name,
        binding.operation.name.lower(),
    )
