"""What a product's records amount to now, folded in flat memory: how many subjects, which fields they have, how late they came.

Of many subjects a sample is kept: those whose Kafka key, which is a keyed hash, ends in a certain way (adaptive sampling,
Wegman; Flajolet 1990). A subject is in it or not for good, so that changes and deletions are followed; with 4,096 of them a
number of subjects is right to about 2 %.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from math import expm1, log, log1p
from typing import Any

from broker.errors import PoisonRecord
from broker.model.instants import stated_instant
from broker.model.intake import HOURS, NOTHING, Intake, Offered
from broker.model.quality import FEWEST, Quality, about, share, two_digits
from broker.model.record import schema_id_of
from broker.schema.guard import Walker
from broker.schema.presence import Presence

MOST_SUBJECTS = 4096

NOTES_HOURS = 29 * 24
"""With the last day, the 30 days that a note of the quarantine is kept: what was before, no process knows for long."""

_HOUR_MS = 3600 * 1000
_STEP = log(1.05)
"""Delays are told apart to 5 %."""


@dataclass(frozen=True, slots=True)
class Known:
    """A version of the product's schema."""

    walker: Walker
    presence: Presence


@dataclass(slots=True)
class PresentState:
    """Takes the records of a source topic, each lane's in order, and the notes of its quarantine; `known` finds a schema by id.

    Holds keyed hashes and counts, no value.
    """

    known: Callable[[int], Known | None]
    last_ms: int | None = None
    _refused: Counter[int] = field(default_factory=Counter)
    _one_in: int = 1
    _sample: dict[bytes, tuple[int, int]] = field(default_factory=dict, repr=False)
    _published: Counter[int] = field(default_factory=Counter)
    _delays: dict[int, Counter[int]] = field(default_factory=dict)

    def take(self, key: bytes | None, value: bytes | None, at_ms: int, *, now_ms: int) -> None:
        """One record of the source topic, as it was appended."""
        self.last_ms = max(at_ms, self.last_ms or 0)
        late = at_ms // _HOUR_MS > now_ms // _HOUR_MS - HOURS
        if late:
            self._published[at_ms // _HOUR_MS] += 1
        sampled = self._admits(key)
        if value is None:
            if sampled:
                self._sample.pop(key or b"", None)
            return
        identifier = schema_id_of(value)
        known = self.known(identifier) if identifier is not None and (late or sampled) else None
        if identifier is None or known is None:
            return
        try:
            offsets = known.walker.walk(value)
        except PoisonRecord:
            return  # its lane sets it aside
        if late:
            self._delay(known.walker.text(value, offsets, "recordedAt"), at_ms)
        if sampled and key is not None:
            self._sample[key] = identifier, known.presence.present(value, offsets)
            while len(self._sample) > MOST_SUBJECTS:
                self._one_in *= 2
                self._sample = {each: held for each, held in self._sample.items() if self._admits(each)}

    def note(self, value: bytes | None) -> None:
        """One note of the quarantine: counted where a lane set a record aside, for the first time."""
        try:
            line: Any = json.loads(value or b"")
            if line.get("adapter") is None and line.get("outcome") is None and not line.get("run"):
                self._refused[int(stated_instant(line["at"]).timestamp() * 1000) // _HOUR_MS] += 1
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            return

    def quality(
        self, paths: Iterable[str], intakes: Iterable[Intake], *, now: datetime, last_pass: datetime | None, whole: bool
    ) -> Quality:
        """The figures now; `paths` are the optional ones of the present schema, `intakes` those of the product's adapters."""
        self._tidy(now)
        day, everything = self._offered(list(intakes), now)
        return Quality(
            at=now,
            whole=whole,
            subjects=about(len(self._sample) * self._one_in) if whole else None,
            last_record=self._last_record(now),
            last_pass=last_pass,
            median_s=self._quantile(0.5),
            p95_s=self._quantile(0.95),
            completeness=self._completeness(paths) if whole else {},
            set_aside_day=share(day.set_aside, day.read),
            set_aside=share(everything.set_aside, everything.read),
        )

    def _admits(self, key: bytes | None) -> bool:
        """Whether a key's subject belongs to the sample. The first eight characters say the lane: these are others."""
        try:
            return key is not None and int(key[-8:], 16) % self._one_in == 0
        except ValueError:
            return False

    def _delay(self, recorded: bytes, at_ms: int) -> None:
        try:
            late_s = max(0.0, at_ms / 1000 - stated_instant(recorded.decode()).timestamp())
        except (ValueError, OverflowError):
            return
        self._delays.setdefault(at_ms // _HOUR_MS, Counter())[round(log1p(late_s) / _STEP)] += 1

    def _quantile(self, part: float) -> int | None:
        delays: Counter[int] = Counter()
        for each in self._delays.values():
            delays.update(each)
        if delays.total() < FEWEST:
            return None
        left = part * delays.total()
        for step in sorted(delays):
            left -= delays[step]
            if left <= 0:
                break
        return two_digits(expm1(step * _STEP))

    def _completeness(self, paths: Iterable[str]) -> dict[str, int]:
        found: Counter[str] = Counter()
        for (identifier, mask), times in Counter(self._sample.values()).items():
            if (known := self.known(identifier)) is not None:
                for bit, path in enumerate(known.presence.paths):
                    found[path] += times * (mask >> bit & 1)
        shares = {path: share(found[path], len(self._sample)) for path in paths}
        return {path: each for path, each in shares.items() if each is not None}

    def _offered(self, intakes: list[Intake], now: datetime) -> tuple[Offered, Offered]:
        """Of the last day, and in all. Where no adapter counts, the last day's are the records that were published."""
        refused = Offered(0, self._refused.total())
        lately = Offered(0, sum(times for hour, times in self._refused.items() if hour > self._before(now)))
        if not intakes:
            return lately.plus(Offered(self._published.total())), NOTHING
        day = everything = NOTHING
        for each in intakes:
            day, everything = day.plus(each.lately(now)), everything.plus(each.total)
        return day.plus(lately), everything.plus(refused)

    def _last_record(self, now: datetime) -> datetime | None:
        if self.last_ms is None or len(self._sample) < FEWEST:
            return None
        return datetime.fromtimestamp(self.last_ms // 60_000 * 60, now.tzinfo)

    def _before(self, now: datetime) -> int:
        """The last hour that does not count as the last day any more."""
        return int(now.timestamp() * 1000) // _HOUR_MS - HOURS

    def _tidy(self, now: datetime) -> None:
        before = self._before(now)
        for hour in [hour for hour in self._refused if hour <= before - NOTES_HOURS]:
            del self._refused[hour]
        for hour in [hour for hour in self._published if hour <= before]:
            del self._published[hour]
        for hour in [hour for hour in self._delays if hour <= before]:
            del self._delays[hour]
