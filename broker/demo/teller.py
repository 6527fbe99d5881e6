"""Reads one fictional person's story from the topics, and revokes one protocol of it when asked."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.control import keys
from broker.delivery.streams import Egress, Message
from broker.demo.cast import ELSEWHERE, Value
from broker.demo.changes import PRODUCT, SOURCE, Changes
from broker.demo.labels import moment
from broker.demo.logs import Decoder, Receipt, after_last_barrier, scan
from broker.demo.protocol import Protocol, protocol
from broker.demo.rules import PARKING, YOUTH, residents
from broker.demo.scenario import TOPIC, Scenario
from broker.demo.story import Card, Delivered, Event, Line, card, events, source_lines
from broker.errors import BrokerUnavailable, NotFound
from broker.model import keyed, topics
from broker.model.agreement import State
from broker.model.decision import Reason
from broker.model.lifecycle import AgreementEntry
from broker.policy import documents
from broker.policy.limits import limits_of

SEEN_BY = (residents(ELSEWHERE), PARKING, YOUTH)
"""The agreements of the three agencies whose view is shown."""

REVOCABLE = PARKING
_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Stop:
    """A revocation as the page shows it: when, how long it took if it was asked here, and what the log holds after it."""

    when: str
    took_ms: int | None
    barriers: int
    after: int
    withheld: int


@dataclass(frozen=True, slots=True)
class Story:
    """Everything on the status page."""

    name: str
    source: str
    lines: tuple[Line, ...]
    cards: tuple[Card, ...]
    events: tuple[Event, ...]
    revocable: str
    in_force: bool
    stop: Stop | None


@dataclass(slots=True)
class Teller:
    """Tells of the scenario's lead; every story is read anew. Each method raises `KafkaUnavailable` where it cannot."""

    scenario: Scenario
    monotonic: Any = time.monotonic
    _took_ms: int | None = None
    _revoking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def story(self) -> Story:
        """The person as source, agencies and receipts have them now."""
        state = self.scenario.stage.site.control.state
        value, receipts, delivered = await asyncio.gather(self._value(), self._receipts(), self._deliveries())
        limits, names = limits_of(state), self._names()
        lines = source_lines(value)
        agreements = {name: documents.agreement(entry.document) for name, entry in state.agreements.items()}
        cards = tuple(
            card(
                agreements[name],
                state.agreements[name].state,
                delivered[name],
                lines,
                ceiling=limits.effective(agreements[name]),
                purpose=limits.purposes.by_code[agreements[name].purpose],
                agency=names[agreements[name].agency],
            )
            for name in SEEN_BY
        )
        return Story(
            name=" ".join([value["naam"]["voornamen"][0], value["naam"]["achternaam"]]),
            source=names[SOURCE],
            lines=lines,
            cards=cards,
            events=events(receipts, agreements, limits.purposes.by_code, names),
            revocable=agreements[REVOCABLE].title,
            in_force=state.agreements[REVOCABLE].state is State.ACTIVE,
            stop=await self._stop(state.agreements[REVOCABLE], receipts),
        )

    async def protocol(self, identifier: str) -> Protocol:
        """One agreement's text; raises `NotFound`."""
        state = self.scenario.stage.site.control.state
        entry = state.agreements.get(identifier)
        if entry is None:
            raise NotFound("no such agreement")
        agreement = documents.agreement(entry.document)
        purposes = limits_of(state).purposes
        purpose = purposes.by_code[agreement.purpose]
        return protocol(agreement, entry.state, purpose, self._names(), entry.signatures)

    async def revoke(self) -> None:
        """Revoke the protocol, then put it to the test: one more change of the person is published and decided."""
        async with self._revoking:
            state, services = self.scenario.stage.site.control.state, self.scenario.stage.services
            if state.agreements[REVOCABLE].state is not State.ACTIVE:
                return
            stopped = await services.agreements.revoke(REVOCABLE, SOURCE)
            self._took_ms = round(stopped.duration_ms)
            value = self.scenario.cast.corrected(await self._value(), self.scenario.stated())
            await self.scenario.publish(Changes([value]))
            deadline = self.monotonic() + _LIMIT_S
            while not _withheld(await self._receipts(), state.agreements[REVOCABLE].version):
                if self.monotonic() > deadline:
                    raise BrokerUnavailable("the change after the revocation was not decided in time")

    async def _stop(self, entry: AgreementEntry, receipts: list[Receipt]) -> Stop | None:
        if entry.state is not State.REVOKED:
            return None
        messages = await scan(self.scenario.stage.site.clients, self.scenario.rules.topic(REVOCABLE))
        barriers, after = after_last_barrier(messages)
        withheld = _withheld(receipts, entry.version)
        return Stop(moment(entry.since.astimezone()), self._took_ms, barriers, after, withheld)

    async def _value(self) -> dict[str, Any]:
        """The person's last record at the source."""
        found = [message for message in await self._in_lane(TOPIC) if message.key == self._lane_key]
        if not found or found[-1].value is None:
            raise NotFound("the source holds no record of this person")
        return Decoder(self.scenario.stage.site.control.state).source((SOURCE, PRODUCT), found[-1].value)

    async def _receipts(self) -> list[Receipt]:
        decoder = Decoder(self.scenario.stage.site.control.state)
        own = keyed.subject_reference(self._key(keys.LEDGER), self._lane_key).hex().encode()
        return [
            decoder.receipt(message.value)
            for message in await self._in_lane(topics.RECEIPTS)
            if message.key == own and message.value
        ]

    async def _deliveries(self) -> dict[str, Delivered | None]:
        found = await asyncio.gather(*(self._delivered(name) for name in SEEN_BY))
        return dict(zip(SEEN_BY, found, strict=True))

    async def _delivered(self, name: str) -> Delivered | None:
        own = keyed.delivery_key(self._key(keys.agreement_key(name)), self._lane_key)
        messages = await scan(self.scenario.stage.site.clients, self.scenario.rules.topic(name))
        last = next((message for message in reversed(messages) if message.key == own), None)
        if last is None:
            return None
        schemas = self.scenario.stage.site.control.state.schemas
        return Delivered(last.text("ce_kind"), Egress().decode(last.value, schemas) if last.value else None)

    async def _in_lane(self, topic: str) -> list[Message]:
        site = self.scenario.stage.site
        return await scan(site.clients, topic, keyed.lane_of(self._lane_key, site.lanes))

    @property
    def _lane_key(self) -> bytes:
        lead: Value = self.scenario.cast.lead
        return keyed.lane_key(self._key(keys.LANE), lead["insz"].encode())

    def _key(self, name: str) -> bytes:
        return self.scenario.stage.site.keys.get(name)

    def _names(self) -> Mapping[str, str]:
        return {body.id: body.name for body in self.scenario.stage.site.control.state.organisations.values()}


def _withheld(receipts: list[Receipt], version: int) -> int:
    """Decisions that withheld something under the revoked version."""
    wanted = REVOCABLE, version, Reason.REVOKED
    leaves = (leaf for receipt in receipts for leaf in receipt.decisions)
    return sum((leaf.agreement, leaf.version, leaf.reason) == wanted for leaf in leaves)
