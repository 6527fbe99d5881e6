"""Purposes, ceilings and organisations on the control log: set by whom they belong to, with the agreements that a change cuts.

A ceiling is the source's own word: only its owner sets or withdraws it, and routers withhold what lies above it from the
next record on. Purposes are the operator's list; what they may be used for stays with the sources' ceilings.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from broker.control import organisations
from broker.control.log import ControlLog
from broker.errors import Forbidden, Invalid, NotFound, Outdated
from broker.model.agreement import Agreement, Ceiling, State
from broker.model.control_state import ControlState
from broker.model.facts import FactType
from broker.model.lifecycle import AgreementEntry
from broker.model.purpose import Purposes
from broker.policy import documents, limit_documents
from broker.policy.findings import Finding
from broker.policy.limits import Limits, ceiling_faults, effects, limits_of, own_ceiling
from broker.policy.organisations import organisation
from broker.policy.quasi_identifiers import warnings
from broker.schema.avro import load_schema

_OVER = frozenset({State.ENDED, State.REVOKED})


@dataclass(frozen=True, slots=True)
class Touched:
    """An agreement that a change cuts, by `findings`, or lets deliver again, without any."""

    agreement: str
    version: int
    state: State
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class LimitChange:
    """What a change of limits does; `written` is false for a preview, and where nothing differs from what is in force."""

    written: bool
    differs: bool
    touched: tuple[Touched, ...]


@dataclass(frozen=True, slots=True)
class Policies:
    """Use-cases of operator and owners on the limits in force."""

    control: ControlLog

    async def set_purposes(
        self, document: Mapping[str, Any], by: str, *, if_match: str | None = None, preview: bool = False
    ) -> LimitChange:
        """Replace the list of purposes.

        Raises `Invalid` where it contradicts itself or drops one that is in use, `Outdated` where the list is no longer
        the version `if_match`.
        """
        purposes = limit_documents.purposes(document)
        await self.control.read_to_head()
        state, before = self.control.state, limits_of(self.control.state)
        used = {purpose for _, _, purpose in state.ceilings}
        used |= {str(entry.document["purpose"]) for entry in _standing(state)}
        if gone := sorted((used & set(before.purposes.by_code)) - set(purposes.by_code)):
            raise Invalid(
                f"purposes: a ceiling or an agreement still names {', '.join(gone)}: end or change that first"
            )
        if if_match not in {None, "*", str(state.version("purposes"))}:
            raise Outdated("the list of purposes changed since it was read: read it again")
        listed = limit_documents.purpose_documents(purposes)
        after, differs = Limits(purposes, before.ceilings), listed != list(state.purposes)
        change = _change(before, after, _standing(state), differs=differs)
        if change.differs and not preview:
            await self.control.append(FactType.PURPOSES, "purposes", {"purposes": listed}, by=by)
        return _written(change, preview=preview)

    async def register(self, document: Mapping[str, Any], by: str) -> bool:
        """Make an organisation known, or known otherwise; whether anything differed. It issues no credential."""
        return await organisations.register(self.control, organisation(document), by=by)

    async def set_ceiling(
        self,
        source: str,
        product: str,
        purpose: str,
        document: Mapping[str, Any],
        by: str,
        *,
        if_match: str | None = None,
        preview: bool = False,
    ) -> LimitChange:
        """Set what the source lets anyone have for the purpose; `document` may leave out what the names say already.

        Raises `Forbidden` for anyone but the source, `NotFound` for a product it does not offer, `Invalid` for paths and
        purposes there are not, `Outdated` where the ceiling is no longer the one of tag `if_match`.
        """
        named = {"source": source, "product": product, "purpose": purpose}
        for part, name in named.items():
            if document.get(part, name) != name:
                raise Invalid(
                    f"{part}: this is the ceiling of {source} on {product} for {purpose}; leave it out, or agree"
                )
        ceiling = limit_documents.ceiling({**document, **named})
        await self._own(source, product, by)
        self._fits(ceiling, source)
        return await self._set(ceiling, by, if_match=if_match, preview=preview)

    async def withdraw_ceiling(
        self, source: str, product: str, purpose: str, by: str, *, if_match: str | None = None, preview: bool = False
    ) -> LimitChange:
        """Let nobody have anything for the purpose any more: from now on the source's own ceiling there is empty.

        Raises as `set_ceiling`, and `NotFound` where there is no ceiling to withdraw.
        """
        await self._own(source, product, by)
        if own_ceiling(limits_of(self.control.state).ceilings, source, product, purpose) is None:
            raise NotFound("no ceiling of this source for this purpose")
        nothing = Ceiling(product, purpose, {}, frozenset(), source=source)
        return await self._set(nothing, by, if_match=if_match, preview=preview)

    async def _own(self, source: str, product: str, by: str) -> None:
        if by != source:
            raise Forbidden("a ceiling is the source's own: only its owner sets it")
        await self.control.read_to_head()
        if (source, product) not in self.control.state.products:
            raise NotFound("no such product of this source")

    def _fits(self, ceiling: Ceiling, source: str) -> None:
        state = self.control.state
        if ceiling.purpose not in limits_of(state).purposes.by_code:
            raise Invalid("purpose: it is not in the list of purposes")
        schema = load_schema(state.schemas[state.products[source, ceiling.product].schema_id].text)
        if faults := ceiling_faults(ceiling, schema):
            raise Invalid("; ".join(f"{fault.path}: {fault.text}" for fault in faults))

    async def _set(self, ceiling: Ceiling, by: str, *, if_match: str | None, preview: bool) -> LimitChange:
        before = limits_of(self.control.state)
        if if_match not in {None, "*", tag(self.control.state, by, ceiling.product, ceiling.purpose)}:
            raise Outdated(
                "the ceiling changed since it was read: read it again and see whether the change still holds"
            )
        differs = own_ceiling(before.ceilings, by, ceiling.product, ceiling.purpose) != ceiling
        after = Limits(before.purposes, {**before.ceilings, ceiling.key: ceiling})
        named = {"source": by, "product": ceiling.product}
        own = (entry for entry in _standing(self.control.state) if named.items() <= entry.document.items())
        change = _change(before, after, own, differs=differs)
        if differs and not preview:
            document = limit_documents.ceiling_document(ceiling)
            await self.control.append(FactType.CEILING, _aggregate(*ceiling.key), document, by=by)
        return _written(change, preview=preview)


def small_cells(state: ControlState, agreement: Agreement) -> tuple[Finding, ...]:
    """Combinations of fields in a requested agreement that both sides should weigh; none for an unknown product."""
    product = state.products.get((agreement.source, agreement.product))
    if product is None:
        return ()
    return warnings(
        agreement, load_schema(state.schemas[product.schema_id].text), limits_of(state).effective(agreement)
    )


async def set_limits(control: ControlLog, purposes: Purposes, ceilings: Iterable[Ceiling], *, by: str) -> int:
    """Bring an installation's reviewed documents into force; returns the number of facts this took (0: nothing differed).

    A ceiling that names its source is only proposed to it here: once the source set one, that stands. A purpose or ceiling
    that no longer has a document stays in force: taking one away is a decision, not the absence of a file.
    """
    await control.read_to_head()
    state, written = control.state, 0
    both = Purposes({**limits_of(state).purposes.by_code, **purposes.by_code})
    listed = limit_documents.purpose_documents(both)
    if list(state.purposes) != listed:
        await control.append(FactType.PURPOSES, "purposes", {"purposes": listed}, by=by)
        written += 1
    for ceiling in ceilings:
        document, held = limit_documents.ceiling_document(ceiling), state.ceilings.get(ceiling.key)
        if held is None or (ceiling.source is None and held != document):
            await control.append(FactType.CEILING, _aggregate(*ceiling.key), document, by=by)
            written += 1
    return written


def tag(state: ControlState, source: str, product: str, purpose: str) -> str:
    """Changes whenever the ceiling that counts for the source does: by its own word, or by the one for all sources."""
    versions = (state.version(_aggregate(owner, product, purpose)) for owner in (source, None))
    return "-".join(map(str, versions))


def _aggregate(source: str | None, product: str, purpose: str) -> str:
    return "/".join(part for part in ("ceiling", source, product, purpose) if part is not None)


def _standing(state: ControlState) -> Iterator[AgreementEntry]:
    """Every agreement that is asked for or in force, amendments included."""
    entries = chain(state.agreements.values(), state.amendments.values())
    return (entry for entry in entries if entry.state not in _OVER)


def _change(before: Limits, after: Limits, entries: Iterable[AgreementEntry], *, differs: bool) -> LimitChange:
    standing = {(entry.id, entry.version): entry for entry in entries}
    found = []
    for effect in effects(before, after, (documents.agreement(entry.document) for entry in standing.values())):
        entry = standing[effect.agreement.id, effect.agreement.version]
        found.append(Touched(entry.id, entry.version, entry.state, effect.findings))
    return LimitChange(written=False, differs=differs, touched=tuple(found))


def _written(change: LimitChange, *, preview: bool) -> LimitChange:
    return LimitChange(change.differs and not preview, change.differs, change.touched)
