"""The specification of a decision, in naive code; the compiled engine must give the same answer, always.

A record is decided per agreement, from the subject's values before (with the instant of the previous decision) and
after (None for a deletion), the subject's papers (files and consents) and the decision instant `now`. What papers change
by themselves, `reconsider` has told before: a record finds them as they are now, on both sides.

- `member` = `where` holds on the values, and if the population asks for dossiers one is open now.
- `agreed` = the released fields that the subject's consents allow now: all where the population asks for none.
- `was` = there were previous values, they were a member's, something was agreed to, and when the agency was last told of the subject
  (the previous decision, or later a paper's beginning) the agreement had been activated and was in term.
- `is` = there are values and they are a member's.
- Where the agreement was amended since it was told, `was` is asked of the version it was told under.
- A subject that goes on under another identity is in no population.
- Neither: counted, never receipted: NO_DOSSIER where only the dossier is missing, else OUTSIDE_POPULATION.
- One of both, but the agreement may not deliver now: withheld as REVOKED, SUSPENDED, NOT_IN_TERM (also when ended) or
  ABOVE_CEILING, the first that applies.
- `is`, but nothing was agreed to both now and when the record was appended: withheld as NO_CONSENT.
- `is`, not `was`: released as `initial`, whatever the record's kind: the agency gets the full projected state.
- `was`, not `is`: released as `left-population` with a reason class and no values: DELETED, AMENDED where the present
  version would not have had the subject before either, else RECORD_CHANGED. AMENDED too where it is the present version
  that asks for a consent, and there is none.
- Both: released under the record's kind; but an attestation (its fields are attested answers, and own references at
  most) whose answers are the same as before is withheld as UNCHANGED_ANSWER, if these were the questions then.
- The own reference is that of the open dossier that began first (then the smallest text). A release leaves out the
  fields that were not agreed to both now and when the record was appended.

Without a record, a subject is reconsidered for one agreement when a paper of its came, went or changed, and for answers
that time alone changes: `told` is what the papers were when the lane last told anything, and that instant.

- `was` and `is` as above, of the same values: by the papers as told then, and as they are now.
- Neither, or both: nothing; but where both, and an answer that depends on the day differs, or what is agreed to:
  released as `changed`.
- `is`, not `was`: released as `initial`; NO_CONSENT where a file opened but no consent holds.
- `was`, and no more: `left-population`: REPLACED by another identity, DOSSIER_ENDED, or CONSENT_ENDED where only the
  consent is gone.
- Withheld where the agreement may not deliver now, as above.

An agreement that comes into force is introduced to the subjects it finds, by the rules for a record that states the same
again: what they release as `initial`, and for an amendment what they release as a departure, or where it has other fields
as `changed`. Whatever else they say is no answer here.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

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
    State,
    Transform,
)
from broker.model.decision import Decision, Departure, Kind, Reason, Release, Withhold
from broker.policy import attest
from broker.policy.calendar import belgian_day, milliseconds
from broker.policy.standing import Standing, released

Values = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Known:
    """The subject's values at its previous decision, by leaf path (None = absent), and the instant of that decision."""

    values: Values
    at: datetime


@dataclass(frozen=True, slots=True)
class Papers:
    """A subject's files and consents, under whatever agreement."""

    dossiers: Sequence[Dossier] = ()
    consents: Sequence[Consent] = ()
    replaced: Collection[str] = ()
    """Products ("<source>/<product>") in which another identity replaced it."""

    def gone(self, agreement: Agreement) -> bool:
        """Whether the subject goes on under another identity."""
        return f"{agreement.source}/{agreement.product}" in self.replaced

    def of(self, agreement: Agreement) -> "Papers":
        """Those under one agreement, as far as its population asks for them."""
        asked = agreement.population
        return Papers(
            tuple(each for each in self.dossiers if asked.dossiers and each.agreement == agreement.id),
            tuple(each for each in self.consents if asked.consent and each.agreement == agreement.id),
            self.replaced,
        )


def decide(
    standing: Standing,
    before: Known | None,
    after: Values | None,
    *,
    kind: Kind,
    now: datetime,
    dossiers: Sequence[Dossier] = (),
    consents: Sequence[Consent] = (),
    replaced: Collection[str] = (),
    appended: datetime | None = None,
) -> Decision | Reason:
    """Decision on one record under one agreement; a bare `Reason` is counted only.

    `appended` is the instant the record entered the log; None where it is `now`.
    """
    agreement, all_papers = standing.agreement, Papers(dossiers, consents, replaced)
    papers = all_papers.of(agreement)
    on_file, agreed = open_file(agreement, papers, now), allowed(agreement, papers, now)
    then = agreement if before is None else standing.version_at(told_at(before.at, papers, now))
    was = before is not None and belonged(then, before.values, all_papers, now)
    was = was and before is not None and live(standing, told_at(before.at, papers, now))
    located = after is not None and holds(agreement.population.where, after) and not papers.gone(agreement)
    is_ = located and on_file
    if not was and not is_:
        return Reason.NO_DOSSIER if located else Reason.OUTSIDE_POPULATION
    reason = obstacle(standing, now)
    if reason is not None:
        return Withhold(agreement.id, reason)
    reference = own_reference(agreement, papers.dossiers, now)
    amended = then is not agreement
    if not is_ or after is None or (was and amended and not agreed):
        departure = Departure.DELETED if after is None else Departure.RECORD_CHANGED
        if after is not None and amended and before and not belonged(agreement, before.values, all_papers, now):
            departure = Departure.AMENDED
        return Release(agreement.id, Kind.LEFT_POPULATION, reference, departure)
    granted = agreed & allowed(agreement, papers, appended or now)
    if not granted:
        return Withhold(agreement.id, Reason.NO_CONSENT)
    same = was and before is not None and answers(agreement, before.values, now) == answers(agreement, after, now)
    asked = standing.amended_at is None or (before and standing.amended_at <= told_at(before.at, papers, now))
    if same and asked and is_attestation(agreement):
        return Withhold(agreement.id, Reason.UNCHANGED_ANSWER)
    without = keys(agreement) - granted
    return Release(agreement.id, kind if was else Kind.INITIAL, reference, without=without)


def reconsider(
    standing: Standing,
    known: Known,
    *,
    told: Papers,
    then: datetime,
    papers: Papers,
    now: datetime,
    aging: bool = False,
) -> Decision | None:
    """Decision on a subject without a record: on what its papers, or the day, made of it since `then`.

    `aging`: only the day changed, and whoever was never told of the subject is not told of that.
    """
    agreement = standing.agreement
    told, papers = told.of(agreement), papers.of(agreement)
    located = holds(agreement.population.where, known.values)
    before, agreed = allowed(agreement, told, then), allowed(agreement, papers, now)
    was = located and open_file(agreement, told, then) and bool(before) and not told.gone(agreement)
    was = was and live(standing, told_at(known.at, told, then))
    is_ = located and open_file(agreement, papers, now) and not papers.gone(agreement)
    aged = answers(agreement, known.values, then, attest.TIMED) != answers(agreement, known.values, now, attest.TIMED)
    opened = not was and not aging and is_ and (bool(agreed) or agreement.population.dossiers)
    closed = was and not (is_ and agreed)
    changed = was and not closed and (aged or agreed != before)
    if not (opened or closed or changed):
        return None
    reason = obstacle(standing, now)
    if reason is not None:
        return Withhold(agreement.id, reason)
    if closed:
        departure = Departure.CONSENT_ENDED if is_ else Departure.DOSSIER_ENDED
        departure = Departure.REPLACED if papers.gone(agreement) else departure
        return Release(agreement.id, Kind.LEFT_POPULATION, own_reference(agreement, told.dossiers, then), departure)
    if not agreed:
        return Withhold(agreement.id, Reason.NO_CONSENT)
    reference, without = own_reference(agreement, papers.dossiers, now), keys(agreement) - agreed
    return Release(agreement.id, Kind.CHANGED if was else Kind.INITIAL, reference, without=without)


def introduce(
    standing: Standing, known: Known, *, papers: Papers, now: datetime, appended: datetime | None = None
) -> Release | None:
    """What an agreement that came into force since `known` is told of a subject without a new record."""
    decision = decide(
        standing,
        known,
        known.values,
        kind=Kind.CHANGED,
        now=now,
        dossiers=papers.dossiers,
        consents=papers.consents,
        replaced=papers.replaced,
        appended=appended,
    )
    if not isinstance(decision, Release):
        return None
    then = standing.version_at(told_at(known.at, papers.of(standing.agreement), now))
    departs = then is not standing.agreement and decision.kind is Kind.LEFT_POPULATION
    renewed = decision.kind is Kind.CHANGED and released(then) != released(standing.agreement)
    return decision if decision.kind is Kind.INITIAL or departs or renewed else None


def repeat(
    standing: Standing, values: Values, *, papers: Papers, now: datetime, appended: datetime | None = None
) -> Decision | Reason:
    """What an agency is told of a subject in a replay, where that is a release: as if it had never been told."""
    return decide(
        standing,
        None,
        values,
        kind=Kind.CHANGED,
        now=now,
        dossiers=papers.dossiers,
        consents=papers.consents,
        replaced=papers.replaced,
        appended=appended,
    )


def belonged(agreement: Agreement, values: Values, papers: Papers, at: datetime) -> bool:
    """Whether a subject with these values and papers is a member to whom something is released."""
    own = papers.of(agreement)
    inside = holds(agreement.population.where, values) and not own.gone(agreement)
    return inside and open_file(agreement, own, at) and bool(allowed(agreement, own, at))


def holds(constraint: Constraint, values: Values) -> bool:
    """Whether the constraint holds; an absent value satisfies nothing. Order is by code point."""
    if isinstance(constraint, AllOf):
        return all(holds(part, values) for part in constraint.parts)
    if isinstance(constraint, AnyOf):
        return any(holds(part, values) for part in constraint.parts)
    value = values.get(constraint.path)
    if value is None:
        return False
    match constraint:
        case Equals(values=accepted):
            return value in accepted
        case Range(low=low, high=high):
            return (low is None or low <= value) and (high is None or value <= high)
        case Prefix(prefix=prefix):
            return value.startswith(prefix)


def open_file(agreement: Agreement, papers: Papers, at: datetime) -> bool:
    """Whether a file is open at `at`, or none is asked for."""
    return not agreement.population.dossiers or any(dossier.holds(at) for dossier in papers.dossiers)


def keys(agreement: Agreement) -> frozenset[str]:
    """What the released fields are known by."""
    return frozenset(field.key for field in agreement.fields)


def allowed(agreement: Agreement, papers: Papers, at: datetime) -> frozenset[str]:
    """Released fields that the subject agrees to at `at`: those that any consent then is given to; all if none is asked for."""
    if not agreement.population.consent:
        return keys(agreement)
    given = [consent.fields for consent in papers.consents if consent.holds(at)]
    return frozenset(
        field.key for field in agreement.fields if any(each is None or field.key in each for each in given)
    )


def told_at(decided: datetime, papers: Papers, now: datetime) -> datetime:
    """When the agency was last told of the subject: at a record's decision, or when a paper began."""
    began = [file.since for file in papers.dossiers] + [consent.since for consent in papers.consents]
    return max([decided, *(since for since in began if since <= now)])


def live(standing: Standing, at: datetime) -> bool:
    """Whether the agreement had been activated by `at`, and was in term."""
    return standing.activated_at is not None and standing.activated_at <= at and standing.agreement.term.holds(at)


def obstacle(standing: Standing, now: datetime) -> Reason | None:
    """Why the agreement may deliver nothing at `now`, or None."""
    if standing.state is State.REVOKED:
        return Reason.REVOKED
    if standing.state is State.SUSPENDED:
        return Reason.SUSPENDED
    if standing.state is not State.ACTIVE or not standing.agreement.term.holds(now):
        return Reason.NOT_IN_TERM
    return Reason.ABOVE_CEILING if standing.above_ceiling else None


def own_reference(agreement: Agreement, dossiers: Iterable[Dossier], at: datetime) -> str | None:
    """Reference of the dossier open at `at` that began first; None for a population without dossiers."""
    if not agreement.population.dossiers:
        return None
    begun = sorted((dossier.begin, dossier.reference) for dossier in dossiers if dossier.holds(at))
    return begun[0][1] if begun else None


def is_attestation(agreement: Agreement) -> bool:
    """Whether it releases attested answers, and nothing that says more than an own reference beside them."""
    transforms = {field.transform for field in agreement.fields}
    return not transforms.isdisjoint(attest.ATTESTED) and transforms <= attest.ATTESTED | {Transform.OWN_REFERENCE}


def answers(
    agreement: Agreement, values: Values, at: datetime, among: Collection[Transform] = attest.ATTESTED
) -> tuple[attest.Answer, ...]:
    """Attested answers on these values on the Belgian calendar day of `at`, in the agreement's order."""
    on = belgian_day(milliseconds(at))
    asked = (field for field in agreement.fields if field.transform in among)
    return tuple(attest.answer(field, values.get(field.path), on) for field in asked)
