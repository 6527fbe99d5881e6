"""The delivery topic as an exit: the agency's own Kafka user, committed records only, schemas from the broker's registry.

No consumer group is used: the position is the subscriber's, in the same cursors that the HTTP pull gives out.
"""

import asyncio
import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from io import BytesIO
from typing import Any

import fastavro
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    KafkaError,
    OffsetOutOfRangeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import ConsumerRecord, TopicPartition

from broker.client.api import Api
from broker.client.certificate import tls_refusal
from broker.client.delivery import LIFE_CYCLE, Item
from broker.client.exits import Kafka, Page
from broker.errors import (
    BrokerError,
    Conflict,
    Forbidden,
    Invalid,
    KafkaUnavailable,
    NotFound,
    NotYetKnown,
    PositionExpired,
    Unauthenticated,
)
from broker.model.cursor import cursor, position_of
from broker.model.notice import LIFE_CYCLE as LIFE_CYCLE_TYPES
from broker.model.record import WIRE_HEADER_BYTES, header, schema_id_of

_ANSWER_S = 15.0
_BEHIND_MS = 2000
_STOP_S = 5.0


class KafkaExit:
    """Reads one agreement's topic; `api` tells which topic that is, and the schemas."""

    def __init__(self, api: Api, agreement: str, kafka: Kafka) -> None:
        self._api = api
        self._agreement = agreement
        self._kafka = kafka
        self._consumer: Any = None
        self._target = TopicPartition("", 0)
        self._position: int | None = None
        self._schemas: dict[int, Any] = {}

    async def read(self, after: str | None, *, limit: int, wait_s: float) -> Page:
        """As `Exit.read`; a topic that Kafka does not show any more holds nothing to read."""
        try:
            async with asyncio.timeout(wait_s + _ANSWER_S):
                records = await self._records(after, limit, wait_s)
            items = [await self._item(record) for record in records]
            return Page(tuple(items), cursor(self._agreement, self._position or 0))
        except TopicAuthorizationFailedError:
            await self.close()
            return await self._not_shown(after)
        except (KafkaError, TimeoutError, OSError) as error:
            await self.close()
            refused = tls_refusal(error) or await self._refusal()
            if refused is not None:
                raise refused from None
            raise KafkaUnavailable("Kafka does not answer", operator=type(error).__name__, after_s=0) from None
        except BaseException:
            # The records are read, but were not handed over: the next read seeks them again.
            self._position = None
            raise

    async def close(self) -> None:
        """Stop the consumer; whatever comes of it, nothing of it is left."""
        consumer, self._consumer, self._position = self._consumer, None, None
        if consumer is None:
            return
        try:
            with suppress(KafkaError, TimeoutError, OSError):
                await asyncio.wait_for(consumer.stop(), _STOP_S)
        finally:
            # A stop that was cut short leaves its connections open; nothing public leads to them.
            await consumer._client.close()  # noqa: SLF001

    async def _records(self, after: str | None, limit: int, wait_s: float) -> list[ConsumerRecord]:
        await self._start()
        consumer, target = self._consumer, self._target
        wanted = None if after is None else position_of(self._agreement, after)
        if wanted is None or wanted != self._position:
            first: int = (await consumer.beginning_offsets([target]))[target]
            if wanted is not None and wanted < first:
                raise PositionExpired
            consumer.seek(target, first if wanted is None else wanted)
        try:
            polled = await consumer.getmany(target, timeout_ms=int(wait_s * 1000), max_records=limit)
        except OffsetOutOfRangeError:
            if await consumer.position(target) < (await consumer.beginning_offsets([target]))[target]:
                raise PositionExpired from None
            raise Invalid("this position was never reached: it is of another installation") from None
        if not polled and await consumer.position(target) < (await consumer.end_offsets([target]))[target]:
            # Nobody needs to wait for what is there already; a consumer's first fetch only takes longer.
            polled = await consumer.getmany(target, timeout_ms=_BEHIND_MS, max_records=limit)
        self._position = await consumer.position(target)
        return list(polled.get(target, ()))

    async def _start(self) -> None:
        if self._consumer is not None:
            return
        topic = (await self._api.get(f"/v1/agreements/{self._agreement}")).get("topic")
        if not topic:
            raise Conflict("the agreement is not active yet")
        self._target = TopicPartition(str(topic), 0)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap,
            **self._kafka.login(),
            client_id="datanuts-client",
            group_id=None,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
        )
        # Before it starts: only then it says so where the topic is not shown to this user.
        self._consumer.assign([self._target])
        await self._consumer.start()

    async def _not_shown(self, after: str | None) -> Page:
        """An agreement that is over ends quietly: its right to read went with it. Any other has a user without one."""
        told = await self._api.get(f"/v1/agreements/{self._agreement}")
        if told.get("state") in {"revoked", "ended"}:
            return Page((), after)
        raise Forbidden("Kafka does not let this user read the agreement's topic")

    async def _refusal(self) -> BrokerError | None:
        """What a node says where it is the login. One bare connection: the client itself hides why it failed."""
        host, port, _ = collect_hosts(self._kafka.bootstrap)[0]
        try:
            async with asyncio.timeout(_STOP_S):
                connection = await create_conn(
                    host, port, request_timeout_ms=int(_STOP_S * 1000), **self._kafka.login()
                )
        except SaslAuthenticationFailed:
            return Unauthenticated("Kafka refused the user or its password")
        except (KafkaError, TimeoutError, OSError) as error:
            return tls_refusal(error)
        connection.close()
        return None

    async def _item(self, record: ConsumerRecord) -> Item:
        """The record in the form of the HTTP interface."""

        def text(name: str) -> str | None:
            found = header(record.headers, name)
            return None if found is None else found.decode()

        shown: dict[str, Any] = {
            "id": text("ce_id"),
            "type": text("ce_type"),
            "kind": text("ce_kind"),
            "time": text("ce_time"),
            "key": (record.key or b"").decode(),
            "reason": text("ce_reason"),
            "cursor": cursor(self._agreement, record.offset + 1),
        }
        if shown["type"] in LIFE_CYCLE_TYPES:
            return shown | {"kind": LIFE_CYCLE, "epoch": int(text("ce_epoch") or -1), "text": text("ce_text")}
        epoch = text("ce_pseudonymepoch")
        return shown | {
            "agreementVersion": int(text("ce_agreementversion") or 0),
            "traceparent": text("traceparent") or "",
            "pseudonymEpoch": None if epoch is None else int(epoch),
            "data": None if record.value is None else await self._decoded(record.value),
        }

    async def _decoded(self, value: bytes) -> Any:
        identifier = schema_id_of(value)
        if identifier is None:
            raise Invalid("a delivery is not in the Confluent wire format")
        if identifier not in self._schemas:
            self._schemas[identifier] = fastavro.parse_schema(json.loads(await self._schema(identifier)))
        body = BytesIO(value)
        body.seek(WIRE_HEADER_BYTES)
        return _jsonable(fastavro.schemaless_reader(body, self._schemas[identifier], None))

    async def _schema(self, identifier: int) -> str:
        try:
            return str((await self._api.get(f"/schemas/ids/{identifier}"))["schema"])
        except NotFound:
            # Kafka may show a record before the registry, which follows the control log, knows its schema.
            raise NotYetKnown(f"the registry does not know schema {identifier} yet") from None


def _jsonable(value: Any) -> Any:
    """The value as JSON has it over HTTP."""
    match value:
        case Mapping():
            return {name: _jsonable(inner) for name, inner in value.items()}
        case list():
            return [_jsonable(inner) for inner in value]
        case bytes():
            return base64.b64encode(value).decode()
        case date() | datetime():
            return value.isoformat()
        case _:
            return value
