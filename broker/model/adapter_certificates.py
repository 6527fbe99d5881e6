"""Certificates of adapters, and the fold of their facts: what was tried, who answers for it, until when, withdrawn or not.

The source's owner certifies a report of the conformance kit, the operator countersigns: two organisations, two facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

_LEAP_DAY = (2, 29)


@dataclass(frozen=True, slots=True)
class Binding:
    """What a certificate is about: a module, its package as it was (`sha256:<hex>`), and a source's product."""

    module: str
    package: str
    source: str
    product: str

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> Self:
        """The binding in a report; raises `KeyError`."""
        return cls(*(str(stated[name]) for name in ("module", "package", "source", "product")))


class Standing(StrEnum):
    """What a certificate is worth at an instant."""

    NONE = "none"
    PENDING = "pending"
    VALID = "valid"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class AdapterCertificate:
    """One report of the kit that the source's owner answers for, and from `countersigned` on the operator too.

    `adapter` is the name under which it runs; instants are in UTC. It is valid for twelve months: until `expires`.
    """

    id: str
    adapter: str
    binding: Binding
    report: Mapping[str, Any] = field(repr=False)
    certified: datetime
    countersigned: datetime | None = None
    countersigned_by: str = ""
    expires: datetime | None = None
    withdrawn: datetime | None = None
    withdrawn_by: str = ""
    why: str = ""

    def standing(self, at: datetime) -> Standing:
        """What it is worth at `at`."""
        if self.withdrawn is not None:
            return Standing.WITHDRAWN
        if self.expires is None:
            return Standing.PENDING
        return Standing.VALID if at < self.expires else Standing.EXPIRED


@dataclass(slots=True)
class CertificateBook:
    """All certificates by id, in the order of their facts."""

    held: dict[str, AdapterCertificate] = field(default_factory=dict)

    def certify(self, data: Mapping[str, Any], by: str, at: datetime) -> bool:
        """Take one in; False where it is not its source's own, or is there already. Raises `KeyError` where it is no report."""
        identifier, report = str(data["id"]), data["report"]
        binding = Binding.of(report)
        if by != binding.source or identifier in self.held:
            return False
        self.held[identifier] = AdapterCertificate(identifier, str(report["adapter"]), binding, report, at)
        return True

    def countersign(self, data: Mapping[str, Any], by: str, at: datetime) -> bool:
        """The other signature; False where none is waited for, or by the same organisation."""
        held = self.held.get(str(data["id"]))
        if held is None or held.standing(at) is not Standing.PENDING or by == held.binding.source:
            return False
        self.held[held.id] = replace(held, countersigned=at, countersigned_by=by, expires=a_year_after(at))
        return True

    def withdraw(self, data: Mapping[str, Any], by: str, at: datetime) -> bool:
        """End one for good; False where it was."""
        held = self.held.get(str(data["id"]))
        if held is None or held.withdrawn is not None:
            return False
        self.held[held.id] = replace(held, withdrawn=at, withdrawn_by=by, why=str(data.get("why", "")))
        return True

    def standing(self, binding: Binding, at: datetime) -> Standing:
        """The best that any certificate of it is worth at `at`; of those that are worth nothing, the latest says why."""
        found = [each.standing(at) for each in self.held.values() if each.binding == binding]
        if Standing.VALID in found:
            return Standing.VALID
        return found[-1] if found else Standing.NONE

    def valid(self, binding: Binding, at: datetime) -> str:
        """Id of the latest certificate of it that is valid at `at`; empty where none is."""
        found = (each.id for each in self.held.values() if each.binding == binding)
        return next((each for each in reversed([*found]) if self.held[each].standing(at) is Standing.VALID), "")


def a_year_after(at: datetime) -> datetime:
    """The same day and time, twelve months later; 28 February for the 29th."""
    leap = (at.month, at.day) == _LEAP_DAY
    return at.replace(year=at.year + 1, day=28 if leap else at.day)
