"""What if: a draft agreement over the real history of its product, decided and cut as a router would, and delivered to nobody.

Draft and version in force are both taken as if they had been in force all the while, at the instant each record was
appended: their own terms and states are left out, so that a draft for next year can be tried on last week. Only records
count, not what time or a registration alone would have told. Files and consents count from when they were registered.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from broker.control.history import History
from broker.control.keys import LANE, KeyStore
from broker.errors import Invalid, PoisonRecord
from broker.model import topics
from broker.model.agreement import Agreement, State, Term
from broker.model.control_state import ControlState
from broker.model.decision import Kind, Reason, Release
from broker.model.record import WIRE_HEADER_BYTES, wire_header
from broker.model.wall import SubjectWall
from broker.policy.calendar import belgian_day, milliseconds
from broker.policy.compiler import compile_engine
from broker.policy.engine import Engine, Previous
from broker.policy.limits import limits_of
from broker.policy.papers import NO_PAPERS, Papers
from broker.policy.standing import Standing
from broker.routing.door import door
from broker.routing.plans import TopicPlan
from broker.schema.avro import encode_literal, load_schema
from broker.schema.guard import Offsets, compile_select, compile_walk
from broker.schema.projection import Projection, compile_projection

_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_NO_KEY = bytes(32)
"""Pseudonyms are made for their length only: none leaves this module."""


@dataclass(slots=True)
class Tally:
    """What one agreement would have done: `released` counts all releases, `left` those without values; bytes are of values."""

    released: int = 0
    left: int = 0
    bytes: int = 0
    subjects: int = 0
    withheld: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Rehearsed:
    """The whole run; `gained` and `lost` subjects are those told of under one agreement and never under the other.

    `files` are those that a draft which asks for files finds under its id. `complete` is false where the time ran out: `read` of `total` offsets were covered, lane by lane.
    """

    draft: Tally
    current: Tally | None
    records: int = 0
    subjects: int = 0
    gained: int = 0
    lost: int = 0
    files: int | None = None
    read: int = 0
    total: int = 0
    complete: bool = False


@dataclass(slots=True)
class Rehearsals:
    """Runs drafts over history, one at a time."""

    history: History
    keys: KeyStore
    wall: SubjectWall
    monotonic: Callable[[], float] = time.monotonic
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(
        self, state: ControlState, draft: Agreement, current: Agreement | None, since: datetime, *, seconds: float
    ) -> AsyncGenerator[Rehearsed, None]:
        """The run as it grows: every value is the same one, further on; the last one is what came out.

        Records before `since` only tell what was known of their subjects. Raises `Invalid` for a draft that does not
        compile, and `KafkaUnavailable`.
        """
        async with self._turn:
            deadline = self.monotonic() + seconds
            scene = _Scene.of(state, draft, current, self.wall)
            done = Rehearsed(Tally(), None if current is None else Tally())
            if draft.population.dossiers:
                done.files = 0
            spans = [await self._span(scene, lane, since) for lane in range(self.history.lanes)]
            done.total = sum(end - first for first, _, end in spans)
            for lane, (first, start, _) in enumerate(spans):
                behind = sum(end - begin for begin, _, end in spans[:lane])
                async with aclosing(self._lane(scene, lane, start, done)) as reached:
                    async for offset in reached:
                        done.read = behind + offset - first
                        yield done
                        if self.monotonic() > deadline:
                            break
                if self.monotonic() > deadline:
                    break
            else:
                done.read, done.complete = done.total, True
            yield done

    async def _span(self, scene: "_Scene", lane: int, since: datetime) -> tuple[int, int, int]:
        """First offset, first one at or after `since`, and end of a lane."""
        async with self.history.partition(scene.door.topic, lane) as log:
            return log.first, await log.since(milliseconds(since)), log.end

    async def _lane(self, scene: "_Scene", lane: int, start: int, done: Rehearsed) -> AsyncGenerator[int, None]:
        """Run one lane into `done`; yields the offset reached."""
        held = await self.history.papers_at(lane, scene.asking) if scene.asking else None
        if held is not None and done.files is not None:
            done.files += held.dossiers.count
        actors, seen = [_Actor(side, tally) for side, tally in scene.sides(done)], set[bytes]()
        admit = door(scene.door, lanes=self.history.lanes, k_lane=self.keys.get(LANE))
        try:
            async with self.history.partition(scene.door.topic, lane) as log:
                async for records in log.records():
                    for record in records:
                        with suppress(PoisonRecord):
                            offsets = admit(record)
                            papers = NO_PAPERS if held is None else held.of(record.key)
                            counts = record.offset >= start
                            for actor in actors:
                                actor.take(record, offsets, papers, scene.door, counts=counts)
                            if counts:
                                done.records += 1
                                seen.add(record.key)
                    yield records[-1].offset + 1
        finally:  # also where the time ran out
            done.subjects += len(seen)
            _close(actors, done)


def _close(actors: Sequence["_Actor"], done: Rehearsed) -> None:
    """Count the subjects of a lane: no subject is in two."""
    for actor in actors:
        actor.tally.subjects += len(actor.told)
    if len(actors) > 1:
        draft, current = (actor.told for actor in actors)
        done.gained += len(draft - current)
        done.lost += len(current - draft)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two agreements, compiled."""

    engine: Engine
    select: Callable[[bytes, Offsets], tuple[bytes, ...]]
    projection: Projection


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a run needs beside history: the door of the product's topic, both sides, and under what ids papers count."""

    door: TopicPlan
    draft: _Side
    current: _Side | None
    asking: frozenset[str]

    @classmethod
    def of(cls, state: ControlState, draft: Agreement, current: Agreement | None, wall: SubjectWall) -> "_Scene":
        product = state.products.get((draft.source, draft.product))
        if product is None:
            raise Invalid(f"product: {draft.source} offers no {draft.product}")
        schema, limits = load_schema(state.schemas[product.schema_id].text), limits_of(state)
        walker = compile_walk(schema)

        def side(agreement: Agreement) -> _Side:
            always = replace(agreement, term=Term(_ALWAYS, None))
            standing = Standing(always, State.ACTIVE, _ALWAYS, above_ceiling=not limits.allow(agreement))
            engine = compile_engine([standing], schema, partial(encode_literal, schema))
            projection = compile_projection(schema, agreement.fields, pseudonym_key=_NO_KEY)
            return _Side(engine, compile_select(walker, engine.paths), projection)

        sides = side(draft), None if current is None else side(current)
        door = TopicPlan(
            topic=topics.source(product.source, product.id),
            product=f"{product.source}/{product.id}",
            quarantine=topics.quarantine(product.source, product.id),
            schema=schema,
            frame=wire_header(product.schema_id),
            walker=walker,
            engine=sides[0].engine,
            select=sides[0].select,
            outlets=(),
            wall=wall if schema.about_person else None,
        )
        agreements = (draft,) if current is None else (draft, current)
        return cls(
            door,
            *sides,
            frozenset(each.id for each in agreements if each.population.dossiers or each.population.consent),
        )

    def sides(self, done: Rehearsed) -> list[tuple[_Side, Tally]]:
        found = [(self.draft, done.draft)]
        if self.current is not None and done.current is not None:
            found.append((self.current, done.current))
        return found


@dataclass(slots=True)
class _Actor:
    """One side in one lane: what it knows of the subjects there, and whom it told."""

    side: _Side
    tally: Tally
    known: dict[bytes, Previous] = field(default_factory=dict)
    told: set[bytes] = field(default_factory=set)

    def take(self, record: Any, offsets: Offsets | None, papers: Papers, door: TopicPlan, *, counts: bool) -> None:
        """Decide one record at the instant it was appended; without `counts` only remember it."""
        key, value, at = record.key, record.value or b"", record.timestamp
        after = None if offsets is None else self.side.select(value, offsets)
        if counts:
            kind = Kind.ENDED if offsets is None else door.kind(value)
            batch, tally = self.side.engine.batch(at), self.tally
            for _, decision in batch.decide(self.known.get(key), after, kind, papers, at):
                if not isinstance(decision, Release):
                    tally.withheld[decision.reason.value] += 1
                    continue
                tally.released += 1
                self.told.add(key)
                if offsets is None or decision.kind is Kind.LEFT_POPULATION:
                    tally.left += 1
                else:
                    on = belgian_day(at).isoformat()
                    cut = self.side.projection.cut(value, offsets, on, decision.reference)
                    tally.bytes += WIRE_HEADER_BYTES + len(cut)
            counted = batch.counts()
            tally.withheld[Reason.OUTSIDE_POPULATION.value] += counted.outside
            tally.withheld[Reason.NO_DOSSIER.value] += sum(counted.no_dossier.values())
        if after is None:
            self.known.pop(key, None)
        else:
            self.known[key] = Previous(after, at)
