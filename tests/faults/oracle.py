"""What must have come out, worked out from the source records alone, and what did: the two are equal after any fault.

It shares no code path with the router: fastavro decodes, `policy.reference` decides, `schema.reference` projects, and a
reader of its own with read_committed reads back. What it holds:

    no loss         every release that the reference expects is delivered, with exactly its bytes
    no duplicate    every delivery id occurs once, and every record has one receipt at most
    order           per subject, deliveries have the order of the source
    nothing torn    receipts = deliveries + receipted withholds; committed positions are at the head
    no poison       every planted poison record is in quarantine once, and nothing else is
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiokafka.structs import ConsumerRecord

from broker.control import keys
from broker.model import keyed, topics
from broker.model.agreement import Transform
from broker.model.barrier import BARRIER_TYPE
from broker.model.decision import Kind, Release, Withhold
from broker.model.record import WIRE_HEADER_BYTES, header, wire_header
from broker.policy import reference
from broker.policy.calendar import belgian_day, instant_of
from broker.policy.reference import Known
from broker.policy.standing import Standing
from broker.schema.avro import Schema
from broker.schema.reference import decode, project, value_at
from tests.stage import ROOT, Stage

Coordinates = tuple[int, int]
_RECEIPT = (ROOT / "schemas" / "receipt.v1.avsc").read_text()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery as its reader sees it; `value` is framed bytes."""

    id: str
    key: bytes
    kind: str
    value: bytes | None


@dataclass(slots=True)
class Outcome:
    """Deliveries by agreement and subject key, in order, and receipted withholds by agreement and reason."""

    deliveries: dict[str, dict[bytes, list[Delivery]]] = field(default_factory=lambda: defaultdict(dict))
    withheld: Counter[tuple[str, str]] = field(default_factory=Counter)

    def deliver(self, agreement: str, delivery: Delivery) -> None:
        """Add the next delivery of its subject."""
        self.deliveries[agreement].setdefault(delivery.key, []).append(delivery)

    def all(self, agreement: str) -> list[Delivery]:
        """All of one agreement's."""
        return [delivery for own in self.deliveries[agreement].values() for delivery in own]


@dataclass(frozen=True, slots=True)
class Oracle:
    """Watches some agreements on one source topic from a moment at which no router has anything left to do."""

    stage: Stage
    topic: str
    agreements: tuple[str, ...]
    since: Mapping[str, Mapping[int, int]]

    @classmethod
    async def watching(cls, stage: Stage, source: str, product: str, *agreements: str) -> "Oracle":
        """From now on; what was written before is others' business, also to be told of people who were there before."""
        topic = topics.source(source, product)
        if not (await stage.is_drained(topic) and await stage.has_told(topic)):
            async with stage.router():
                await stage.drained(topic)
                await stage.told(topic)
        watched = (topic, topics.RECEIPTS, topics.quarantine(source, product), *map(stage.delivery_topic, agreements))
        return cls(stage, topic, agreements, {name: await stage.ends(name) for name in watched})

    async def check(
        self, poison: Collection[Coordinates] = (), *, gone: Collection[str] = (), within: float = 60
    ) -> str:
        """Raise `AssertionError` unless everything is as it must be; returns the figures.

        `poison` are the (lane, offset) of planted poison records. Agreements in `gone` were stopped meanwhile: for them
        only duplicates, order and the receipts of their deliveries are held.
        """
        await self.stage.drained(self.topic, within=within)
        source = await self.stage.read(self.topic, self.since[self.topic])
        expected, found = self.expected(source, poison), await self.found()
        await self._check_receipts(found, gone)
        await self._check_quarantine(poison)
        for agreement in self.agreements:
            ids = [delivery.id for delivery in found.all(agreement)]
            assert len(ids) == len(set(ids)), f"{agreement}: {len(ids) - len(set(ids))} duplicates of {len(ids)}"
            if agreement not in gone:
                _same(agreement, expected, found)
                own = {reason: n for (name, reason), n in expected.withheld.items() if name == agreement}
                assert own == {reason: n for (name, reason), n in found.withheld.items() if name == agreement}
        delivered = sum(len(found.all(agreement)) for agreement in self.agreements)
        return f"{len(source)} records, {delivered} deliveries, {found.withheld.total()} withheld"

    def expected(self, source: Sequence[ConsumerRecord], poison: Collection[Coordinates] = ()) -> Outcome:
        """What the reference says of these records."""
        wanted, schema = Outcome(), self._schema()
        held = [self._held(agreement, schema) for agreement in self.agreements]
        known: dict[bytes, Known] = {}
        for record in source:
            if (record.partition, record.offset) in poison:
                continue
            value = record.value and decode(schema.text, record.value[WIRE_HEADER_BYTES:])
            at = instant_of(record.timestamp)
            for agreement in held:
                agreement.decide(record, known.get(record.key), value, at, wanted)
            if value is None:
                known.pop(record.key, None)
            else:
                known[record.key] = Known(_Leaves(value), at)
        return wanted

    async def found(self) -> Outcome:
        """What any reader finds; withholds by the receipts."""
        seen = Outcome()
        for agreement in self.agreements:
            topic = self.stage.delivery_topic(agreement)
            for message in await self.stage.read(topic, self.since[topic]):
                if not is_barrier(message):
                    identifier, kind = (header(message.headers, name) or b"" for name in ("ce_id", "ce_kind"))
                    seen.deliver(agreement, Delivery(identifier.decode(), message.key, kind.decode(), message.value))
        for receipt in await self._receipts():
            for leaf in receipt["decisions"]:
                if leaf["outcome"] == "withhold":
                    seen.withheld[leaf["agreement"], leaf["reason"]] += 1
        return seen

    async def _check_receipts(self, found: Outcome, gone: Collection[str]) -> None:
        receipts = await self._receipts()
        places = Counter((receipt["lane"], receipt["offset"]) for receipt in receipts)
        assert set(places.values()) <= {1}, f"records with several receipts: {sum(n > 1 for n in places.values())}"
        released: dict[str, list[str]] = defaultdict(list)
        for receipt in receipts:
            for leaf in receipt["decisions"]:
                if leaf["outcome"] == "release":
                    released[leaf["agreement"]].append(leaf["delivery"].hex())
        for agreement in self.agreements:
            delivered = {delivery.id for delivery in found.all(agreement)}
            if agreement in gone:  # its topic is emptied up to the barrier
                assert delivered <= set(released[agreement])
            else:
                assert sorted(released[agreement]) == sorted(delivered), f"{agreement}: receipts are not deliveries"

    async def _check_quarantine(self, poison: Collection[Coordinates]) -> None:
        topic = self.topic.replace("source.", "quarantine.", 1)
        notes = [json.loads(note.value) for note in await self.stage.read(topic, self.since[topic])]
        assert sorted((note["partition"], note["offset"]) for note in notes) == sorted(poison)

    async def _receipts(self) -> list[Mapping[str, Any]]:
        """Receipts about the watched records."""
        raw = await self.stage.read(topics.RECEIPTS, self.since[topics.RECEIPTS])
        decoded = (decode(_RECEIPT, message.value[WIRE_HEADER_BYTES:]) for message in raw)
        return [receipt for receipt in decoded if receipt["topic"] == self.topic]

    def _schema(self) -> Schema:
        _, organisation, product = self.topic.split(".", 2)
        return self.stage.schema(organisation, product)

    def _held(self, agreement: str, schema: Schema) -> "_Held":
        state, store = self.stage.stack.site.control.state, self.stage.stack.site.keys
        standing, entry = self.stage.standing(agreement), state.agreements[agreement]
        named = standing.agreement
        epoch = state.pseudonym_epoch(named.agency, named.purpose)
        pseudonymous = any(released.transform is Transform.PSEUDONYM for released in named.fields)
        return _Held(
            standing=standing,
            schema=schema,
            egress_id=entry.egress_schema_id or 0,
            egress=state.schemas[entry.egress_schema_id or 0].text,
            key=store.get(keys.agreement_key(agreement)),
            pseudonym=store.get(keys.pseudonym_key(named.agency, named.purpose, epoch)) if pseudonymous else b"",
        )


@dataclass(frozen=True, slots=True)
class _Held:
    """One agreement with all that its deliveries are made from."""

    standing: Standing
    schema: Schema
    egress_id: int
    egress: str
    key: bytes
    pseudonym: bytes

    def decide(self, record: ConsumerRecord, before: Known | None, value: Any, at: datetime, outcome: Outcome) -> None:
        agreement, now = self.standing.agreement, max(at, datetime.now(UTC))
        kind = Kind.ENDED if value is None else Kind(value["kind"])
        after = None if value is None else _Leaves(value)
        decision = reference.decide(self.standing, before, after, kind=kind, now=now, dossiers=())
        if isinstance(decision, Withhold):
            outcome.withheld[agreement.id, decision.reason.value] += 1
        elif isinstance(decision, Release):
            identifier = keyed.delivery_id(self.key, record.topic, record.partition, record.offset).hex()
            key = keyed.delivery_key(self.key, record.key)
            content = None if decision.kind is Kind.LEFT_POPULATION else self._content(record, now)
            outcome.deliver(agreement.id, Delivery(identifier, key, decision.kind.value, content))

    def _content(self, record: ConsumerRecord, now: datetime) -> bytes:
        return wire_header(self.egress_id) + project(
            self.schema,
            self.egress,
            self.standing.agreement.fields,
            record.value[WIRE_HEADER_BYTES:],
            on=belgian_day(int(now.timestamp() * 1000)).isoformat(),
            reference=None,
            pseudonym_key=self.pseudonym,
        )


class _Leaves(dict[str, str | None]):
    """Leaf values of a decoded record by path, looked up when asked for."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__()
        self._record = record

    def get(self, path: str, default: str | None = None) -> str | None:
        """The value, as the reference compares it."""
        found = value_at(self._record, path)
        return default if found is None else str(found)


def is_barrier(message: ConsumerRecord) -> bool:
    """Whether it is a life-cycle line rather than a delivery."""
    return header(message.headers, "ce_type") == BARRIER_TYPE.encode()


def _same(agreement: str, expected: Outcome, found: Outcome) -> None:
    """Set first, then order and bytes: a short message, because a whole difference helps nobody."""
    wanted, got = ({delivery.id: delivery for delivery in side.all(agreement)} for side in (expected, found))
    differ = f"{len(wanted.keys() - got.keys())} missing, {len(got.keys() - wanted.keys())} not expected"
    assert wanted.keys() == got.keys(), f"{agreement}: {differ}"
    for identifier, delivery in wanted.items():
        assert got[identifier] == delivery, f"{agreement}: delivery {identifier} is another than expected"
    for key, own in expected.deliveries[agreement].items():
        assert [line.id for line in found.deliveries[agreement][key]] == [line.id for line in own], "order"
