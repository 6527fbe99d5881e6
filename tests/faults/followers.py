"""An agency's readers of one agreement, one at each exit, which notice what comes after everything should be over.

`follow` opens all of them; `Followers.flowing` returns once a delivery came by each; after `over` whatever is about a subject
is late, and `gone` returns once every exit has ended as it must.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition

from broker.kafka.clients import KafkaClients
from broker.testing import wait_until
from tests.faults.oracle import is_barrier
from tests.integration.webhooks import receiver
from tests.stage import Stage

_LIFE_CYCLE = "life-cycle"
_PATIENCE_S = 0.5


@dataclass
class Exit:
    """What one exit gave: `late` is what came of subjects after everything was over."""

    name: str
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False
    late: list[str] = field(default_factory=list)

    def give(self, what: str) -> None:
        """A delivery came."""
        self.seen.set()
        if self.is_over:
            self.late.append(what)


@dataclass
class Followers:
    """All of them, of one agreement of one agency."""

    stage: Stage
    agreement: str
    http: httpx.AsyncClient
    webhook: receiver.Receiver
    exits: dict[str, Exit] = field(default_factory=lambda: {name: Exit(name) for name in ("kafka", "pull", "events")})
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _called: int = 0
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where its deliveries are read."""
        return f"/v1/deliveries/{self.agreement}"

    async def open(self) -> None:
        """Begin to follow, and have the webhook called."""
        answer = await self.http.put(
            f"/v1/agreements/{self.agreement}/webhook", json={"url": self.webhook.url, "start": "oldest"}
        )
        assert answer.status_code == 201, answer.text
        self.webhook.secret = answer.json()["secret"]
        for name, follow in (("kafka", self._kafka), ("pull", self._pull), ("events", self._events)):
            self._tasks[name] = asyncio.create_task(follow(self.exits[name]), name=f"follow-{name}")

    async def flowing(self) -> None:
        """Return once a delivery came by every exit."""
        seen = [asyncio.create_task(each.seen.wait()) for each in self.exits.values()]
        called = asyncio.create_task(wait_until(lambda: _deliveries(self.webhook), timeout=60))
        flowing = asyncio.gather(*seen, called)
        await asyncio.wait({flowing, *self._tasks.values()}, timeout=90, return_when=asyncio.FIRST_COMPLETED)
        self._raise()
        assert flowing.done(), (
            f"nothing came by {[name for name, each in self.exits.items() if not each.seen.is_set()]}"
        )
        flowing.result()

    def over(self) -> None:
        """From here on nothing about a subject may come."""
        for each in self.exits.values():
            each.is_over = True
        self._called = len(self.webhook.calls)
        self._over.set()

    async def gone(self) -> None:
        """Return once every exit has ended: events closed, Kafka refused, the pull and the webhook told of the revocation."""
        await asyncio.wait_for(asyncio.gather(*self._tasks.values()), 60)
        await wait_until(lambda: any(map(_revokes, self.webhook.calls)), timeout=60)

    @property
    def late(self) -> dict[str, list[str]]:
        """Deliveries that came too late, by exit."""
        found = {name: each.late for name, each in self.exits.items()}
        found["webhook"] = [call["id"] for call in self.webhook.calls[self._called :] if not _is_life_cycle(call)]
        return {name: late for name, late in found.items() if late}

    async def close(self) -> None:
        """Give up whatever still follows."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _raise(self) -> None:
        for task in self._tasks.values():
            if task.done():
                task.result()

    async def _events(self, found: Exit) -> None:
        """As `EventSource` does: come back with the last id until there is nothing more to come back for."""
        last: dict[str, str] = {}
        while True:
            async with self.http.stream("GET", f"{self.path}/events", headers=last) as events:
                if events.status_code == httpx.codes.NO_CONTENT:
                    return
                assert events.status_code in {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE}
                kind = ""
                async for line in events.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "id":
                        last = {"Last-Event-ID": value}
                    elif name == "event":
                        kind = value
                    elif name == "data" and kind == "delivery":
                        found.give(json.loads(value)["id"])
            await asyncio.sleep(_PATIENCE_S)

    async def _pull(self, found: Exit) -> None:
        """Poll until a request that was made after everything was over is answered, too."""
        after: dict[str, str] = {}
        told = False
        while not told:
            told = self._over.is_set()
            answer = await self.http.get(self.path, params={"wait": "1", **after})
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # a busy machine: it lost sight of its log
                told = False
                await asyncio.sleep(_PATIENCE_S)
                continue
            assert answer.is_success, answer.text
            page = answer.json()
            for item in page["items"]:
                if item["kind"] != _LIFE_CYCLE:
                    found.give(item["id"])
            after = {"after": page["next"]} if page["next"] else after

    async def _kafka(self, found: Exit) -> None:
        """Read until Kafka refuses. What the client had fetched before is dropped: from then on only Kafka's answers count."""
        credential = self.stage.stack.home.credential_of(self.stage.standing(self.agreement).agreement.agency)
        access = self.stage.stack.site.access.as_user(credential.kafka_username, credential.kafka_password)
        consumer: Any = KafkaClients(access).consumer()
        target = TopicPartition(self.stage.delivery_topic(self.agreement), 0)
        await consumer.start()
        try:
            consumer.assign([target])
            consumer.seek(target, (await consumer.beginning_offsets([target]))[target])
            again = False
            while True:
                if self._over.is_set() and not again:
                    consumer.seek(target, 0)
                    again = True
                for message in (await consumer.getmany(target, timeout_ms=200)).get(target, ()):
                    if not is_barrier(message):
                        found.give(f"offset {message.offset}")
        except TopicAuthorizationFailedError:
            return
        finally:
            await consumer.stop()


@asynccontextmanager
async def follow(stage: Stage, agreement: str) -> AsyncIterator[Followers]:
    """Followers at every exit until the block ends; a process that sends webhooks must run, and may call 127.0.0.1."""
    token = stage.stack.home.credential_of(stage.standing(agreement).agreement.agency).token
    headers = {"Authorization": f"Bearer {token}"}
    async with AsyncExitStack() as held:
        http = httpx.AsyncClient(base_url=stage.stack.connection.api, headers=headers, trust_env=False, timeout=60)
        made = Followers(
            stage,
            agreement,
            await held.enter_async_context(http),
            await held.enter_async_context(receiver.listening()),
        )
        held.push_async_callback(made.close)
        await made.open()
        yield made


def _deliveries(webhook: receiver.Receiver) -> list[dict[str, Any]]:
    return [call for call in webhook.calls if not _is_life_cycle(call)]


def _revokes(call: dict[str, Any]) -> bool:
    return _is_life_cycle(call) and call["reason"] == "REVOKED"


def _is_life_cycle(call: dict[str, Any]) -> bool:
    return bool(call["kind"] == _LIFE_CYCLE)
