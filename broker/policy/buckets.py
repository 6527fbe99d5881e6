"""Plans and the buckets an index hit leads to: what the engine works out once per policy epoch, and keeps.

A plan is one agreement without everything that depends on a record. A bucket holds the plans that share one equality
access predicate, and its answers for as long as no term or activation among them changes.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from broker.model.agreement import Agreement, State
from broker.model.decision import Decision, Departure, Kind, Reason, Release, Withhold
from broker.model.on_demand import OnDemand
from broker.policy.attest import Answer

Values = tuple[bytes, ...]
Answered = tuple[tuple[int, Decision], ...]
Decided = Sequence[tuple[int, Decision]]
FOREVER = 1 << 62
"""Later than any instant: the end of an open term, the activation of an agreement that never was activated."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One agreement of the compiled set with everything that does not depend on a record worked out.

    `where` tests the encoded values of `engine.paths`; `answers` gives the attested answers on a calendar day, None
    where the agreement is not an attestation; `timed` those of them that the day alone can change, None where there are
    none. `[start, end)`, from `activated` on, is where a previous decision counts as "was"; from `amended` on it was
    about the same questions. `formers` are the versions before, with the instant up to which each was in force, where any
    had another population or (`renewed`) other fields.
    """

    index: int
    agreement: Agreement
    keys: frozenset[str]
    state: State
    above_ceiling: bool
    start: int
    end: int
    activated: int
    amended: int
    where: Callable[[Values], bool]
    answers: Callable[[Values, date], tuple[Answer, ...]] | None
    timed: Callable[[Values, date], tuple[Answer, ...]] | None
    releases: Mapping[Kind, Release]
    departures: Mapping[Departure, Release]
    withholds: Mapping[Reason, Withhold]
    formers: tuple[tuple[int, "Plan"], ...] = ()
    renewed: bool = False
    """Whether, as a former version, it released other fields."""

    def version_at(self, told: int) -> "Plan":
        """The version under which the agency was told at `told`."""
        return next((former for until, former in self.formers if told < until), self)

    def numbered(self, index: int) -> "Plan":
        """The same at another place among the engine's plans."""
        formers = tuple((until, replace(former, index=index)) for until, former in self.formers)
        return replace(self, index=index, formers=formers)

    @property
    def since(self) -> int:
        """When it last came into force with another population or other fields, as far as that is known."""
        return max(self.activated, self.formers[-1][0] if self.formers else self.activated)

    def live(self, at: int) -> bool:
        """Whether the agreement was activated and in term at `at`."""
        return self.start <= at < self.end and self.activated <= at

    def obstacle(self, now: int) -> Withhold | None:
        """The withhold that every record of the population meets at `now`, or None."""
        if self.state is State.REVOKED:
            return self.withholds[Reason.REVOKED]
        if self.state is State.SUSPENDED:
            return self.withholds[Reason.SUSPENDED]
        if self.state is not State.ACTIVE or not self.start <= now < self.end:
            return self.withholds[Reason.NOT_IN_TERM]
        return self.withholds[Reason.ABOVE_CEILING] if self.above_ceiling else None

    def settle(self, was: bool, is_: bool, kind: Kind, departure: Departure, now: int) -> Decision | None:  # noqa: FBT001 - the two memberships are the rule's own words
        """Decision from the two memberships; an attestation's answers are compared by the caller."""
        if not (was or is_):
            return None
        obstacle = self.obstacle(now)
        if obstacle is not None:
            return obstacle
        if not is_:
            return self.departures[departure]
        return self.releases[kind if was else Kind.INITIAL]


class _View:
    """A bucket's answers for instants in [low, high), between which no term or activation of its plans changes."""

    __slots__ = ("enter", "high", "left", "low", "stay")

    def __init__(self, low: int, high: int, now: int, plain: Sequence[Plan], settled: Sequence[Plan]) -> None:
        self.low, self.high = low, high
        self.stay = OnDemand[Kind, Answered](lambda kind: _static(settled, now, kind, was=True, is_=True))
        self.enter = _static(plain, now, Kind.INITIAL, was=False, is_=True)
        self.left = _static(plain, now, Kind.LEFT_POPULATION, was=True, is_=False)


def _static(
    plans: Sequence[Plan],
    now: int,
    kind: Kind,
    departure: Departure = Departure.RECORD_CHANGED,
    *,
    was: bool,
    is_: bool,
    at: int | None = None,
) -> Answered:
    """Decisions of plans whose membership depends on their bucket and time only; `at` is the previous instant."""
    before = now if at is None else at
    decided = ((plan.index, plan.settle(was and plan.live(before), is_, kind, departure, now)) for plan in plans)
    return tuple((index, decision) for index, decision in decided if decision is not None)


_NEVER = _View(0, 0, 0, (), ())
"""What a bucket has answered at first: nothing, for no instant."""


class Bucket:
    """Plans that share one equality access predicate (or none): what one index hit has to look at.

    `plain`: `where` is exactly that equality. `shared`: likewise, but the plan is in several buckets of the same path.
    `rest`: more to test (residual constraints, attested answers). `filed`, `filed_rest`: the same two for plans that ask
    for dossiers, which only count here: subjects on file are decided from their own dossiers.
    """

    __slots__ = ("_cuts", "_latest", "_view", "alone", "changing", "filed", "filed_rest", "plain", "rest", "settled")

    def __init__(
        self,
        plain: Iterable[Plan],
        shared: Iterable[Plan],
        rest: Iterable[Plan],
        filed: Iterable[Plan],
        filed_rest: Iterable[Plan],
    ) -> None:
        self.plain = tuple(plain)
        several = tuple(shared)
        self.settled = tuple(sorted((*self.plain, *several), key=lambda plan: plan.index))
        self.rest = tuple(rest)
        self.changing = (*several, *self.rest)
        self.filed = tuple(plan.index for plan in filed)
        self.filed_rest = tuple(filed_rest)
        self.alone = not (self.rest or self.filed or self.filed_rest)
        cuts = {cut for plan in self.settled for cut in (plan.start, plan.end, plan.activated)}
        self._cuts = (-FOREVER, *sorted(cuts - {FOREVER}), FOREVER)
        self._view = _NEVER
        # The stay answered last, [low, high) and kind with it, in one object: under many agreements every object looked
        # at costs more than the work done with it, and one assignment never shows half of another.
        self._latest: tuple[int, int, Kind, Answered] = (0, 0, Kind.CHANGED, ())

    def view(self, now: int) -> _View:
        """The answers that hold at `now`; kept until time leaves their interval."""
        view = self._view
        if view.low <= now < view.high:
            return view
        place = bisect_right(self._cuts, now)
        self._view = view = _View(self._cuts[place - 1], self._cuts[place], now, self.plain, self.settled)
        return view

    def stay(self, at: int, now: int, kind: Kind) -> Answered:
        """Decisions where the bucket holds the values before and after."""
        low, high, answered, answer = self._latest
        if kind is answered and low <= at < high and low <= now < high:
            return answer
        view = self.view(now)
        if view.low <= at < view.high:
            answer = view.stay[kind]
            self._latest = (view.low, view.high, kind, answer)
            return answer
        return _static(self.settled, now, kind, was=True, is_=True, at=at)

    def leave(self, at: int, now: int, departure: Departure) -> Answered:
        """Decisions where the bucket held the values before only."""
        view = self.view(now)
        if departure is Departure.RECORD_CHANGED and view.low <= at < view.high:
            return view.left
        return _static(self.plain, now, Kind.LEFT_POPULATION, departure, was=True, is_=False, at=at)
