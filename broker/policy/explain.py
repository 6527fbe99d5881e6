"""Why a record is released or withheld under an agreement: the clauses of the specification, in its order, one by one.

The result is that of `broker.policy.reference.decide`; what is added is the outcome of every clause on the way, and which
of them settled the result. Nothing is changed or remembered, and nothing here repeats a value of the record: texts name
paths, and values that the agreement itself names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from broker.model.agreement import (
    Agreement,
    AllOf,
    AnyOf,
    Consent,
    Constraint,
    Dossier,
    Equals,
    Prefix,
    Range,
    ReleasedField,
    State,
    Transform,
)
from broker.model.decision import Decision, Departure, Kind, Reason, Release, Withhold
from broker.policy import reference
from broker.policy.compiler import leaves_of
from broker.policy.limits import Limits, own_ceiling
from broker.policy.reference import Known, Papers, Values
from broker.policy.standing import Standing

_MOST_SHOWN = 5


class Outcome(StrEnum):
    """What became of a clause; `not-asked`: the agreement does not have it."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_ASKED = "not-asked"
    RELEASED = "released"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause that was looked at: its place in the agreement, the path it is about, its outcome, and its parts."""

    clause: str
    outcome: Outcome
    text: str
    path: str | None = None
    parts: tuple["Clause", ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every clause in the order of the specification, the decision, and the clause that settled it (`rule`).

    Clauses: `population.where` and `population.dossiers` (who is a member), `previous` (what the agency was told before),
    `state`, `term` and `ceiling` (whether anything may be delivered now), `population.consent`, `answers` (of an
    attestation) and `fields`.
    """

    clauses: tuple[Clause, ...]
    decision: Decision | Reason
    rule: str


def explain(
    standing: Standing,
    limits: Limits,
    before: Known | None,
    after: Values | None,
    *,
    kind: Kind,
    now: datetime,
    dossiers: Sequence[Dossier] = (),
    consents: Sequence[Consent] = (),
    appended: datetime | None = None,
) -> Explanation:
    """Explanation of one record, arguments as of `reference.decide`; whether the ceiling allows it is read in `limits`."""
    agreement = standing.agreement
    standing = replace(standing, above_ceiling=not limits.allow(agreement))
    papers = Papers(dossiers, consents).of(agreement)
    decision = reference.decide(
        standing, before, after, kind=kind, now=now, dossiers=dossiers, consents=consents, appended=appended
    )
    told = _told(standing, before, papers, now)
    clauses = (
        _where(agreement, after),
        _dossiers(agreement, papers, now),
        told,
        _state(standing),
        _term(agreement, now),
        _ceiling(agreement, limits),
        _consent(agreement, papers, now, appended or now),
        *_answers(agreement, before if told.outcome is Outcome.HOLDS else None, after, now),
        _fields(agreement, decision),
    )
    return Explanation(clauses, decision, _rule(decision, standing))


def _rule(decision: Decision | Reason, standing: Standing) -> str:
    """The clause that settled a decision."""
    reason = decision.reason if isinstance(decision, Withhold) else decision
    if isinstance(reason, Release):
        return "population.where" if reason.departure is Departure.RECORD_CHANGED else "fields"
    if reason is Reason.NOT_IN_TERM:
        return "term" if standing.state is State.ACTIVE else "state"
    return _SETTLES[reason]


_SETTLES = {
    Reason.OUTSIDE_POPULATION: "population.where",
    Reason.NO_DOSSIER: "population.dossiers",
    Reason.REVOKED: "state",
    Reason.SUSPENDED: "state",
    Reason.ABOVE_CEILING: "ceiling",
    Reason.NO_CONSENT: "population.consent",
    Reason.UNCHANGED_ANSWER: "answers",
}


def _outcome(holds: bool) -> Outcome:  # noqa: FBT001 - the name of the function says what it is
    return Outcome.HOLDS if holds else Outcome.FAILS


def _where(agreement: Agreement, after: Values | None) -> Clause:
    if after is None:
        return Clause("population.where", Outcome.FAILS, "the subject has no record: it was deleted")
    return _constraint(agreement.population.where, after)


def _constraint(where: Constraint, values: Values) -> Clause:
    outcome = _outcome(reference.holds(where, values))
    match where:
        case AllOf(parts=()):
            return Clause("population.where", outcome, "everyone")
        case AllOf(parts=parts) | AnyOf(parts=parts):
            text = "all of these hold" if isinstance(where, AllOf) else "at least one of these holds"
            return Clause("population.where", outcome, text, None, tuple(_constraint(part, values) for part in parts))
        case Equals(path=path, values=(only,)):
            text = f"is {only}"
        case Equals(path=path, values=accepted):
            more = f" and {len(accepted) - _MOST_SHOWN} more" if len(accepted) > _MOST_SHOWN else ""
            text = f"is one of {', '.join(accepted[:_MOST_SHOWN])}{more}"
        case Range(path=path, low=low, high=high):
            ends = (("from", low), ("up to", high))
            text = "lies " + " ".join(f"{word} {end}" for word, end in ends if end is not None)
            text = "is there" if low is None and high is None else text
        case Prefix(path=path, prefix=prefix):
            text = f"starts with {prefix}"
    return Clause("population.where", outcome, text, path)


def _dossiers(agreement: Agreement, papers: Papers, now: datetime) -> Clause:
    if not agreement.population.dossiers:
        return Clause("population.dossiers", Outcome.NOT_ASKED, "no file is asked for")
    outcome = _outcome(reference.open_file(agreement, papers, now))
    return Clause("population.dossiers", outcome, "the agency has an open file on the subject at this instant")


def _told(standing: Standing, before: Known | None, papers: Papers, now: datetime) -> Clause:
    agreement = standing.agreement
    if before is None:
        return Clause("previous", Outcome.FAILS, "the subject had no record before: what is released is initial")
    member = (
        reference.holds(agreement.population.where, before.values)
        and reference.open_file(agreement, papers, now)
        and bool(reference.allowed(agreement, papers, now))
    )
    held = member and reference.live(standing, reference.told_at(before.at, papers, now))
    text = "the agency was told of this subject before: the subject was a member while the agreement was in force"
    return Clause("previous", _outcome(held), text)


def _state(standing: Standing) -> Clause:
    return Clause("state", _outcome(standing.state is State.ACTIVE), f"the agreement is {standing.state.value}")


def _term(agreement: Agreement, now: datetime) -> Clause:
    term = agreement.term
    until = f"before {term.end.isoformat()}" if term.end else "without an end"
    return Clause("term", _outcome(term.holds(now)), f"from {term.start.isoformat()}, {until}")


def _ceiling(agreement: Agreement, limits: Limits) -> Clause:
    if agreement.purpose not in limits.purposes.by_code:
        return Clause("ceiling", Outcome.FAILS, "the purpose is not in the list of purposes")
    allowed = limits.effective(agreement)
    parts = []
    for released in agreement.fields:
        granted = allowed.fields.get(released.path)
        holds = granted is not None and released.transform in granted.transforms
        text = "; ".join(_granted(agreement, released, limits))
        parts.append(Clause("ceiling", _outcome(holds), text, released.path))
    for path in sorted({test.path for test in leaves_of(agreement.population.where)}):
        selectable = path in allowed.selectable
        text = "the owner lets this purpose, and all above it, select subjects on this field"
        parts.append(Clause("ceiling", _outcome(selectable), text, path))
    onward = agreement.conditions.onward
    if onward is not None and onward.allowed:
        parts.append(Clause("ceiling", _outcome(allowed.onward_sharing), "the owner lets the data be passed on"))
    text = f"what the owner allows for {agreement.purpose}, cut by every purpose above it"
    return Clause("ceiling", _outcome(limits.allow(agreement)), text, None, tuple(parts))


def _granted(agreement: Agreement, released: ReleasedField, limits: Limits) -> Iterator[str]:
    """What each purpose of the lineage allows of one field."""
    yield f"asked as {released.transform.value}"
    for purpose in limits.purposes.lineage(agreement.purpose):
        ceiling = own_ceiling(limits.ceilings, agreement.source, agreement.product, purpose.code)
        field = ceiling.fields.get(released.path) if ceiling else None
        if ceiling is None:
            yield f"{purpose.code} has no ceiling, which allows nothing"
        elif field is None:
            yield f"{purpose.code} allows nobody this field"
        else:
            yield f"{purpose.code} allows {', '.join(sorted(transform.value for transform in field.transforms))}"


def _consent(agreement: Agreement, papers: Papers, now: datetime, appended: datetime) -> Clause:
    if not agreement.population.consent:
        return Clause("population.consent", Outcome.NOT_ASKED, "no consent is asked for")
    granted = reference.allowed(agreement, papers, now) & reference.allowed(agreement, papers, appended)
    text = "the subject agrees to some field at least, now and when the record was published"
    return Clause("population.consent", _outcome(bool(granted)), text)


def _answers(agreement: Agreement, before: Known | None, after: Values | None, now: datetime) -> Iterator[Clause]:
    if before is not None and after is not None and reference.is_attestation(agreement):
        same = reference.answers(agreement, before.values, now) == reference.answers(agreement, after, now)
        yield Clause("answers", _outcome(not same), "an answer differs from what the agency was told before")


def _fields(agreement: Agreement, decision: Decision | Reason) -> Clause:
    valued = isinstance(decision, Release) and decision.kind is not Kind.LEFT_POPULATION
    outcome = Outcome.RELEASED if valued else Outcome.WITHHELD
    without = decision.without if isinstance(decision, Release) else frozenset[str]()
    parts = tuple(_field(released, outcome, agreed=released.key not in without) for released in agreement.fields)
    if not isinstance(decision, Release):
        return Clause("fields", outcome, "nothing is delivered", None, parts)
    text = f"delivered as {decision.kind.value}" + ("" if valued else ", without values")
    return Clause("fields", outcome, text, None, parts)


def _field(released: ReleasedField, outcome: Outcome, *, agreed: bool) -> Clause:
    if not agreed:
        return Clause("fields", Outcome.WITHHELD, "left out: the subject does not agree to this field", released.path)
    return Clause("fields", outcome, _delivered(released), released.path)


def _delivered(released: ReleasedField) -> str:
    match released.transform:
        case Transform.KEEP:
            return "as it is"
        case Transform.NOTIFY_ONLY:
            return "that something changed, and no value"
        case transform:
            arguments = f" {', '.join(released.arguments)}" if released.arguments else ""
            return f"as {transform.value}{arguments}, named {released.name}"
