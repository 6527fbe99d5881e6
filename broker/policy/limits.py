"""The limits an agreement stays under: purposes and ceilings, the effective ceiling of a purpose, and what a change cuts.

A ceiling belongs to the source. One that names no source counts for every source of its product that has set none itself.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from broker.errors import Invalid
from broker.model.agreement import Agreement, Ceiling, FieldCeiling, Transform
from broker.model.control_state import ControlState
from broker.model.purpose import Purposes
from broker.policy import limit_documents
from broker.policy.attest import ATTESTED
from broker.policy.compiler import leaves_of
from broker.policy.findings import Finding
from broker.policy.views import SchemaView

Ceilings = Mapping[tuple[str | None, str, str], Ceiling]
"""By (source, product, purpose); source None: for every source of the product without its own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Purposes and ceilings in force at one policy epoch."""

    purposes: Purposes
    ceilings: Ceilings
    _effective: dict[tuple[str, str, str], Ceiling] = field(init=False, repr=False, compare=False, default_factory=dict)

    def effective(self, agreement: Agreement) -> Ceiling:
        """The ceiling over an agreement; raises `Invalid` where its purpose is unknown."""
        over = agreement.source, agreement.product, agreement.purpose
        known = self._effective.get(over)
        if known is None:  # of thousands of agreements most are under the same few
            known = self._effective[over] = effective_ceiling(self.purposes, self.ceilings, *over)
        return known

    def allow(self, agreement: Agreement) -> bool:
        """Whether the agreement stays under its effective ceiling; if not, its records are withheld."""
        return not _above(agreement, self)

    def offered(self, source: str, product: str, purpose: str) -> Ceiling | None:
        """The most that anyone may have of a product for a purpose; None where that is nothing."""
        try:
            ceiling = effective_ceiling(self.purposes, self.ceilings, source, product, purpose)
        except Invalid:
            return None
        return ceiling if ceiling.fields else None


def limits_of(state: ControlState) -> Limits:
    """Limits in the control log; equal documents give the same values, read once."""
    return Limits(
        _purposes(json.dumps(state.purposes)) if state.purposes else Purposes({}),
        {key: _ceiling(json.dumps(document)) for key, document in state.ceilings.items()},
    )


@lru_cache(maxsize=16)
def _purposes(text: str) -> Purposes:
    return limit_documents.purposes(json.loads(text))


@lru_cache(maxsize=4096)
def _ceiling(text: str) -> Ceiling:
    return limit_documents.ceiling(json.loads(text))


def own_ceiling(ceilings: Ceilings, source: str, product: str, purpose: str) -> Ceiling | None:
    """What the source itself set for the purpose, else what counts for all sources of the product."""
    own = ceilings.get((source, product, purpose))
    return own if own is not None else ceilings.get((None, product, purpose))


def watched_paths(ceilings: Ceilings, source: str, product: str) -> frozenset[str]:
    """Paths that an agreement on the product may select subjects by, or ask a question about, under whatever purpose."""
    own = [each for each in ceilings.values() if each.product == product and each.source in {None, source}]
    asked = (path for each in own for path, field in each.fields.items() if not ATTESTED.isdisjoint(field.transforms))
    return frozenset(asked).union(*(each.selectable for each in own))


def effective_ceiling(purposes: Purposes, ceilings: Ceilings, source: str, product: str, purpose: str) -> Ceiling:
    """The purpose's own ceiling cut by those of all its ancestors; empty where one of them has none (default deny).

    `keep` in a ceiling allows every transform: whoever may have the value may have less. Raises `Invalid` for an
    unknown purpose.
    """
    lineage = [own_ceiling(ceilings, source, product, member.code) for member in purposes.lineage(purpose)]
    own = [ceiling for ceiling in lineage if ceiling is not None]
    if len(own) < len(lineage):
        return Ceiling(product, purpose, {}, frozenset(), source=source)
    fields: dict[str, FieldCeiling] = {}
    for path in own[0].fields:
        allowed = frozenset.intersection(*(_allowed(ceiling, path) for ceiling in own))
        if allowed:
            fields[path] = FieldCeiling(path, allowed)
    return Ceiling(
        product,
        purpose,
        fields,
        frozenset.intersection(*(ceiling.selectable for ceiling in own)),
        onward_sharing=all(ceiling.onward_sharing for ceiling in own),
        source=source,
        quasi_identifiers=tuple(dict.fromkeys(group for ceiling in own for group in ceiling.quasi_identifiers)),
    )


def above_ceiling(agreement: Agreement, purposes: Purposes, ceilings: Ceilings) -> tuple[Finding, ...]:
    """What the agreement asks beyond the owner's ceiling for its purpose; needs no schema."""
    return _above(agreement, Limits(purposes, ceilings))


def _above(agreement: Agreement, limits: Limits) -> tuple[Finding, ...]:
    if agreement.purpose not in limits.purposes.by_code:
        return (Finding("UNKNOWN_PURPOSE", "purpose", "the purpose is not in the list: name one of purposes.yaml"),)
    ceiling = limits.effective(agreement)
    found = []
    for released in agreement.fields:
        granted = ceiling.fields.get(released.path)
        if granted is None:
            text = (
                f"the owner allows nobody this field for {agreement.purpose} (default deny): drop it or ask the owner"
            )
            found.append(Finding("ABOVE_CEILING", released.path, text))
        elif released.transform not in granted.transforms:
            allowed = ", ".join(sorted(granted.transforms))
            text = f"the owner allows {agreement.purpose} this field only as {allowed}, not as {released.transform}: ask that"
            found.append(Finding("ABOVE_CEILING", released.path, text))
    for leaf in leaves_of(agreement.population.where):
        if leaf.path not in ceiling.selectable:
            text = f"the owner does not let {agreement.purpose} select subjects on this field: narrow by another one"
            found.append(Finding("NOT_SELECTABLE", leaf.path, text))
    onward = agreement.conditions.onward
    if onward is not None and onward.allowed and not ceiling.onward_sharing:
        text = (
            f"the owner does not let data for {agreement.purpose} be passed on (art. 5.1.b GDPR): "
            "set `allowed: false` or ask the owner for `onward_sharing`"
        )
        found.append(Finding("ONWARD_ABOVE_CEILING", "conditions.onward.allowed", text))
    return tuple(found)


def ceiling_faults(ceiling: Ceiling, schema: SchemaView) -> tuple[Finding, ...]:
    """Paths in a ceiling that its product has not, or that no population can select on."""
    known = schema.fields
    named = {
        "fields": set(ceiling.fields),
        "selectable": ceiling.selectable,
        "quasi_identifiers": {path for group in ceiling.quasi_identifiers for path in group},
    }
    return (
        *(
            Finding("UNKNOWN_PATH", place, f"{path} is no field of {ceiling.product}: see `datanuts product show`")
            for place, paths in named.items()
            for path in sorted(paths - set(known))
        ),
        *(
            Finding("REPEATED_PATH", "selectable", f"{path} may hold several values in one record: take it out")
            for path in sorted(ceiling.selectable & set(known))
            if known[path].repeated
        ),
    )


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change of limits does to one agreement: `findings` that it cuts by, none where it lets it deliver again."""

    agreement: Agreement
    findings: tuple[Finding, ...]


def effects(before: Limits, after: Limits, agreements: Iterable[Agreement]) -> tuple[Effect, ...]:
    """The agreements that a change of limits cuts or restores, in the given order; others are left out.

    An agreement that was above its ceiling already is cut only by what it newly breaks.
    """
    found = []
    for agreement in agreements:
        held = above_ceiling(agreement, before.purposes, before.ceilings)
        broken = above_ceiling(agreement, after.purposes, after.ceilings)
        new = tuple(finding for finding in broken if finding not in held)
        if new or (held and not broken):
            found.append(Effect(agreement, new))
    return tuple(found)


def _allowed(ceiling: Ceiling, path: str) -> frozenset[Transform]:
    granted = ceiling.fields.get(path)
    if granted is None:
        return frozenset()
    return frozenset(Transform) if Transform.KEEP in granted.transforms else granted.transforms
