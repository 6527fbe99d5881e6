"""Time travel: a past decision made again by the specification, with the policy, the record and the papers of then.

The control log is replayed up to the receipt's epoch, so that agreements, ceilings and schema are those of then. The
record, the one before it, files and consents are read where they lay, as long as they are kept; what is no longer there is
said, and then only the policy is checked: that the version was the one in force, and its hash.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import Any, Protocol

from broker.control.history import History, PapersThen
from broker.errors import PoisonRecord
from broker.model import topics
from broker.model.control_state import ControlState
from broker.model.decision import RECORD_KINDS, Decision, Kind, Reason, Release
from broker.model.lifecycle import AgreementEntry
from broker.model.record import WIRE_HEADER_BYTES, wire_header
from broker.model.registered import Product
from broker.policy import reference
from broker.policy.calendar import instant_of, milliseconds
from broker.policy.limit_documents import ceiling_document
from broker.policy.limits import Limits, limits_of, own_ceiling
from broker.policy.reference import Known, Values
from broker.policy.standing import Standing, amended_at, standing_of
from broker.schema.avro import Schema, load_schema
from broker.schema.guard import Walker, compile_walk
from broker.schema.reference import decode, value_at

_WITHOUT_RECORD = frozenset({topics.DOSSIERS, "timer"})
"""Topics in the coordinates of receipts on registrations, and on what time alone caused."""


class Leaf(Protocol):
    """One recorded decision."""

    @property
    def agreement(self) -> str:
        """Its agreement."""

    @property
    def version(self) -> int:
        """Version of the agreement."""

    @property
    def outcome(self) -> str:
        """`release` or `withhold`."""

    @property
    def kind(self) -> str:
        """Kind of the delivery, or of the record where it was withheld."""

    @property
    def reason(self) -> str | None:
        """Reason of a withhold."""


class Receipt(Protocol):
    """What a receipt says of where, when and by what knowledge was decided."""

    @property
    def topic(self) -> str:
        """Source topic of the record."""

    @property
    def lane(self) -> int:
        """Its partition, and the lane that decided."""

    @property
    def offset(self) -> int:
        """Its offset."""

    @property
    def epoch(self) -> int:
        """Last fact of the control log that was known."""

    @property
    def subjects_offset(self) -> int:
        """Up to where the papers of the lane's subjects were known."""

    @property
    def decided_at_ms(self) -> int:
        """Decision instant."""

    @property
    def decisions(self) -> Sequence[Leaf]:
        """Its leaves."""


class Check(StrEnum):
    """What came of one leaf: decided alike, otherwise, or only its policy could be checked."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    POLICY_ONLY = "policy-only"


@dataclass(frozen=True, slots=True)
class Redecided:
    """One leaf again. `recorded` and `decided` are (outcome, kind, reason), None for no receipted decision.

    `policy_sha256` is of the agreement's document, the ceilings of its purposes and the schema of then; None where that
    version was not in force. `same_today`: all of these are still the same.
    """

    agreement: str
    version: int
    check: Check
    why: str
    recorded: "Said | None"
    decided: "Said | None"
    policy_sha256: str | None
    same_today: bool


Said = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True)
class _Then:
    """What was known of one record."""

    after: Values | None
    kind: Kind
    before: Known | None
    key: bytes
    appended_ms: int


async def redecide(history: History, receipt: Receipt, today: ControlState) -> tuple[Redecided, ...]:
    """Every leaf of the receipt again, and agreements of then that have no leaf but owed one, in order of agreement.

    Raises `NotFound` where the control log does not reach the receipt's epoch, and `KafkaUnavailable`.
    """
    state = await history.state_at(receipt.epoch)
    if receipt.topic in _WITHOUT_RECORD:
        why = "made on a timer" if receipt.topic == "timer" else "made on a registration"
        return tuple(_policy_only(state, today, leaf, f"{why}, not on a record") for leaf in _leaves(receipt))
    product = next((each for each in state.products.values() if _topic(each) == receipt.topic), None)
    record = await history.record_at(receipt.topic, receipt.lane, receipt.offset)
    if product is None or record is None:
        why = "the record is no longer there"
        return tuple(_policy_only(state, today, leaf, why) for leaf in _leaves(receipt))
    entries = [entry for entry in state.agreements.values() if entry.activated_at and _is_on(entry, product)]
    schema = load_schema(state.schemas[product.schema_id].text)
    reader = _Reader(wire_header(product.schema_id), schema, compile_walk(schema))
    previous = await history.record_before(receipt.topic, receipt.lane, receipt.offset, record.key, reader.admits)
    papers = await history.papers_at(receipt.lane, {entry.id for entry in entries}, receipt.subjects_offset)
    then = reader.then(record, previous)
    leaves = {leaf.agreement: leaf for leaf in receipt.decisions}
    limits = limits_of(state)
    found = []
    cases = {
        entry.id: _Case(entry, state.versions_of(entry.id), limits, then, papers, receipt, entry.id in state.replays)
        for entry in sorted(entries, key=lambda each: each.id)
    }
    again = all(identifier in cases and cases[identifier].read_again(leaf) for identifier, leaf in leaves.items())
    for identifier, case in cases.items():
        leaf = leaves.pop(identifier, None)
        if leaf is None and again:  # for those that have a leaf, not for this one
            continue
        decided = _again(case, leaf, state, today)
        found += [decided] if decided is not None else []
    found += [_policy_only(state, today, leaf, "") for leaf in leaves.values()]
    return tuple(found)


def policy_sha256(state: ControlState, entry: AgreementEntry) -> str:
    """Hash of what an agreement's decisions depend on beside records and papers: document, ceilings by lineage, schema.

    SHA-256 over canonical JSON (sorted keys, no white space, UTF-8), as hex.
    """
    document = entry.document
    limits = limits_of(state)
    known = document["purpose"] in limits.purposes.by_code
    lineage = limits.purposes.lineage(document["purpose"]) if known else ()
    ceilings = [
        (purpose.code, own_ceiling(limits.ceilings, document["source"], document["product"], purpose.code))
        for purpose in lineage
    ]
    product = state.products.get((document["source"], document["product"]))
    held = {
        "agreement": document,
        "ceilings": [[code, None if ceiling is None else ceiling_document(ceiling)] for code, ceiling in ceilings],
        "schema": None if product is None else state.schemas[product.schema_id].text,
    }
    canonical = json.dumps(held, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads records of one product as they were admitted."""

    frame: bytes
    schema: Schema
    walker: Walker

    def admits(self, record: Any) -> bool:
        """Whether routers took the record for one: what they quarantined is no predecessor."""
        if record.value is None:
            return True
        if record.value[:WIRE_HEADER_BYTES] != self.frame:
            return False
        try:
            self.walker.walk(record.value)
        except PoisonRecord:
            return False
        return True

    def then(self, record: Any, previous: Any | None) -> _Then:
        after, before = self._values(record), None if previous is None else self._values(previous)
        known = None if before is None or previous is None else Known(before, instant_of(previous.timestamp))
        kind = Kind.ENDED if record.value is None else RECORD_KINDS[record.value[WIRE_HEADER_BYTES] >> 1]
        return _Then(after, kind, known, record.key, record.timestamp)

    def _values(self, record: Any) -> Values | None:
        if record.value is None:
            return None
        value = decode(self.schema.text, record.value[WIRE_HEADER_BYTES:])
        single = (path for path, leaf in self.schema.fields.items() if not leaf.repeated)
        return {path: _text(value_at(value, path)) for path in single}


def _text(value: Any) -> str | None:
    """A value as constraints name it; None for what none can name."""
    match value:
        case bool():
            return "true" if value else "false"
        case date():
            return value.isoformat()
        case str() | int():
            return str(value)
    return None


@dataclass(frozen=True, slots=True)
class _Case:
    """One agreement of then, and one record."""

    entry: AgreementEntry
    versions: Mapping[int, AgreementEntry]
    limits: Limits
    then: _Then
    papers: PapersThen
    receipt: Receipt
    replayed: bool
    """Whether the agreement had asked for a replay by then."""

    def read_again(self, leaf: Leaf) -> bool:
        """Whether the leaf may be of a record that was read again."""
        return self._introduced or (self.replayed and leaf.kind == Kind.INITIAL)

    @property
    def _introduced(self) -> bool:
        """Whether the agreement came into force between the record and the receipt, and may have been told of it then."""
        since = max(at for at in (self.entry.activated_at, amended_at(self.entry)) if at is not None)
        return self.then.appended_ms < milliseconds(since) <= self.receipt.decided_at_ms

    def decisions(self) -> Iterator[Decision | Reason]:
        """What may have been decided: by when the previous record can have been decided, which its log does not tell."""
        standing = standing_of(self.entry, self.versions, self.limits.allow)
        now, papers = self.receipt.decided_at_ms, self.papers.of(self.then.key)
        for at in self._instants(standing, now):
            before = self.then.before and Known(self.then.before.values, instant_of(at))
            yield reference.decide(
                standing,
                before,
                self.then.after,
                kind=self.then.kind,
                now=instant_of(now),
                dossiers=papers.dossiers,
                consents=papers.consents,
                appended=instant_of(min(self.then.appended_ms, now)),
            )
        if self.then.after is None:
            return
        told, appended = reference.Papers(papers.dossiers, papers.consents), instant_of(self.then.appended_ms)
        if self._introduced:
            known = Known(self.then.after, appended)
            decision = reference.introduce(standing, known, papers=told, now=instant_of(now), appended=appended)
            yield from () if decision is None else (decision,)
        if self.replayed:
            yield reference.repeat(standing, self.then.after, papers=told, now=instant_of(now), appended=appended)

    def _instants(self, standing: Standing, now: int) -> list[int]:
        before, term = self.then.before, standing.agreement.term
        if before is None:
            return [now]
        first = milliseconds(before.at)
        turns = (term.start, term.end, standing.activated_at, *(former.until for former in standing.formers))
        between = [milliseconds(turn) for turn in turns if turn is not None]
        return [first, *(turn for turn in between if first < turn < now), max(first, now)]

    def unsure(self, leaf: Leaf | None) -> str | None:
        """Why a difference proves nothing; None where all that was known then is still there."""
        population = self.entry.document.get("population", {})
        if population.get("dossiers") or population.get("consent"):
            held = self.papers.of(self.then.key)
            agreements = [file.agreement for file in held.dossiers] + [each.agreement for each in held.consents]
            if self.then.key in self.papers.changed or self.entry.id not in agreements:
                return "the papers of then are no longer there"
        if self.then.before is None and leaf is not None and leaf.kind != Kind.INITIAL:
            return "the record before it is no longer there"
        return None


def _again(case: _Case, leaf: Leaf | None, state: ControlState, today: ControlState) -> Redecided | None:
    """One agreement again; None where it owed no receipt and has none."""
    if leaf is not None and leaf.version != case.entry.version:
        return _policy_only(state, today, leaf, "")
    recorded = None if leaf is None else (leaf.outcome, leaf.kind, leaf.reason)
    possible = [_said(decision, case.then.kind) for decision in case.decisions()]
    if recorded in possible:
        if leaf is None:
            return None
        return _redecided(state, today, case.entry, Check.IDENTICAL, "", recorded, recorded)
    unsure = case.unsure(leaf)
    check, why = (Check.DIFFERENT, "decided otherwise") if unsure is None else (Check.POLICY_ONLY, unsure)
    return _redecided(state, today, case.entry, check, why, recorded, possible[0] if unsure is None else None)


def _policy_only(state: ControlState, today: ControlState, leaf: Leaf, why: str) -> Redecided:
    """A leaf of which only the policy is checked: whether its version was the one in force."""
    recorded = leaf.outcome, leaf.kind, leaf.reason
    entry = state.agreements.get(leaf.agreement)
    if entry is None or entry.version != leaf.version or entry.activated_at is None:
        text = "this version was not in force at the receipt's epoch"
        return Redecided(leaf.agreement, leaf.version, Check.DIFFERENT, text, recorded, None, None, same_today=False)
    return _redecided(state, today, entry, Check.POLICY_ONLY, why, recorded, None)


def _redecided(
    state: ControlState,
    today: ControlState,
    entry: AgreementEntry,
    check: Check,
    why: str,
    recorded: Said | None,
    decided: Said | None,
) -> Redecided:
    then = policy_sha256(state, entry)
    now = today.agreements.get(entry.id)
    same = now is not None and now.version == entry.version and policy_sha256(today, now) == then
    return Redecided(entry.id, entry.version, check, why, recorded, decided, then, same_today=same)


def _said(decision: Decision | Reason, kind: Kind) -> Said | None:
    """A decision as a leaf says it; None where no receipt is owed."""
    if isinstance(decision, Reason):
        return None
    if isinstance(decision, Release):
        return "release", decision.kind.value, None
    return "withhold", kind.value, decision.reason.value


def _leaves(receipt: Receipt) -> list[Leaf]:
    return sorted(receipt.decisions, key=lambda leaf: leaf.agreement)


def _topic(product: Product) -> str:
    return topics.source(product.source, product.id)


def _is_on(entry: AgreementEntry, product: Product) -> bool:
    return bool(entry.document["source"] == product.source and entry.document["product"] == product.id)
