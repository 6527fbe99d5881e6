"""Everything about a source topic that does not depend on the record, compiled once per policy epoch (design §7)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from broker.control.keys import KeyStore, agreement_key, pseudonym_key
from broker.errors import NotYetKnown
from broker.model import topics
from broker.model.agreement import Agreement, State, Transform
from broker.model.control_state import ControlState
from broker.model.decision import RECORD_KINDS, Kind
from broker.model.lifecycle import AgreementEntry
from broker.model.record import wire_header
from broker.model.registered import Product
from broker.model.wall import SubjectWall
from broker.policy.calendar import milliseconds
from broker.policy.compiler import compile_engine
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


def _principal(schema: Schema, walker: Walker) -> Callable[[bytes, Offsets], bytes]:
    start, end = walker.span(schema.principal)
    text = text_of(schema.fields[schema.principal])

    def principal(value: bytes, offsets: Offsets) -> bytes:
        return text(value[offsets[start] : offsets[end]]) or b""

    return principal


@dataclass(slots=True)
class Plans:
    """Compiles and keeps the plans of a process; all its lanes share them."""

    keys: KeyStore
    wall: SubjectWall
    activated_ms: int = 0
    """The latest activation that these plans know."""
    _epoch: int = -1
    _plans: Mapping[str, TopicPlan] = field(default_factory=dict)
    _schemas: dict[int, tuple[Schema, Walker]] = field(default_factory=dict)
    _outlets: dict[tuple[str, int, int], Outlet] = field(default_factory=dict)
    _standings: dict[str, tuple[AgreementEntry, Limits, bool, Standing]] = field(default_factory=dict)

    def at(self, state: ControlState) -> Mapping[str, TopicPlan]:
        """Plans by source topic for the state's policy epoch; raises `NotYetKnown` while a key has not arrived."""
        if state.policy_epoch != self._epoch:
            self._plans = {plan.topic: plan for plan in map(self._plan_for(state), state.products.values())}
            self._epoch = state.policy_epoch
            activations = (entry.activated_at for entry in state.agreements.values() if entry.activated_at is not None)
            self.activated_ms = max(map(milliseconds, activations), default=0)
        return self._plans

    def of(self, entry: AgreementEntry, state: ControlState) -> TopicPlan:
        """Plan of one agreement alone, as the state has it now."""
        product = state.products[entry.document["source"], entry.document["product"]]
        return self._compile(product, [entry], state, limits_of(state))

    def _plan_for(self, state: ControlState) -> Callable[[Product], TopicPlan]:
        entries: dict[tuple[str, str], list[AgreementEntry]] = {}
        for entry in state.agreements.values():
            if entry.activated_at is not None:
                entries.setdefault((entry.document["source"], entry.document["product"]), []).append(entry)

        limits = limits_of(state)

        def plan(product: Product) -> TopicPlan:
            return self._compile(product, entries.get((product.source, product.id), []), state, limits)

        return plan

    def _compile(
        self, product: Product, entries: list[AgreementEntry], state: ControlState, limits: Limits
    ) -> TopicPlan:
        schema, walker = self._schema(product.schema_id, state)
        standings = [self._standing(entry, state, limits) for entry in entries]
        agreements = [standing.agreement for standing in standings]
        # With all that an agreement may be about, so that no activation has lanes read their past again for a new path.
        watched = watched_paths(limits.ceilings, product.source, product.id)
        single = [path for path in watched if path in schema.fields and not schema.fields[path].repeated]
        engine = compile_engine(standings, schema, partial(encode_literal, schema), paths=single)
        outlets = {
            entry.id: self._outlet(agreement, entry, schema, state.pseudonym_epoch(agreement.agency, agreement.purpose))
            for agreement, entry in zip(agreements, entries, strict=True)
        }
        return TopicPlan(
            topic=topics.source(product.source, product.id),
            product=f"{product.source}/{product.id}",
            quarantine=topics.quarantine(product.source, product.id),
            schema=schema,
            frame=wire_header(product.schema_id),
            walker=walker,
            engine=engine,
            select=compile_select(walker, engine.paths),
            outlets=tuple(outlets[plan.agreement.id] for plan in engine.plans),
            wall=self.wall if schema.about_person else None,
        )

    def _standing(self, entry: AgreementEntry, state: ControlState, limits: Limits) -> Standing:
        """Read again only where the entry or the limits are others: of hundreds, one activation changes one.

        Reading all of them at each of 570 activations would hold the process up for longer than it may be stale (R6).
        """
        halted = state.announcements.halts(entry) is not None
        known = self._standings.get(entry.id)
        if known is None or known[0] is not entry or known[1:3] != (limits, halted):
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

    def _outlet(self, agreement: Agreement, entry: AgreementEntry, schema: Schema, epoch: int) -> Outlet:
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
