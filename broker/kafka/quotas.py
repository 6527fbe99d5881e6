"""Quotas of Kafka users (KIP-546), which neither of our clients can set: two requests of Kafka's protocol, spelt out here.

AlterClientQuotas and DescribeClientQuotas, version 0, as in Kafka's `clients/src/main/resources/common/message`. Any node
takes them; it asks the controller itself.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.errors import KafkaError, SaslAuthenticationFailed
from aiokafka.protocol.admin import DescribeClientQuotasRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String
from confluent_kafka import KafkaError as LibrdkafkaError

from broker.errors import Forbidden, KafkaUnavailable
from broker.kafka.clients import KafkaAccess, connected
from broker.kafka.requests import Patience, translated

NAMES = ("consumer_byte_rate", "producer_byte_rate", "request_percentage")
"""What a user's quota can be on; what is not stated is unbounded."""

_USER = "user"
_EXACT, _SPECIFIED = 0, 2
"""How a component of DescribeClientQuotas matches: this name, or any name but the default."""

_ENTITY = Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))
_Ask = Callable[[Any], Awaitable[Any]]


class _AlterResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("entries", Array(("error_code", Int16), ("error_message", String("utf-8")), ("entity", _ENTITY))),
    )


class _AlterStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _AlterResponse
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", _ENTITY), ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean)))
            ),
        ),
        ("validate_only", Boolean),
    )


class _Alter(Request[_AlterStruct]):  # type: ignore[misc]
    API_KEY = 49

    def __init__(self, user: str, quota: Mapping[str, float]) -> None:
        self._entries = [([(_USER, user)], [(name, quota.get(name, 0.0), name not in quota) for name in NAMES])]

    def build(self, request_struct_class: type[_AlterStruct]) -> _AlterStruct:
        return request_struct_class(self._entries, False)  # noqa: FBT003 - the protocol's `validate_only`


class UserQuotas:
    """Quotas of the users of one Kafka; raises what `KafkaAdmin` does."""

    def __init__(self, access: KafkaAccess, timeout_s: float) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._patience = Patience(timeout_s)

    async def limit(self, user: str, quota: Mapping[str, float]) -> None:
        """Give a user this quota (see `NAMES`) in place of any it had; an empty one removes it."""
        async with self._node() as ask:
            self._checked(*((code for code, *_ in (await ask(_Alter(user, quota))).entries)))

            async def stands() -> bool:
                return (await self._found(ask, (_USER, _EXACT, user))).get(user, {}) == dict(quota)

            await self._patience.until(stands)

    async def of_users(self) -> dict[str, dict[str, float]]:
        """Quotas by user, of those that have one of their own."""
        async with self._node() as ask:
            return await self._found(ask, (_USER, _SPECIFIED, None))

    async def _found(self, ask: _Ask, component: tuple[str, int, str | None]) -> dict[str, dict[str, float]]:
        answer = await ask(DescribeClientQuotasRequest([component], True))  # noqa: FBT003 - the protocol's `strict`
        self._checked(answer.error_code)
        return {entity[0][1]: dict(values) for entity, values in answer.entries or ()}

    @staticmethod
    def _checked(*codes: int) -> None:
        for code in filter(None, codes):
            raise translated(LibrdkafkaError(code))

    @asynccontextmanager
    async def _node(self) -> AsyncIterator[_Ask]:
        """A connection of its own to a node that answers: these requests are rare."""
        try:
            connection = await connected(self._access, timeout_s=self._timeout_s)
            try:
                yield connection.send
            finally:
                connection.close()
        except SaslAuthenticationFailed as error:
            raise Forbidden("Kafka refuses this to our credentials", operator=type(error).__name__) from error
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaUnavailable("Kafka did not take a quota", operator=type(error).__name__) from error
