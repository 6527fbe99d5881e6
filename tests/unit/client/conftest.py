"""A broker in memory behind httpx: one stream, faults on demand, and a clock that only waiting moves."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from broker.client import MemoryPositions, Patience, Subscription

AGREEMENT = "inwoners-gent"
TOKEN = "dn_c1_geheim"
Fault = Exception | httpx.Response


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": f"because {code}", "status": status}, headers=headers)


@dataclass
class Clock:
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@dataclass
class Broker:
    """`log` holds items, and None where an offset holds nothing to show."""

    log: list[dict[str, Any] | None] = field(default_factory=list)
    first: int = 0
    state: str = "active"
    epoch: int = 40
    faults: deque[Fault] = field(default_factory=deque)
    idle: Callable[[], None] | None = None
    waits: bool = True
    clock: Clock = field(default_factory=Clock)
    positions: MemoryPositions = field(default_factory=MemoryPositions)
    reads: list[str | None] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def deliver(self, *ids: str, marker: bool = False) -> None:
        for identifier in ids:
            self._append({"id": identifier, "kind": "changed", "data": {"naam": identifier, "huisnummer": None}})
        if marker:
            self.log.append(None)

    def leave(self, identifier: str) -> None:
        self._append({"id": identifier, "kind": "left-population", "data": None, "reason": "DELETED"})

    def barrier(self, reason: str, lane: int) -> None:
        self._append({"id": None, "kind": "life-cycle", "reason": reason, "epoch": self.epoch}, key=f"barrier/{lane}")

    def _append(self, item: dict[str, Any], key: str = "k1") -> None:
        envelope = {
            "type": "be.vlaanderen.datanuts.persoon.v1",
            "time": "2026-11-26T08:00:00Z",
            "key": key,
            "agreementVersion": 2,
            "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01",
            "cursor": str(len(self.log) + 1),
        }
        self.log.append(envelope | item)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    @property
    def patience(self) -> Patience:
        return Patience(sleep=self.clock.sleep, random=lambda: 0.0, clock=lambda: self.clock.now)

    def subscription(self, **given: Any) -> Subscription[Any]:
        usual = {"positions": self.positions, "transport": self.transport, "patience": self.patience, "page": 3}
        return Subscription(AGREEMENT, url="http://broker.test", token=TOKEN, **usual | given)

    async def read(self, **given: Any) -> list[Any]:
        """Everything there is, each item worked through."""
        async with self.subscription(**{"follow": False} | given) as deliveries:
            return [item async for item in deliveries]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.tokens.add(request.headers["authorization"])
        if request.url.path == f"/v1/agreements/{AGREEMENT}":
            return httpx.Response(200, json={"state": self.state, "epoch": self.epoch})
        assert request.url.path == f"/v1/deliveries/{AGREEMENT}"
        query = request.url.params
        self.reads.append(query.get("after"))
        if self.faults:
            fault = self.faults.popleft()
            if isinstance(fault, Exception):
                raise fault
            return fault
        stopped = self.state in {"revoked", "ended"}
        start = int(query.get("after", self.first))
        if start < self.first and not stopped:
            return problem(410, "POSITION_EXPIRED")
        start = max(start, self.first)
        if start >= len(self.log) and float(query["wait"]) and not stopped:
            if self.waits:
                self.clock.now += float(query["wait"])
            if self.idle:
                self.idle()
        rows = self.log[start:][: int(query["limit"])]
        shown = [row for row in rows if row and not (stopped and row["kind"] != "life-cycle")]
        return httpx.Response(200, json={"items": json.loads(json.dumps(shown)), "next": str(start + len(rows))})


@pytest.fixture
def broker() -> Broker:
    return Broker()
