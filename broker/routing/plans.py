"""Everything about a source topic that does not depend on the record, compiled once per policy epoch (design §7)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from broker.control.keys import KeyStore, agreement_key, pseudonym_key
from broker.errors import NotYetKnown
from broker.model import topics
from broker.model.agreement import Agreement, State, Transform
from broker.model.control_state import ControlState
from broker.model.decision import RECORD_KINDS, Kind
from broker.model.lifecycle import AgreementEntry
from broker.model.purpose import Purposes
from broker.model.record import wire_header
from broker.model.registered import Product
from broker.model.wall import SubjectWall
from broker.policy.calendar import milliseconds
from broker.policy.compiler import Compiled, compiled
from broker.policy.engine import Engine
from broker.policy.limits import Limits, limits_of, watched_paths
from broker.policy.standing import Standing, standing_of
from broker.routing.outlet import Outlet
from broker.schema.avro import Schema, encode_literal, load_schema
from broker.schema.guard import Offsets, Walker, compile_select, compile_walk
from broker.schema.identity import follow_chain
from broker.schema.leaf_values import text_of
from broker.schema.projection import compile_projection

_KIND_AT = 5
"""`kind` is the first field of every product schema: one byte, the zig-zag of its enum index, right after the frame."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """How one source topic is guarded, matched, cut and delivered; `outlets[i]` belongs to the engine's plan `i`."""

    topic: str
    product: str
    """"<source>/<product>"."""
    quarantine: str
    schema: Schema
    frame: bytes
    walker: Walker
    engine: Engine
    select: Callable[[bytes, Offsets], tuple[bytes, ...]]
    outlets: tuple[Outlet, ...]
    wall: SubjectWall | None
    principal: Callable[[bytes, Offsets], bytes] = field(init=False, repr=False, compare=False)
    """UTF-8 text of the subject's identifier in a walked value."""
    _indexes: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "principal", _principal(self.schema, self.walker))
        indexes = {outlet.agreement: index for index, outlet in enumerate(self.outlets)}
        object.__setattr__(self, "_indexes", indexes)

    def index_of(self, agreement: str) -> int | None:
        """Where an agreement stands among the plans and outlets; None where it is not on this topic."""
        return self._indexes.get(agreement)

    def walk(self, value: bytes) -> Offsets:
        """Cut points of a framed value; raises `PoisonRecord`."""
        return self.walker.walk(value)

    @staticmethod
    def kind(value: bytes) -> Kind:
        """Kind that a walked value states."""
        return RECORD_KINDS[value[_KIND_AT] >> 1]


def _outputs(plans: Iterable[TopicPlan]) -> Iterator[str]:
    yield topics.RECEIPTS
    for plan in plans:
        yield plan.quarantine
        yield from (outlet.topic for outlet in plan.outlets)


def _principal(schema: Schema, walker: Walker) -> Callable[[bytes, Offsets], bytes]:
    start, end = walker.span(schema.principal)
    text = text_of(schema.fields[schema.principal])

    def principal(value: bytes, offsets: Offsets) -> bytes:
        return text(value[offsets[start] : offsets[end]]) or b""

    return principal


@dataclass(frozen=True, slots=True)
class _Inputs:
    """All that a topic's plan is made of. Compared object by object first, so that thousands of agreements cost little."""

    product: Product
    halted: bool
    limits: Limits
    pseudonym_epochs: Mapping[tuple[str, str], int]
    entries: Sequence[AgreementEntry]


@dataclass(frozen=True, slots=True)
class _Made:
    """A topic's plan, its engine with what the next one takes over, and what both were made of."""

    inputs: _Inputs
    compiled: Compiled
    plan: TopicPlan


@dataclass(slots=True)
class Plans:
    """Compiles and keeps the plans of a process; all its lanes share them.

    A product without a change keeps its plan; in one that changes, what is compiled anew is the agreements that did.
    """

    keys: KeyStore
    wall: SubjectWall
    activated_ms: int = 0
    """The latest activation that these plans know."""
    outputs: frozenset[str] = frozenset()
    """All topics that a lane writes to under these plans; the same object for as long as they are the same."""
    _epoch: int = -1
    _plans: Mapping[str, TopicPlan] = field(default_factory=dict)
    _made: Mapping[tuple[str, str], _Made] = field(default_factory=dict)
    _limits: tuple[Sequence[Any], Mapping[Any, Any], Limits] = ((), {}, Limits(Purposes({}), {}))
    _schemas: dict[int, tuple[Schema, Walker]] = field(default_factory=dict)
    _outlets: dict[tuple[str, int, int], Outlet] = field(default_factory=dict)
    _standings: dict[str, tuple[AgreementEntry, Limits, bool, Standing]] = field(default_factory=dict)

    def at(self, state: ControlState) -> Mapping[str, TopicPlan]:
        """Plans by source topic for the state's policy epoch; raises `NotYetKnown` while a key has not arrived."""
        if state.policy_epoch != self._epoch:
            self._made = self._remade(state)
            self._plans = {made.plan.topic: made.plan for made in self._made.values()}
            self._epoch = state.policy_epoch
            outputs = frozenset(_outputs(self._plans.values()))
            self.outputs = self.outputs if outputs == self.outputs else outputs
            activations = (entry.activated_at for entry in state.agreements.values() if entry.activated_at is not None)
            latest = max(activations, default=None)
            self.activated_ms = 0 if latest is None else milliseconds(latest)
        return self._plans

    def of(self, entry: AgreementEntry, state: ControlState) -> TopicPlan:
        """Plan of one agreement alone, as the state has it now."""
        name = entry.document["source"], entry.document["product"]
        return self._make(self._inputs(name, [entry], state), state, None).plan

    def _remade(self, state: ControlState) -> Mapping[tuple[str, str], _Made]:
        entries: dict[tuple[str, str], list[AgreementEntry]] = {}
        for entry in state.agreements.values():
            if entry.activated_at is not None:
                entries.setdefault((entry.document["source"], entry.document["product"]), []).append(entry)
        found = {}
        for name in state.products:
            inputs, known = self._inputs(name, entries.get(name, []), state), self._made.get(name)
            found[name] = known if known and known.inputs == inputs else self._make(inputs, state, known)
        return found

    def _inputs(self, name: tuple[str, str], entries: Sequence[AgreementEntry], state: ControlState) -> _Inputs:
        halted = name in state.announcements.halted
        return _Inputs(state.products[name], halted, self._limits_of(state), dict(state.pseudonym_epochs), entries)

    def _limits_of(self, state: ControlState) -> Limits:
        """The same object for as long as its documents are the same: comparing with it costs nothing."""
        purposes, ceilings, limits = self._limits
        if (state.purposes, state.ceilings) != (purposes, ceilings):
            limits = limits_of(state)
            self._limits = state.purposes, dict(state.ceilings), limits
        return limits

    def _make(self, inputs: _Inputs, state: ControlState, former: _Made | None) -> _Made:
        product, limits = inputs.product, inputs.limits
        schema, walker = self._schema(product.schema_id, state)
        standings = [self._standing(entry, state, limits, halted=inputs.halted) for entry in inputs.entries]
        # With all that an agreement may be about, so that no activation has lanes read their past again for a new path.
        watched = watched_paths(limits.ceilings, product.source, product.id)
        single = [path for path in watched if path in schema.fields and not schema.fields[path].repeated]
        encode, known = partial(encode_literal, schema), former.compiled if former else None
        made = compiled(standings, schema, encode, paths=single, former=known)
        outlets = {
            standing.agreement.id: self._outlet(standing.agreement, entry, schema, inputs.pseudonym_epochs)
            for standing, entry in zip(standings, inputs.entries, strict=True)
        }
        plan = TopicPlan(
            topic=topics.source(product.source, product.id),
            product=f"{product.source}/{product.id}",
            quarantine=topics.quarantine(product.source, product.id),
            schema=schema,
            frame=wire_header(product.schema_id),
            walker=walker,
            engine=made.engine,
            select=compile_select(walker, made.engine.paths),
            outlets=tuple(outlets[plan.agreement.id] for plan in made.engine.plans),
            wall=self.wall if schema.about_person else None,
        )
        return _Made(inputs, made, plan)

    def _standing(self, entry: AgreementEntry, state: ControlState, limits: Limits, *, halted: bool) -> Standing:
        """Read again only where the entry or the limits are others: of hundreds, one activation changes one.

        Reading all of them at each of 570 activations would hold the process up for longer than it may be stale (R6).
        """
        known = self._standings.get(entry.id)
        if known is None or known[0] is not entry or known[1] is not limits or known[2] is not halted:
            standing = standing_of(entry, state.versions_of(entry.id), limits.allow)
            if halted and standing.state is State.ACTIVE:
                standing = replace(standing, state=State.SUSPENDED)
            known = entry, limits, halted, standing
            self._standings[entry.id] = known
        return known[3]

    def _schema(self, identifier: int, state: ControlState) -> tuple[Schema, Walker]:
        if identifier not in self._schemas:
            schema = load_schema(state.schemas[identifier].text)
            self._schemas[identifier] = schema, compile_walk(schema)
        return self._schemas[identifier]

    def _outlet(
        self, agreement: Agreement, entry: AgreementEntry, schema: Schema, epochs: Mapping[tuple[str, str], int]
    ) -> Outlet:
        epoch = epochs.get((agreement.agency, agreement.purpose), 1)
        known = self._outlets.get((entry.id, entry.version, epoch))
        if known is not None:
            return known
        if entry.egress_schema_id is None:
            raise NotYetKnown(f"agreement {entry.id} has no egress schema")
        pseudonyms = any(released.transform is Transform.PSEUDONYM for released in agreement.fields)
        key_name = pseudonym_key(agreement.agency, agreement.purpose, epoch)
        k_pseudonym = self.keys.get(key_name) if pseudonyms else None
        projection = compile_projection(schema, agreement.fields, pseudonym_key=k_pseudonym)
        own = [
            released.name
            for released in agreement.fields
            if released.transform is Transform.PSEUDONYM and released.path == schema.principal and released.name
        ]
        outlet = Outlet(
            agreement=entry.id,
            version=entry.version,
            topic=topics.delivery(agreement.agency, entry.id),
            product=agreement.product,
            key=self.keys.get(agreement_key(entry.id)),
            frame=wire_header(entry.egress_schema_id),
            projection=projection,
            pseudonym_epoch=epoch if pseudonyms else None,
            pseudonym_key=k_pseudonym,
            follow=follow_chain(projection.egress, own, k_pseudonym) if own and k_pseudonym else None,
        )
        self._outlets[entry.id, entry.version, epoch] = outlet
        return outlet
