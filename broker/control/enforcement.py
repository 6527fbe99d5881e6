"""What an agreement has on Kafka: its topic, its agency's right to read it, its keys, and the barriers that end them.

All exist before the fact that activates it. After the fact that stops it, barriers prove the end (design §8), the right
goes and the topic is emptied; after the fact that replaces it by a narrower version, the topic is emptied likewise.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from broker.control import keys
from broker.control.barriers import Barriers, First, Stopped
from broker.control.keys import KeyStore
from broker.model import topics, topology
from broker.model.agreement import Agreement, State, Transform
from broker.model.barrier import AMENDED
from broker.model.lifecycle import AgreementEntry
from broker.model.topology import TopicSpec

_GONE = frozenset({State.REVOKED, State.ENDED})


class Access(Protocol):
    """Delivery topics and rights on them; `broker.kafka.admin` behind it."""

    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> Any:
        """Create the topics that do not exist yet."""

    async def allow_read_topic(self, principal: str, topic: str, group: str) -> None:
        """Let a user read a topic, and use a consumer group."""

    async def remove_access(self, principal: str | None, topic: str) -> None:
        """Remove every right of a user (None: of every user) on a topic."""

    async def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        """Set configuration entries of a topic."""

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Next offset of every partition."""

    async def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Drop every record below an offset."""


@dataclass(slots=True)
class Enforcement:
    """Makes, stops and empties delivery topics; each method raises `KafkaUnavailable` and may be called again then."""

    kafka: Access
    keys: KeyStore
    barriers: Barriers
    logins: Callable[[str], Iterable[str]] = lambda agency: (agency,)
    """Kafka users of an agency, which all get its rights; who comes later gets them from `broker.control.logins`."""
    monotonic: Callable[[], float] = time.monotonic

    async def prepare(self, agreement: Agreement) -> None:
        """Keys, topic and right of an agreement that is to be activated; what is there already stays."""
        self.keys.ensure(keys.agreement_key(agreement.id))
        if any(released.transform is Transform.PSEUDONYM for released in agreement.fields):
            self.keys.ensure(keys.pseudonym_key(agreement.agency, agreement.purpose))
        topic = topics.delivery(agreement.agency, agreement.id)
        await self.kafka.ensure_topics([topology.delivery(agreement.agency, agreement.id, agreement.retention_days)])
        await self._allow(agreement.agency, topic)

    async def admit(self, entry: AgreementEntry) -> None:
        """Give the agency's users the right to read the topic that `withdraw` took."""
        await self._allow(entry.agency, _topic(entry))

    async def _allow(self, agency: str, topic: str) -> None:
        for login in self.logins(agency):
            await self.kafka.allow_read_topic(login, topic, topic)

    async def retain(self, agreement: Agreement) -> None:
        """Keep deliveries as long as this version says: its topic may be there with another's term."""
        spec = topology.delivery(agreement.agency, agreement.id, agreement.retention_days)
        await self.kafka.configure(spec.name, {"retention.ms": spec.config["retention.ms"]})

    async def end_of(self, entry: AgreementEntry) -> int:
        """Next offset of its delivery topic."""
        return (await self.kafka.end_offsets(_topic(entry)))[0]

    async def withdraw(self, entry: AgreementEntry) -> None:
        """Take away the right to read the topic, of every user that ever got it."""
        await self.kafka.remove_access(None, _topic(entry))

    async def stop(self, entry: AgreementEntry, *, since: int | None, began: float) -> Stopped:
        """Return once every lane's barrier of this stop is committed, at or after `since` (None: anywhere).

        One that is gone for good loses its right first, and its topic everything up to the barriers after.
        """
        if entry.state in _GONE:
            await self.withdraw(entry)
        stopped = await self.barriers.complete(_topic(entry), entry.state, entry.epoch, since=since, began=began)
        if entry.state in _GONE:
            await self.kafka.delete_records(_topic(entry), 0, stopped.last)
        return stopped

    async def switch(self, entry: AgreementEntry, *, since: int, began: float, narrowed: bool) -> Stopped:
        """Return once every lane delivers under this version, which replaced another at its present epoch.

        Where it is `narrowed`, everything that was delivered before goes; a record of the version itself never does.
        """
        topic = _topic(entry)
        switched = await self.barriers.complete(
            topic, AMENDED, entry.amended_epoch, since=since, began=began, version=entry.version
        )
        if narrowed:
            first = switched.last if switched.first_new is None else min(switched.first_new, switched.last)
            await self.kafka.delete_records(topic, 0, first)
        return switched

    async def start_of(self, entry: AgreementEntry) -> First | None:
        """Where its topic starts and what version was delivered first of what is in it; None where nothing is."""
        return await self.barriers.first_delivery(_topic(entry))


def _topic(entry: AgreementEntry) -> str:
    return topics.delivery(entry.agency, entry.id)
