"""How far a lane came with telling agreements that came into force of the subjects they find, and with replays.

The lane itself reads its part of a source topic again, from the start to where it stood when the agreement came into
force (ADR backfill-in-the-lane). Whoever has a newer record by then is passed over: that one brings, or has brought, the
subject's state. How far it came goes with the lane's offsets in the same transaction, so that there is no gap and no
double after a crash; whether an agreement has been told of a subject follows from that and from the place of the
subject's last record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from broker.model.registered import Replay
from broker.policy.engine import Previous


class Reach(NamedTuple):
    """How far the backfills of one source topic came in one lane.

    Of every subject whose last record lies before offset `whole`, all agreements in force at `whole_ms` have been told;
    before `next`, all those at `at_ms`; the backfill under way ends at `end`.
    """

    whole: int = 0
    whole_ms: int = 0
    next: int = 0
    end: int = 0
    at_ms: int = 0

    @property
    def under_way(self) -> bool:
        """Whether subjects remain to be told."""
        return self.next < self.end

    def begun(self, end: int, at_ms: int) -> "Reach":
        """A backfill of what lies before `end`, for the agreements in force at `at_ms`."""
        return Reach(self.whole, self.whole_ms, 0, end, at_ms).advanced(0)

    def advanced(self, next_: int) -> "Reach":
        """Further by one slice."""
        if next_ < self.end:
            return self._replace(next=next_)
        return Reach(self.end, self.at_ms, self.end, self.end, self.at_ms)

    def told(self, known: Previous) -> Previous:
        """A subject's state with the instant at which its agencies were last told of it."""
        at = self.at_ms if known.offset < self.next else self.whole_ms if known.offset < self.whole else 0
        return known._replace(at=at) if at > known.at else known


class Replayed(NamedTuple):
    """How far the replays of one source topic came in one lane: all up to epoch `done`, and the one of `epoch` before `next`."""

    done: int = -1
    epoch: int = -1
    next: int = 0
    end: int = 0

    @property
    def under_way(self) -> bool:
        """Whether one was begun and not ended."""
        return self.epoch > self.done

    def begun(self, epoch: int, end: int) -> "Replayed":
        """The replay of `epoch`, of what lies before `end`."""
        return Replayed(self.done, epoch, 0, end)

    def advanced(self, next_: int) -> "Replayed":
        """Further by one slice."""
        return self._replace(next=next_) if next_ < self.end else self.given_up()

    def given_up(self) -> "Replayed":
        """No further."""
        return Replayed(self.epoch, self.epoch)


class Progress(NamedTuple):
    """What was read again of one source topic in one lane."""

    reach: Reach = Reach()
    replayed: Replayed = Replayed()
    retried: int = -1
    """Epoch of the last retry of a quarantined record that was looked at."""

    @property
    def under_way(self) -> bool:
        """Whether something is being read again."""
        return self.reach.under_way or self.replayed.under_way

    def encode(self) -> str:
        """Text that goes with a committed offset."""
        return "-".join(str(number + 1) for number in (*self.reach, *self.replayed, self.retried))


def read_progress(text: str) -> Progress:
    """Progress of a text that `Progress.encode` made; none where there is none."""
    numbers = [int(number) - 1 for number in text.split("-")] if text else []
    if not numbers:
        return Progress()
    # What versions before this one wrote ends before the last number.
    return Progress(Reach(*numbers[:5]), Replayed(*numbers[5:9]), *numbers[9:])


@dataclass(frozen=True, slots=True)
class Slice:
    """Some records of a source topic to be read again, and how far that is; of a replay, or for new agreements (None)."""

    topic: str
    records: Sequence[Any]
    before: Progress
    after: Progress
    replay: Replay | None = None

    @property
    def run(self) -> int:
        """Number that the delivery ids of a replay are made with (R4); 0 for new agreements, which have their own."""
        return 0 if self.replay is None else self.replay.epoch

    @property
    def begins(self) -> bool:
        """Whether it is a replay's first."""
        return self.replay is not None and self.before.replayed.next == 0

    @property
    def ends(self) -> bool:
        """Whether it is a replay's last."""
        return self.replay is not None and not self.after.replayed.under_way
