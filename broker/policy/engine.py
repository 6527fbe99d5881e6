"""The compiled engine: decisions on encoded bytes, at a cost that does not grow with agreements that do not match.

One `Engine` per (product, policy epoch); `compile_engine` makes it; it never changes. A lane opens one `Batch` per
batch of records, because the decision instant is constant for a batch, and asks it record by record:

    batch = engine.batch(now_ms)
    for ...:
        for plan_index, decision in batch.decide(before, after, kind, papers, appended):
            ...
    counts = batch.counts()

The answer is `broker.policy.reference.decide` of every plan, without the counted reasons, in plan order; that of
`batch.reconsider` is `reference.reconsider`. Values are the encoded Avro bytes of `engine.paths`, in that order; `b""`
where a parent is null. Instants are milliseconds since 1970 (UTC). A property test holds engine and reference equal, on
decisions and on counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from broker.model.agreement import State
from broker.model.decision import Decision, Departure, Kind, Reason, Release, Withhold
from broker.policy.amended import turned
from broker.policy.buckets import FOREVER, Bucket, Decided, Plan, Values
from broker.policy.calendar import belgian_day
from broker.policy.papers import NO_PAPERS, Papers, PapersAt, Told

_NOTHING: tuple[tuple[int, Decision], ...] = ()


class Previous(NamedTuple):
    """Lane state of a subject: its values at the previous decision, that decision's instant (ms), its record's offset."""

    values: Values
    at: int
    offset: int = -1


@dataclass(frozen=True, slots=True)
class Counts:
    """What a batch counted: records asked, decisions receipted, and per plan index the records that lacked a dossier.

    Per plan, OUTSIDE_POPULATION = records - its receipted decisions - its NO_DOSSIER; `outside` is the sum over plans.
    """

    records: int
    receipted: int
    no_dossier: Mapping[int, int]
    outside: int


class Engine:
    """Immutable compiled form of a product's agreements; `plans[i].index == i`.

    `paths` are the leaf paths whose encoded values it takes, sorted: those that populations and attestations use (and
    any the compiler was asked to add). `newest` is when the latest of those that deliver now came into force: whoever was
    told of a subject since needs no introduction to it.
    """

    __slots__ = ("_everyone", "_filed", "_tables", "_turned", "newest", "paths", "plans")

    def __init__(
        self,
        paths: tuple[str, ...],
        plans: tuple[Plan, ...],
        tables: tuple[tuple[int, Mapping[bytes, Bucket]], ...],
        everyone: Bucket | None,
    ) -> None:
        self.paths = paths
        self.plans = plans
        self._tables = tables
        self._everyone = everyone
        self._filed = {plan.agreement.id: plan for plan in plans if plan.agreement.population.dossiers}
        delivering = (plan for plan in plans if plan.state is State.ACTIVE and not plan.above_ceiling)
        self.newest = max((plan.since for plan in delivering), default=-FOREVER)
        self._turned = tuple(plan for plan in plans if plan.formers)

    def batch(self, now: int) -> "Batch":
        """A batch of decisions at the instant `now` (ms); its cost does not depend on the number of plans."""
        return Batch(self._tables, self._everyone, self._filed, self.plans, now, self._turned)

    def instants(self) -> Sequence[int]:
        """The instants between which it makes no difference when a subject without papers was told, sorted."""
        versions = (version for plan in self.plans for version in (plan, *(former for _, former in plan.formers)))
        found = {at for plan in versions for at in (plan.start, plan.end, plan.activated, plan.amended)}
        return sorted(found.union(until for plan in self.plans for until, _ in plan.formers))

    def decide(
        self, before: Previous | None, after: Values | None, kind: Kind, now: int, papers: Papers = NO_PAPERS
    ) -> Decided:
        """One record outside a batch, as `Batch.decide`."""
        return self.batch(now).decide(before, after, kind, papers)


class Batch:
    """Decisions at one instant, and their counts. Not shared between threads; drop it if its transaction is aborted."""

    __slots__ = (
        "_all",
        "_everyone",
        "_filed",
        "_hits",
        "_lacking",
        "_now",
        "_plans",
        "_product",
        "_receipted",
        "_records",
        "_tables",
        "_times",
        "_today",
        "_turned",
        "_turned_at",
    )

    def __init__(
        self,
        tables: tuple[tuple[int, Mapping[bytes, Bucket]], ...],
        everyone: Bucket | None,
        filed: Mapping[str, Plan],
        plans: Sequence[Plan],
        now: int,
        turned: Sequence[Plan] = (),
    ) -> None:
        self._turned = turned
        self._turned_at = max((plan.since for plan in turned), default=-FOREVER)
        self._tables = tables
        self._everyone = everyone
        self._filed = filed
        self._all = plans
        self._plans = len(plans)
        self._product = f"{plans[0].agreement.source}/{plans[0].agreement.product}" if plans else ""
        self._now = now
        self._today = belgian_day(now)
        self._times = 1
        self._records = 0
        self._receipted = 0
        self._hits: dict[Bucket, int] = {}
        self._lacking: dict[int, int] = {}

    def decide(
        self,
        before: Previous | None,
        after: Values | None,
        kind: Kind,
        papers: Papers = NO_PAPERS,
        appended: int = FOREVER,
        times: int = 1,
    ) -> Decided:
        """Receipted decisions on one record as (plan index, decision), in plan order; do not change the answer.

        `before` is None for a subject without a previous record, `after` for a deletion; `kind` is the record's own;
        `appended` is when it entered the log (ms; later than now counts as now); it counts as `times` records.
        """
        self._times = times
        self._records += times
        if papers.replaced and self._product in papers.replaced:
            return _NOTHING
        if before is None or papers is not NO_PAPERS or before[0] != after:
            found = self._changed(before, after, kind, papers, appended)
        else:
            found = self._unchanged(after, before[1], kind)
        if before is not None and before[1] < self._turned_at:
            found = self._since_amended(found, before, after, kind, papers, appended)
        self._receipted += len(found) * times
        return found

    def reconsider(
        self, plan: Plan, known: Previous, told: Told, papers: Papers, *, aging: bool = False
    ) -> Decision | None:
        """Decision on a subject without a record, on what its papers or the day made of it since it was told; not counted.

        `aging`: only the day changed, and whoever was never told of the subject is not told of that.
        """
        values, then, now = known.values, told.at, self._now
        if not plan.where(values):
            return None
        before, after = PapersAt.of(plan, told.papers, then), PapersAt.of(plan, papers, now)
        was = before.open and bool(before.agreed) and plan.live(before.told(known.at, then))
        closed = was and not (after.open and after.agreed)
        opened = not was and not aging and after.open and bool(after.agreed or plan.agreement.population.dossiers)
        if not (closed or opened or (was and (before.agreed != after.agreed or self._aged(plan, values, then)))):
            return None
        obstacle = plan.obstacle(now)
        if obstacle is not None:
            return obstacle
        if closed:
            departure = Departure.CONSENT_ENDED if after.open else Departure.DOSSIER_ENDED
            departure = Departure.REPLACED if self._product in papers.replaced else departure
            return Release(plan.agreement.id, Kind.LEFT_POPULATION, before.reference, departure)
        if not after.agreed:
            return plan.withholds[Reason.NO_CONSENT]
        kind, without = Kind.CHANGED if was else Kind.INITIAL, after.keys - after.agreed
        return Release(plan.agreement.id, kind, after.reference, without=without)

    def introduce(
        self, known: Previous, papers: Papers = NO_PAPERS, appended: int = FOREVER, upto: int = FOREVER
    ) -> Sequence[tuple[int, Release]]:
        """What agreements that came into force since `known`, and by `upto`, are told of a subject without a new record.

        Counted as a record is: ask a batch of its own.
        """
        turns = {plan.index: turned(plan, papers, known.at, self._now) for plan in self._turned}
        return [
            (index, decision)
            for index, decision in self.decide(known, known.values, Kind.CHANGED, papers, appended)
            if isinstance(decision, Release)
            and self._all[index].since <= upto
            and (decision.kind is Kind.INITIAL or ((turn := turns.get(index)) is not None and turn.tells(decision)))
        ]

    def counts(self) -> Counts:
        """Counts of the records asked so far; OUTSIDE_POPULATION by subtraction, never by looking at a plan."""
        lacking = dict(self._lacking)
        for bucket, records in self._hits.items():
            for index in bucket.filed:
                lacking[index] = lacking.get(index, 0) + records
        lacking = {index: number for index, number in lacking.items() if number}
        outside = self._records * self._plans - self._receipted - sum(lacking.values())
        return Counts(self._records, self._receipted, lacking, outside)

    def _aged(self, plan: Plan, values: Values, then: int) -> bool:
        """Whether an answer is another today than it was then, by time alone."""
        return plan.timed is not None and plan.timed(values, belgian_day(then)) != plan.timed(values, self._today)

    def _unchanged(self, after: Values, at: int, kind: Kind) -> Decided:
        """The common case: the selected values are those of the previous record, and the subject has no papers."""
        now = self._now
        found = _NOTHING
        mixed = False
        rest: list[Bucket] = []
        for position, table in self._tables:
            bucket = table.get(after[position])
            if bucket is not None:
                part = bucket.stay(at, now, kind)
                mixed = mixed or bool(found)
                found = found + part if found else part
                if not bucket.alone:
                    rest.append(bucket)
        bucket = self._everyone
        if bucket is not None:
            mixed = mixed or bool(found)
            found += bucket.stay(at, now, kind)
            if not bucket.alone:
                rest.append(bucket)
        if rest:
            self._lack(rest, after)
            plans = dict.fromkeys(plan for bucket in rest for plan in bucket.rest)
            if plans:
                mixed = True
                found += self._individually(plans, after, at, after, kind, NO_PAPERS, FOREVER)
        return sorted(found, key=_place) if mixed and len(found) > 1 else found

    def _changed(
        self, before: Previous | None, after: Values | None, kind: Kind, papers: Papers, appended: int
    ) -> Decided:
        now = self._now
        values, at = (None, 0) if before is None else before[:2]
        departure = Departure.DELETED if after is None else Departure.RECORD_CHANGED
        found = _NOTHING
        plans: dict[Plan, None] = {}
        reached: list[Bucket] = []
        for old, new in self._buckets(values, after):
            if old is new and new is not None:
                found += new.stay(at, now, kind)
                plans.update(dict.fromkeys(new.rest))
            else:
                if old is not None:
                    found += old.leave(at, now, departure)
                    plans.update(dict.fromkeys(old.changing))
                if new is not None:
                    found += new.view(now).enter
                    plans.update(dict.fromkeys(new.changing))
            if new is not None and (new.filed or new.filed_rest):
                reached.append(new)
        if plans:
            found += self._individually(plans, values, at, after, kind, papers, appended)
        if reached and after is not None:
            self._lack(reached, after)
        if papers.dossiers:
            found += self._on_file(values, at, after, kind, papers, appended)
        return sorted(found, key=_place) if len(found) > 1 else found

    def _buckets(self, values: Values | None, after: Values | None) -> list[tuple[Bucket | None, Bucket | None]]:
        """Per access path the buckets of the old and the new values."""
        pairs = [
            (
                None if values is None else table.get(values[position]),
                None if after is None else table.get(after[position]),
            )
            for position, table in self._tables
        ]
        everyone = self._everyone
        if everyone is not None:
            pairs.append((None if values is None else everyone, None if after is None else everyone))
        return pairs

    def _individually(
        self,
        plans: Iterable[Plan],
        values: Values | None,
        at: int,
        after: Values | None,
        kind: Kind,
        papers: Papers,
        appended: int,
    ) -> tuple[tuple[int, Decision], ...]:
        """Decisions of plans that need a look at the values themselves (none asks for dossiers)."""
        found: list[tuple[int, Decision]] = []
        for plan in plans:
            is_ = after is not None and plan.where(after)
            was = is_ if values is after else values is not None and plan.where(values)
            if plan.agreement.population.consent:
                standing = PapersAt.of(plan, papers, self._now)
                decision = self._with_papers(plan, standing, (was, is_), (values, at, after), kind, appended)
            else:
                decision = self._settled(plan, (was and plan.live(at), is_), values, after, kind, at)
            if decision is not None:
                found.append((plan.index, decision))
        return tuple(found)

    def _settled(
        self,
        plan: Plan,
        members: tuple[bool, bool],
        values: Values | None,
        after: Values | None,
        kind: Kind,
        told: int,
    ) -> Decision | None:
        """Decision from the two memberships, or UNCHANGED_ANSWER where that is what an attestation would repeat."""
        departure = Departure.DELETED if after is None else Departure.RECORD_CHANGED
        decision = plan.settle(*members, kind, departure, self._now)
        if plan.answers is None or not all(members) or not isinstance(decision, Release) or told < plan.amended:
            return decision
        if values is None or after is None or plan.answers(values, self._today) != plan.answers(after, self._today):
            return decision
        return plan.withholds[Reason.UNCHANGED_ANSWER]

    def _with_papers(
        self,
        plan: Plan,
        standing: PapersAt,
        located: tuple[bool, bool],
        subject: tuple[Values | None, int, Values | None],
        kind: Kind,
        appended: int,
    ) -> Decision | None:
        """Decision under an agreement that asks for papers; `located`: where it holds before and after."""
        values, at, after = subject
        told = standing.told(at, self._now)
        was = located[0] and standing.open and bool(standing.agreed) and plan.live(told)
        is_ = located[1] and standing.open
        decision = self._settled(plan, (was, is_), values, after, kind, told)
        granted = standing.granted(appended)
        if is_ and not granted and not _stopped(decision):
            return plan.withholds[Reason.NO_CONSENT]
        if isinstance(decision, Release) and decision.departure is not None:
            return Release(decision.agreement, decision.kind, standing.reference, decision.departure)
        if isinstance(decision, Release):
            return Release(decision.agreement, decision.kind, standing.reference, without=standing.keys - granted)
        return decision

    def _since_amended(
        self,
        found: Decided,
        before: Previous,
        after: Values | None,
        kind: Kind,
        papers: Papers,
        appended: int,
    ) -> Decided:
        """`found`, with the agreements that were amended since they were told asked by the version of then who belonged."""
        decisions = dict(found)
        for plan in self._turned:
            turn = turned(plan, papers, before.at, self._now)
            if turn is None:
                continue
            decision = turn.decide(before.values, after, kind, appended)
            if plan.agreement.population.dossiers and after is not None and plan.where(after):
                moved = (decision is None) - (plan.index not in decisions)
                self._lacking[plan.index] = self._lacking.get(plan.index, 0) + moved * self._times
            decisions.pop(plan.index, None)
            if decision is not None:
                decisions[plan.index] = decision
        return sorted(decisions.items())

    def _lack(self, buckets: Iterable[Bucket], after: Values) -> None:
        """Count NO_DOSSIER for plans whose `where` holds, as if no dossier were open; `_on_file` takes back its own."""
        plans: dict[Plan, None] = {}
        for bucket in buckets:
            if bucket.filed:
                self._hits[bucket] = self._hits.get(bucket, 0) + self._times
            if bucket.filed_rest:
                plans.update(dict.fromkeys(bucket.filed_rest))
        for plan in plans:
            if plan.where(after):
                self._lacking[plan.index] = self._lacking.get(plan.index, 0) + self._times

    def _on_file(
        self, values: Values | None, at: int, after: Values | None, kind: Kind, papers: Papers, appended: int
    ) -> tuple[tuple[int, Decision], ...]:
        """Decisions under the agreements for which the subject has dossiers: only these are looked at."""
        found: list[tuple[int, Decision]] = []
        plans = dict.fromkeys(self._filed.get(dossier.agreement) for dossier in papers.dossiers)
        for plan in plans:
            if plan is None:
                continue
            standing = PapersAt.of(plan, papers, self._now)
            if not standing.open:
                continue
            located = values is not None and plan.where(values), after is not None and plan.where(after)
            decision = self._with_papers(plan, standing, located, (values, at, after), kind, appended)
            if decision is None:
                continue
            if located[1]:
                self._lacking[plan.index] = self._lacking.get(plan.index, 0) - self._times
            found.append((plan.index, decision))
        return tuple(found)


def _stopped(decision: Decision | None) -> bool:
    """Whether the agreement itself may not deliver now."""
    return isinstance(decision, Withhold) and decision.reason is not Reason.UNCHANGED_ANSWER


def _place(decided: tuple[int, Decision]) -> int:
    return decided[0]
