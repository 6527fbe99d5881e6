"""What a lane knows when it decides one batch: fixed for the batch, checked again right before the commit (R6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from broker.model.barrier import Barrier
from broker.model.notice import Notice
from broker.model.receipt import Coordinates
from broker.policy.calendar import belgian_day
from broker.routing.backfill import Progress, Slice, read_progress
from broker.routing.causes import Cause
from broker.routing.looks import Look
from broker.routing.outlet import Instant
from broker.routing.plans import TopicPlan
from broker.routing.retrying import Retried
from broker.routing.subjects import Position, Subjects


@dataclass(frozen=True, slots=True)
class LaneKeys:
    """The two keys every lane needs, by role (design §4)."""

    lane: bytes = field(repr=False)
    ledger: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Policies, papers and decision instant for one batch of one lane; all policies as of one `policy_epoch`.

    `causes` are what is told with this batch beside its records, by `looks`; `told` is up to where everything is then.
    With `more` causes waiting, records wait too: they are decided on papers that were told. `slice` are records to be read
    again, `retried` a quarantined one to be looked at again before the batch; `progress` is how far that came, by topic, once this is committed.
    """

    epoch: int
    policy_epoch: int
    subjects_offset: int
    instant: Instant
    plans: Mapping[str, TopicPlan]
    subjects: Subjects
    causes: Sequence[Cause]
    looks: Sequence[Look]
    told: Position
    more: bool
    slice: Slice | None
    retried: Retried | None
    progress: Mapping[str, Progress]
    barriers: Sequence[Barrier | Notice]
    keys: LaneKeys
    receipt_frame: bytes

    def stamp(self, topic: str) -> str:
        """What goes with a committed offset: from where a new owner owes barriers, decides, tells what comes, and reads again."""
        progress = self.progress.get(topic, Progress()).encode()
        return f"{self.epoch}/{self.instant.at_ms}/{self.told.told_ms}/{progress}"

    def coordinates(self, topic: str, lane: int, run: int = 0) -> Coordinates:
        """Receipt coordinates of this batch for one source topic."""
        return Coordinates(topic, lane, self.epoch, self.subjects_offset, self.instant.at_ms, run)


def stamped(metadata: str | None) -> tuple[int, int, int, Progress]:
    """Epoch, decision instant, instant told (ms) and progress of a committed offset; (-1, 0, 0, -) where nothing was decided yet."""
    epoch, at_ms, told_ms, progress, *_ = (*(metadata or "").split("/"), "", "", "", "")
    return int(epoch or -1), int(at_ms or 0), int(told_ms or at_ms or 0), read_progress(progress)


def instant(at_ms: int) -> Instant:
    """Decision instant in the forms a batch needs; whole seconds are cut, not rounded, so that time never runs ahead."""
    whole = datetime.fromtimestamp(at_ms // 1000, tz=UTC)
    return Instant(at_ms, whole.strftime("%Y-%m-%dT%H:%M:%SZ").encode(), belgian_day(at_ms).isoformat())
