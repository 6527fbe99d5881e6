"""Mandates of processors (art. 28 GDPR): who may read an agency's streams for it, and until when; and the fold of their facts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from broker.model.instants import optional_instant


@dataclass(frozen=True, slots=True)
class Mandate:
    """`processor` reads for `organisation`, in `[begin, end)`; `agreements` None: all of them, those to come included.

    `reference` is that of the contract between the two. Instants are in UTC.
    """

    organisation: str
    processor: str
    reference: str
    agreements: frozenset[str] | None
    begin: datetime
    end: datetime | None
    epoch: int

    def holds(self, instant: datetime) -> bool:
        """Whether it is in force at `instant`."""
        return self.begin <= instant and (self.end is None or instant < self.end)

    def covers(self, agreement: str) -> bool:
        """Whether it is about this agreement."""
        return self.agreements is None or agreement in self.agreements


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which a mandate let its processor read: `[since, until)`, never before its fact whatever it states.

    It began with the fact of epoch `begun`, and was replaced or ended by that of `over`; None where it was not.
    """

    mandate: Mandate
    since: datetime
    until: datetime | None
    begun: int
    over: int | None = None

    @property
    def never_came(self) -> bool:
        """Whether it was over before it began."""
        return self.until == self.since

    def closed(self, at: datetime, epoch: int) -> "Spell":
        """Over by a fact of `epoch`, unless its term was before."""
        until = at if self.until is None else min(at, self.until)
        return replace(self, until=max(until, self.since), over=epoch)

    def was_over(self, epoch: int, at: datetime) -> bool:
        """Whether it opened nothing any more of what was decided under `epoch`, at `at`; facts are ordered by epoch, not by clock."""
        term = self.mandate.end
        return (self.over is not None and self.over <= epoch) or (term is not None and term <= at)

    def continues(self, before: "Spell") -> bool:
        """Whether it is `before` under the same contract, given again without a gap."""
        return before.until == self.since and before.mandate.reference == self.mandate.reference


@dataclass(frozen=True, slots=True)
class Actor:
    """A processor that could read a delivery for its agency, in `[since, until)`, under the contract `reference`.

    `later`: it was let in after the delivery was decided, and read what was still kept.
    """

    processor: str
    reference: str
    since: datetime
    until: datetime | None
    later: bool


@dataclass(slots=True)
class MandateBook:
    """The latest mandate of each organisation to each processor, and all that were before.

    What `given` holds is what holds now; `actors_of` tells of the past.
    """

    given: dict[tuple[str, str], Mandate] = field(default_factory=dict)
    _spells: dict[tuple[str, str], list[Spell]] = field(default_factory=dict)

    def give(self, data: Mapping[str, Any], at: datetime, epoch: int) -> bool:
        """Give one, in the place of an earlier one; False for an organisation to itself.

        Raises `KeyError`, `TypeError` or `ValueError` where `data` is not of its type.
        """
        organisation, processor, named = str(data["organisation"]), str(data["processor"]), data.get("agreements")
        if organisation == processor:
            return False
        made = Mandate(
            organisation,
            processor,
            str(data["reference"]),
            None if named is None else frozenset(map(str, named)),
            optional_instant(data.get("begin")) or at,
            optional_instant(data.get("end")),
            epoch,
        )
        self._close(organisation, processor, at, epoch)
        self.given[organisation, processor] = made
        since = max(made.begin, at)
        until = None if made.end is None else max(made.end, since)
        self._spells.setdefault((organisation, processor), []).append(Spell(made, since, until, epoch))
        return True

    def end(self, data: Mapping[str, Any], at: datetime, epoch: int) -> bool:
        """End one now; False where none is in force or to come."""
        key = str(data["organisation"]), str(data["processor"])
        held = self.given.get(key)
        if held is None or (held.end is not None and held.end <= at):
            return False
        self._close(*key, at, epoch)
        self.given[key] = replace(held, end=max(at, held.begin))
        return True

    def allows(self, organisation: str, processor: str, agreement: str, instant: datetime) -> bool:
        """Whether `processor` may read the organisation's `agreement` at `instant`."""
        held = self.given.get((organisation, processor))
        return held is not None and held.holds(instant) and held.covers(agreement)

    def actors_of(
        self, organisation: str, agreement: str, epoch: int, decided_at: datetime, until: datetime
    ) -> tuple[Actor, ...]:
        """Who could read for `organisation` what was decided under `epoch` at `decided_at`, and was kept until `until`.

        Those with a mandate then, and those who got one while it was still kept; by name and then by instant. Whoever is
        named could have read it, whether or not they did; nobody else could, but the organisation itself.
        """
        found: list[Actor] = []
        for (giver, processor), spells in sorted(self._spells.items()):
            if giver != organisation:
                continue
            for spell in _joined(each for each in spells if each.mandate.covers(agreement)):
                if spell.since < until and not spell.was_over(epoch, decided_at):
                    later = spell.begun > epoch or spell.since > decided_at
                    found.append(Actor(processor, spell.mandate.reference, spell.since, spell.until, later))
        return tuple(found)

    def _close(self, organisation: str, processor: str, at: datetime, epoch: int) -> None:
        spells = self._spells.get((organisation, processor), [])
        if spells and spells[-1].over is None:
            spells[-1] = spells[-1].closed(at, epoch)


def _joined(spells: Iterable[Spell]) -> Iterator[Spell]:
    """The times without a break: a mandate that is given again, wider or narrower, goes on."""
    held: Spell | None = None
    for spell in spells:
        if spell.never_came:
            continue
        if held is not None and spell.continues(held):
            held = replace(spell, since=held.since, begun=held.begun)
            continue
        if held is not None:
            yield held
        held = spell
    if held is not None:
        yield held
