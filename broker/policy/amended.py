"""Decisions on subjects of which an agency was told under an earlier version of an agreement than is in force now."""

from dataclasses import dataclass

from broker.model.decision import Decision, Departure, Kind, Reason, Release
from broker.policy.buckets import Plan, Values
from broker.policy.papers import Papers, PapersAt


@dataclass(frozen=True, slots=True)
class Turn:
    """An amended agreement for one subject, between the version it was told under and the present one."""

    plan: Plan
    then: Plan
    live: bool
    """Whether the agreement was in force and in term when it was told."""
    before: PapersAt
    standing: PapersAt
    now: int

    def decide(self, values: Values, after: Values | None, kind: Kind, appended: int) -> Decision | None:
        """Decision on a record that brings a subject with these values to `after` (None: deleted)."""
        plan, standing = self.plan, self.standing
        was = self.live and _belonged(self.then, values, self.before)
        is_ = after is not None and plan.where(after) and standing.open
        if not (was or is_):
            return None
        obstacle = plan.obstacle(self.now)
        if obstacle is not None:
            return obstacle
        if not is_ or (was and not standing.agreed):
            departure = Departure.DELETED if after is None else Departure.RECORD_CHANGED
            if after is not None and not _belonged(plan, values, standing):
                departure = Departure.AMENDED
            return Release(plan.agreement.id, Kind.LEFT_POPULATION, standing.reference, departure)
        granted = standing.granted(appended)
        if not granted:
            return plan.withholds[Reason.NO_CONSENT]
        without = standing.keys - granted
        return Release(plan.agreement.id, kind if was else Kind.INITIAL, standing.reference, without=without)

    def tells(self, decision: Release) -> bool:
        """Whether the amendment alone makes this something to tell."""
        return decision.departure is not None or self.then.renewed


def turned(plan: Plan, papers: Papers, at: int, now: int) -> Turn | None:
    """The turn that `plan` took since its agency was told of a subject with these papers, last decided at `at`; None if none."""
    standing = PapersAt.of(plan, papers, now)
    told = standing.told(at, now)
    then = plan.version_at(told)
    if then is plan:
        return None
    return Turn(plan, then, then.live(told), PapersAt.of(then, papers, now), standing, now)


def _belonged(plan: Plan, values: Values, standing: PapersAt) -> bool:
    """Whether a subject with these values and papers is a member to whom something is released."""
    return plan.where(values) and standing.open and bool(standing.agreed)
