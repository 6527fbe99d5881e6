"""Mandates of processors (art. 28 GDPR): who may read an agency's streams for it, and until when; and the fold of their facts."""

from collections.abc import Mapping
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


@dataclass(slots=True)
class MandateBook:
    """The latest mandate of each organisation to each processor."""

    given: dict[tuple[str, str], Mandate] = field(default_factory=dict)

    def give(self, data: Mapping[str, Any], at: datetime, epoch: int) -> bool:
        """Give one, in the place of an earlier one; False for an organisation to itself.

        Raises `KeyError`, `TypeError` or `ValueError` where `data` is not of its type.
        """
        organisation, processor, named = str(data["organisation"]), str(data["processor"]), data.get("agreements")
        if organisation == processor:
            return False
        self.given[organisation, processor] = Mandate(
            organisation,
            processor,
            str(data["reference"]),
            None if named is None else frozenset(map(str, named)),
            optional_instant(data.get("begin")) or at,
            optional_instant(data.get("end")),
            epoch,
        )
        return True

    def end(self, data: Mapping[str, Any], at: datetime) -> bool:
        """End one now; False where none is in force or to come."""
        key = str(data["organisation"]), str(data["processor"])
        held = self.given.get(key)
        if held is None or (held.end is not None and held.end <= at):
            return False
        self.given[key] = replace(held, end=max(at, held.begin))
        return True

    def allows(self, organisation: str, processor: str, agreement: str, instant: datetime) -> bool:
        """Whether `processor` may read the organisation's `agreement` at `instant`."""
        held = self.given.get((organisation, processor))
        return held is not None and held.holds(instant) and held.covers(agreement)
