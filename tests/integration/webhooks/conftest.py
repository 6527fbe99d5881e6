"""One installation for the folder; deliveries are written as a router would, and a worker runs in this process or as a child."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_one

from broker.cli.pushing import Send
from broker.cli.webhooks import send
from broker.delivery.push_subscriptions import Standing, Start
from broker.delivery.webhook_subscriptions import Webhooks
from broker.model.notice import NoticeReason, notice
from broker.model.record import traceparent, wire_header
from broker.model.webhook_book import Subscription
from tests.integration.webhooks.receiver import Receiver
from tests.stage import Stage, installation

ALLOWED = {"webhook_allow": "127.0.0.1", "webhook_timeout_s": 2}


@dataclass
class Agency:
    """An agency with one agreement of its own."""

    stage: Stage
    agreement: str

    @property
    def name(self) -> str:
        return self.stage.standing(self.agreement).agreement.agency

    @property
    def webhooks(self) -> Webhooks:
        assert self.stage.stack.services.webhooks is not None
        return self.stage.stack.services.webhooks

    async def subscribe(self, receiver: Receiver, start: Start = Start.OLDEST) -> None:
        """Register the receiver; it gets the secret."""
        _, secret = await self.webhooks.set(self.agreement, self.name, receiver.url, start=start)
        receiver.secret = secret or receiver.secret

    async def standing(self) -> Standing[Subscription]:
        return await self.webhooks.standing(self.agreement, self.name)

    async def suspended(self) -> str | None:
        return (await self.standing()).subscription.suspended

    async def deliver(self, number: int, version: int = 1) -> list[str]:
        """Write deliveries about fictional subjects in one transaction; returns their ids."""
        site = self.stage.stack.site
        schema_id = site.control.state.agreements[self.agreement].egress_schema_id or 0
        parsed = fastavro.parse_schema(json.loads(site.control.state.schemas[schema_id].text))
        ids = [secrets.token_hex(16) for _ in range(number)]
        producer = site.clients.transactional_producer(f"test-{secrets.token_hex(4)}")
        await producer.start()
        try:
            async with producer.transaction():
                for identifier in ids:
                    body = BytesIO()
                    fastavro.schemaless_writer(body, parsed, generate_one(parsed))
                    headers = [
                        ("ce_specversion", b"1.0"),
                        ("ce_type", b"be.vlaanderen.datanuts.persoon.v1"),
                        ("ce_kind", b"changed"),
                        ("ce_agreementversion", b"%d" % version),
                        ("ce_id", identifier.encode()),
                        ("ce_time", b"2026-11-26T12:00:00Z"),
                        ("traceparent", traceparent(bytes.fromhex(identifier), bytes.fromhex(identifier[:16]))),
                    ]
                    value = wire_header(schema_id) + body.getvalue()
                    await producer.send(
                        self.stage.delivery_topic(self.agreement), value, key=b"k", partition=0, headers=headers
                    )
        finally:
            await producer.stop()
        return ids

    async def notify(self, epoch: int, reason: NoticeReason, **said: str) -> None:
        """Write a notice as a lane would."""
        made = notice(self.stage.delivery_topic(self.agreement), 0, epoch, reason, **said)
        key, value, headers = made.row
        async with self.stage.stack.site.clients.producer() as producer:
            await producer.send_and_wait(made.topic, value, key=key, partition=0, headers=headers)

    async def empty(self) -> None:
        """Have everything expire that is in the topic now."""
        topic = self.stage.delivery_topic(self.agreement)
        await self.stage.stack.site.admin.delete_records(topic, 0, (await self.stage.ends(topic))[0])


@pytest.fixture(scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with installation(tmp_path_factory.mktemp("webhooks"), lanes=4, **ALLOWED) as made:
        yield made


@pytest.fixture
async def agency(stage: Stage) -> AsyncIterator[Agency]:
    async with agreed(stage, "inwoners-gent") as made:
        yield made


@pytest.fixture
async def other(stage: Stage) -> AsyncIterator[Agency]:
    async with agreed(stage, "inwoners-leuven") as made:
        yield made


@asynccontextmanager
async def agreed(stage: Stage, template: str) -> AsyncIterator[Agency]:
    """An agency whose webhook is removed behind it: other tests' workers have nothing to do with it."""
    made = Agency(stage, await stage.agreement(template))
    yield made
    if made.agreement in stage.stack.site.control.state.webhooks.live:
        await made.webhooks.remove(made.agreement, made.name)


@asynccontextmanager
async def sending(stage: Stage, work: Send = send, **settings: Any) -> AsyncIterator[None]:
    """A worker in this process until the block ends."""
    site = stage.stack.site
    here = replace(site, settings=site.settings.model_copy(update=settings))
    stop = asyncio.Event()
    working = asyncio.ensure_future(work(here, stop))
    try:
        yield
        assert not working.done(), "the worker ended by itself"
    finally:
        stop.set()
        await working
