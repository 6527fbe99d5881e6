"""Purposes: why an agency may process. A DAG; the effective ceiling of a purpose is its own, cut by all its ancestors'."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from broker.errors import Invalid


@dataclass(frozen=True, slots=True)
class Purpose:
    """One purpose: our code, plain Dutch, and the codes others know it by (IPDC/MPDC, MAGDA hoedanigheid, DPV IRI)."""

    code: str
    title: str
    description: str
    parents: tuple[str, ...] = ()
    dpv: str | None = None
    ipdc: str | None = None
    hoedanigheid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Purposes:
    """All purposes of a deployment, checked: every parent exists and there is no cycle."""

    by_code: Mapping[str, Purpose]

    def __post_init__(self) -> None:
        for purpose in self.by_code.values():
            for parent in purpose.parents:
                if parent not in self.by_code:
                    raise Invalid(f"purpose {purpose.code}: parent {parent} does not exist")
            if purpose.code in {ancestor.code for ancestor in self._above(purpose, len(self.by_code))}:
                raise Invalid(f"purpose {purpose.code}: is its own ancestor")

    def lineage(self, code: str) -> tuple[Purpose, ...]:
        """The purpose and all its ancestors, itself first; raises `Invalid` for an unknown code."""
        if code not in self.by_code:
            raise Invalid(f"purpose {code} is not in the list of purposes")
        own = self.by_code[code]
        seen = {own.code: own}
        for ancestor in self._above(own, len(self.by_code)):
            seen.setdefault(ancestor.code, ancestor)
        return tuple(seen.values())

    def _above(self, purpose: Purpose, depth: int) -> Iterator[Purpose]:
        if not depth:
            return
        for parent in purpose.parents:
            if parent in self.by_code:
                yield self.by_code[parent]
                yield from self._above(self.by_code[parent], depth - 1)
