"""How an administrative request is waited for, repeated while that can help, and refused in our own errors."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from broker.errors import BrokerError, ConfigError, Forbidden, KafkaUnavailable, NotFound

_PAUSE_S = 0.01

# What Kafka answers while a leader or a coordinator is being elected or loads; all our requests may be repeated.
PASSING = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
_ABSENT = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.RESOURCE_NOT_FOUND})
_DENIED = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - librdkafka's public code for a refused login
    }
)


@dataclass(frozen=True, slots=True)
class Patience:
    """Waits at most `timeout_s` seconds for what Kafka should do."""

    timeout_s: float

    async def each(
        self, request: Callable[[], Mapping[Any, "Future[Any]"]], tolerate: int | None = None
    ) -> dict[Any, Any]:
        """Answers of one request by key, leaving out what failed with the tolerated code; repeated while that can help."""
        done: dict[Any, Any] = {}
        deadline = time.monotonic() + self.timeout_s
        while True:
            passing: KafkaError | None = None
            for key, future in request().items():
                try:
                    done[key] = await _settled(future)
                except KafkaException as error:
                    cause: KafkaError = error.args[0]
                    if cause.code() in PASSING:
                        passing = cause
                    elif cause.code() != tolerate:
                        raise translated(cause) from error
            if passing is None:
                return done
            if time.monotonic() > deadline:
                raise translated(passing)
            await asyncio.sleep(_PAUSE_S)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Return once `holds` does; raise `KafkaUnavailable` when it does not in time."""
        deadline = time.monotonic() + self.timeout_s
        while not await holds():
            if time.monotonic() > deadline:
                raise KafkaUnavailable("Kafka accepted a change, but did not apply it in time")
            await asyncio.sleep(_PAUSE_S)


async def _settled(future: "Future[Any]") -> Any:
    # Shielded: the library's thread fails when it completes a future that our cancellation has cancelled.
    return await asyncio.shield(asyncio.wrap_future(future))


def translated(error: KafkaError) -> BrokerError:
    """Our error for Kafka's; only its stable name is kept, as its text may quote what was sent."""
    name = error.name()
    if error.code() in _ABSENT:
        return NotFound("Kafka knows no such topic or user", operator=name)
    if error.code() in _DENIED:
        return Forbidden("Kafka refuses this to our credentials", operator=name)
    if error.code() in PASSING or error.code() < 0 or error.code() == KafkaError.REQUEST_TIMED_OUT:
        return KafkaUnavailable("Kafka did not complete an administrative request", operator=name)
    return ConfigError(f"Kafka refused an administrative request ({name})", operator=name)
