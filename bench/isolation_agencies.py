"""The agencies of the isolation measurement: how each takes its deliveries, and what three of them do wrong."""

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from aiokafka.structs import TopicPartition

from broker.cli.datadir import LocalCredential
from broker.kafka.clients import KafkaClients
from broker.model import topics
from broker.model.notice import NoticeReason
from broker.model.record import header

EXITS = ("kafka",) * 8 + ("pull",) * 6 + ("events",) * 3 + ("webhook",) * 3
"""How each agency reads, by number."""

REPEATING, HASTY, SLOW, HANGING = 12, 13, 16, 19
WATCHED = frozenset(range(len(EXITS))) - {REPEATING, HASTY, SLOW, HANGING}
"""Whose deliveries are timed, in every phase: the others of whom nothing is wrong in any."""

_FLOODERS, _PAGE = 64, 1000
_SMALL_BUFFER = 4096
_BACK_OFF_S = 0.2
_ENDS = NoticeReason.REPLAY_ENDS.value.encode()


@dataclass(slots=True)
class Seen:
    """Deliveries that are awaited, by delivery id, and how long others took, by (phase, exit).

    `refused`: answers that were none, by phase, agency and status; `at_the_end`: agencies that pull and have read all there was.
    """

    started: dict[str, tuple[float, str, str]] = field(default_factory=dict)
    taken: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    at_the_end: set[int] = field(default_factory=set)
    now: str = ""
    _early: dict[str, float] = field(default_factory=dict)

    def acknowledged(self, identifier: str, by_exit: str) -> None:
        """The source has it; who has it already was as quick."""
        at = time.perf_counter()
        if (had := self._early.pop(identifier, None)) is not None:
            self._took(self.now, by_exit, had - at)
        else:
            self.started[identifier] = at, self.now, by_exit

    def arrived(self, identifier: str) -> None:
        """The agency has it; what is not awaited (older, or a repetition) counts for nothing."""
        at = time.perf_counter()
        if (awaited := self.started.pop(identifier, None)) is not None:
            self._took(awaited[1], awaited[2], at - awaited[0])
        else:
            self._early[identifier] = at

    def _took(self, phase: str, by_exit: str, seconds: float) -> None:
        if phase:
            self.taken.setdefault((phase, by_exit), []).append(max(0.0, seconds))


@dataclass(frozen=True, slots=True)
class Agency:
    """One of them, its stream, and how it is let in."""

    number: int
    credential: LocalCredential
    api: str
    client: httpx.AsyncClient

    @property
    def agreement(self) -> str:
        """The only one it has."""
        return f"meting-{self.number}"

    @property
    def topic(self) -> str:
        """Its stream on Kafka."""
        return topics.delivery(self.credential.organisation, self.agreement)

    @property
    def bearer(self) -> dict[str, str]:
        """Its header."""
        return {"Authorization": f"Bearer {self.credential.token}"}

    async def kafka(self, clients: KafkaClients, seen: Seen) -> None:
        """Read the end of the stream with the agency's own login, for ever."""
        target = TopicPartition(self.topic, 0)
        async with self._as_itself(clients).consumer() as consumer:
            consumer.assign([target])
            await consumer.seek_to_end(target)
            while True:
                for records in (await consumer.getmany(timeout_ms=1000, max_records=500)).values():
                    for record in records:
                        seen.arrived((header(record.headers, "ce_id") or b"").decode())

    async def pull(self, seen: Seen) -> None:
        """Ask for the next page as soon as there is one, for ever."""
        following = f"/v1/deliveries/{self.agreement}?limit={_PAGE}&wait=20"
        while True:
            answer = await self.client.get(self.api + following, headers=self.bearer)
            if answer.status_code != httpx.codes.OK:
                await self._refused(seen, answer.status_code)
                continue
            items = answer.json()["items"]
            if self.number in WATCHED:
                for item in items:
                    seen.arrived(item["id"])
            if len(items) < _PAGE:
                seen.at_the_end.add(self.number)
            following = answer.links["next"]["url"]

    async def events(self, seen: Seen) -> None:
        """Keep one stream open, for ever."""
        last: dict[str, str] = {}
        url = f"{self.api}/v1/deliveries/{self.agreement}/events"
        while True:
            with suppress(httpx.TransportError):
                async with self.client.stream("GET", url, headers=self.bearer | last) as answer:
                    async for line in answer.aiter_lines():
                        name, _, value = line.partition(": ")
                        if name == "id":
                            last = {"Last-Event-ID": value}
                        elif name == "data":
                            seen.arrived(json.loads(value)["id"])
            await self._refused(seen, answer.status_code)

    async def webhook(self, receivers: "Receivers") -> None:
        """Have deliveries sent from now on."""
        body = {"url": f"http://127.0.0.1:{receivers.port}/{self.number}", "start": "now"}
        url = f"{self.api}/v1/agreements/{self.agreement}/webhook"
        (await self.client.put(url, json=body, headers=self.bearer)).raise_for_status()

    async def flood(self, answers: Counter[int]) -> None:
        """Ask without a pause over several connections, until cancelled."""
        dear, cheap = f"/v1/deliveries/{self.agreement}", f"/v1/agreements/{self.agreement}"
        await asyncio.gather(*(self._ask_and_ask((dear, cheap)[each % 2], answers) for each in range(_FLOODERS)))

    async def crawl(self) -> None:
        """Take one byte a second of the events, until cancelled."""
        at, loop = urlsplit(self.api), asyncio.get_running_loop()
        while True:
            with socket.socket() as line, suppress(ConnectionError):
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
                line.setblocking(False)  # noqa: FBT003 - as the library has it
                await loop.sock_connect(line, (at.hostname, at.port))
                await loop.sock_sendall(line, self._request(f"/v1/deliveries/{self.agreement}/events"))
                while await loop.sock_recv(line, 1):  # noqa: ASYNC110 - the pace is the point
                    await asyncio.sleep(1)

    async def everything_by_pull(self, lanes: int) -> tuple[int, float]:
        """Read the whole stream up to the end of a replay: how many items, and seconds."""
        following, items, ended, began = (
            f"/v1/deliveries/{self.agreement}?limit={_PAGE}&wait=20",
            0,
            0,
            time.perf_counter(),
        )
        lines = self.bearer | {"Accept": "application/x-ndjson"}
        while ended < lanes:
            answer = await self.client.get(self.api + following, headers=lines)
            if answer.status_code != httpx.codes.OK:
                await asyncio.sleep(_BACK_OFF_S)
                continue
            items += answer.content.count(b"\n")
            ended += answer.content.count(_ENDS)
            following = answer.links["next"]["url"]
        return items, time.perf_counter() - began

    async def everything_by_kafka(self, clients: KafkaClients, lanes: int) -> tuple[int, float]:
        """The same with its own login."""
        target, items, ended, began = TopicPartition(self.topic, 0), 0, 0, time.perf_counter()
        async with self._as_itself(clients).consumer() as consumer:
            consumer.assign([target])
            await consumer.seek_to_beginning(target)
            while ended < lanes:
                for record in (await consumer.getmany(target, timeout_ms=500, max_records=500)).get(target, ()):
                    items += 1
                    ended += header(record.headers, "ce_reason") == _ENDS
                await asyncio.sleep(0)
        return items, time.perf_counter() - began

    async def ask_for_a_replay(self) -> None:
        """All of it once more."""
        url = f"{self.api}/v1/agreements/{self.agreement}/replays"
        (await self.client.post(url, headers=self.bearer)).raise_for_status()

    def _as_itself(self, clients: KafkaClients) -> KafkaClients:
        held = self.credential
        return KafkaClients(clients.access.as_user(held.kafka_username, held.kafka_password))

    async def _refused(self, seen: Seen, status: int) -> None:
        seen.refused[f"{seen.now or 'between'}_{self.number}_{status}"] += 1
        await asyncio.sleep(_BACK_OFF_S)

    async def _ask_and_ask(self, path: str, answers: Counter[int]) -> None:
        at, request = urlsplit(self.api), self._request(path)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        try:
            while True:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                answers[int(head.split(b" ", 2)[1])] += 1
                await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        finally:
            writer.close()

    def _request(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: broker\r\nAuthorization: {self.bearer['Authorization']}\r\n\r\n".encode()


@dataclass(slots=True)
class Receivers:
    """Where webhooks go: one server, a path per agency; `hanging` ones read and never answer."""

    seen: Seen
    port: int = 0
    hanging: set[bytes] = field(default_factory=set)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receivers"]:
        """Until the end of the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length))
                if head.split(b" ", 2)[1] in self.hanging:
                    await reader.read()  # until the broker has had enough
                    break
                self.seen.arrived(json.loads(body)["id"])
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()
