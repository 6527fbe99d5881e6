"""Kafka users beside the control log: what each may read, write and take, and their end when a credential expires or is revoked.

A credential that is a certificate has a user without a login: it is there as long as it has rights or a quota.
HTTP looks at a credential's instant itself, Kafka cannot: the keeper takes the user away at that instant. Any number of
processes may keep: every step can be taken again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Protocol

from broker.model import topics
from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.credentials import Credential
from broker.model.lifecycle import AgreementEntry
from broker.model.roles import PROCESSOR

_READ_IN = frozenset({State.PUBLISHED, State.ACTIVE, State.SUSPENDED})
"""States in which an agreement's topic exists and its agency may read it, unless the product is halted."""

Quota = Mapping[str, float]
"""What one user may take of each node, by Kafka's names: `consumer_byte_rate` (bytes/s), `request_percentage` (of one thread)."""

NO_QUOTA: Quota = MappingProxyType({})

_AGENCY = "agency"
_LONGEST_S = 60.0
_RETRY_S = 5.0


class Grant(Protocol):
    """One right that stands on Kafka."""

    @property
    def principal(self) -> str:
        """The user."""

    @property
    def kind(self) -> str:
        """What it is on: `topic`, or something else."""

    @property
    def name(self) -> str:
        """The topic's name."""


class Rights(Protocol):
    """Rights of Kafka users; `broker.kafka.admin` behind it."""

    async def grants(self) -> Sequence[Grant]:
        """Every right that stands."""

    async def scram_users(self) -> frozenset[str]:
        """Names of all users."""

    async def allow_read_topic(self, principal: str, topic: str, group: str) -> None:
        """Let a user read a topic, and use a consumer group."""

    async def allow_write_topic(self, principal: str, topic: str) -> None:
        """Let a user write a topic."""

    async def remove_access(self, principal: str | None, topic: str) -> None:
        """Remove every right of a user on a topic."""

    async def remove_user_access(self, principal: str) -> None:
        """Remove every right of a user."""

    async def delete_scram_user(self, name: str) -> None:
        """Delete a user, absent or not."""

    async def limit_user(self, name: str, quota: Quota) -> None:
        """Give a user a quota of its own, in place of any it had; an empty one removes it."""

    async def limited_users(self) -> Mapping[str, Quota]:
        """Quotas by user, of those that have one of their own."""


class Control(Protocol):
    """The replayed control log; `broker.control.log` behind it."""

    @property
    def state(self) -> ControlState:
        """Everything known up to the last fact applied."""

    async def read_to_head(self) -> int:
        """Apply all facts up to the log's present head."""

    async def wait_for_change(self, epoch: int, *, timeout: float) -> bool:  # noqa: ASYNC109 - a bound, not an error
        """Return once a fact after `epoch` is applied, or after `timeout` seconds."""


def streams_of(state: ControlState, credential: Credential, at: datetime) -> frozenset[str]:
    """Delivery topics that its Kafka user may read at `at`; each is the name of the one group it may use there, too."""
    holder = credential.organisation

    def reads(entry: AgreementEntry) -> bool:
        own = _AGENCY in credential.roles and entry.agency == holder
        return own or (PROCESSOR in credential.roles and state.mandates.allows(entry.agency, holder, entry.id, at))

    return frozenset(
        topics.delivery(entry.agency, entry.id)
        for entry in state.agreements.values()
        if entry.state in _READ_IN and not state.announcements.halts(entry) and reads(entry)
    )


def rights(state: ControlState, at: datetime) -> dict[str, frozenset[str]]:
    """Topics that every Kafka user may read at `at`, or write where it is a writer; one that is not in it may not exist."""
    found: dict[str, frozenset[str]] = {}
    for credential in state.credentials.values():
        if credential.kafka_user is not None and credential.holds(at):
            written = frozenset(filter(None, (credential.writes,)))
            found[credential.kafka_user] = written or streams_of(state, credential, at)
    return found


def users_of(state: ControlState, organisation: str, at: datetime) -> list[str]:
    """Kafka users of an agency."""
    held = (each for each in state.credentials.values() if each.organisation == organisation and each.holds(at))
    return sorted({each.kafka_user for each in held if each.kafka_user is not None and _AGENCY in each.roles})


def _processors(state: ControlState) -> frozenset[str]:
    """Kafka users that read for others."""
    held = (each for each in state.credentials.values() if PROCESSOR in each.roles)
    return frozenset(each.kafka_user for each in held if each.kafka_user is not None)


def _writers(state: ControlState) -> frozenset[str]:
    """Kafka users that write."""
    held = (each.kafka_user for each in state.credentials.values() if each.writes is not None)
    return frozenset(user for user in held if user is not None)


def _certificates(state: ControlState) -> frozenset[str]:
    """Kafka users that need no login: who shows the certificate is the user."""
    held = (each.kafka_user for each in state.credentials.values() if each.thumbprint is not None)
    return frozenset(user for user in held if user is not None)


async def remove(kafka: Rights, user: str) -> None:
    """Take a user away: first its rights, which its open connections lose at once, then its login, if it has one."""
    await kafka.remove_user_access(user)
    await kafka.delete_scram_user(user)
    await kafka.limit_user(user, NO_QUOTA)


@dataclass(slots=True)
class LoginKeeper:
    """Keeps Kafka's users as the log has them; `report` hears of what failed and is tried again."""

    control: Control
    kafka: Rights
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    report: Callable[[Exception], None] = lambda _error: None
    quota: Quota = field(default_factory=dict)
    """For users that have none yet; one that somebody set is left alone."""
    _kept: Mapping[str, frozenset[str]] | None = field(default=None)

    async def run(self) -> None:
        """Keep them until cancelled."""
        while True:
            epoch, pause = self.control.state.epoch, _RETRY_S
            try:
                await self.keep()
                pause = self._pause_s()
            except Exception as error:  # noqa: BLE001 - Kafka's trouble passes; the keeper must not stop for it
                self.report(error)
            await self.control.wait_for_change(epoch, timeout=pause)

    async def keep(self) -> None:
        """Remove users that no credential holds any more, and give the others what they miss; raises what Kafka does."""
        if rights(self.control.state, self.now()) == self._kept:
            return
        logins, limited = await self.kafka.scram_users(), await self.kafka.limited_users()
        granted = [each for each in await self.kafka.grants() if each.kind == "topic"]
        await self.control.read_to_head()  # a user's fact comes before the user: now it is known
        state, wanted = self.control.state, rights(self.control.state, self.now())
        ours = {each.kafka_user for each in (*state.credentials.values(), *state.revoked_credentials.values())}
        standing = logins | limited.keys() | {each.principal for each in granted}
        for user in sorted(standing - wanted.keys()):
            if user in ours or "~" in user:  # any other is not for us to take away
                await remove(self.kafka, user)
        given = {(each.principal, each.name) for each in granted if each.principal in wanted}
        there = (logins | _certificates(state)) & wanted.keys()
        for user in sorted(there):
            if self.quota and user not in limited:
                await self.kafka.limit_user(user, self.quota)
            for topic in sorted(wanted[user]):
                if (user, topic) not in given:
                    await self._allow(user, topic, writing=user in _writers(state))
        for user, topic in sorted(given):
            if user in _processors(state) and topic not in wanted.get(user, ()):  # its mandate is over
                await self.kafka.remove_access(user, topic)
        # Who is not there yet is being made by another process, which may not know of every stream: looked at again.
        self._kept = wanted if wanted.keys() <= there else None

    async def _allow(self, user: str, topic: str, *, writing: bool) -> None:
        if writing:
            await self.kafka.allow_write_topic(user, topic)
        else:
            await self.kafka.allow_read_topic(user, topic, topic)

    def _pause_s(self) -> float:
        now = self.now()
        state = self.control.state
        turns = [each.expires for each in state.credentials.values()]
        turns += [at for each in state.mandates.given.values() for at in (each.begin, each.end)]
        left = min(
            ((turn - now).total_seconds() for turn in turns if turn is not None and turn > now), default=_LONGEST_S
        )
        return min(left, _LONGEST_S)
