"""Policies as code: what a reviewed folder would change in the control log, as a plan, like that of a migration tool.

A plan only ever creates and changes. What the log holds and the folder does not is told, never taken away; and a plan
requests agreements: approval, signatures and publication stay with their actors.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from broker.model.agreement import Agreement, Ceiling, State
from broker.model.lifecycle import EDITABLE, IN_FORCE
from broker.model.purpose import Purposes
from broker.policy import documents, limit_documents
from broker.policy.check import check
from broker.policy.clauses import gaps
from broker.policy.findings import Finding
from broker.policy.limits import Limits, ceiling_faults
from broker.policy.organisations import organisation_document
from broker.policy.policy_items import OPERATOR, Action, Held, HeldVersion, Item, Kind, Plan, Reviewed
from broker.policy.quasi_identifiers import warnings
from broker.schema.avro import Schema, encode_literal

_OVER = frozenset({State.ENDED, State.REVOKED})
_WAITS = {
    State.DRAFT: "waits for {agency} to request it",
    State.REQUESTED: "waits for {source} to approve it",
    State.APPROVED: "waits for advice and signatures of {source} and {agency}",
    State.SIGNED: "waits for {source} to publish it",
    State.PUBLISHED: "waits for its start",
    State.SUSPENDED: "suspended: waits for {source} to resume it",
    State.REVOKED: "revoked: it delivers nothing",
    State.ENDED: "ended: it delivers nothing",
}


def plan(reviewed: Reviewed, held: Held) -> Plan:
    """Compare a folder with the log; agreements are checked as they will stand once the rest of the folder is in force."""
    own = reviewed.purposes[1].by_code if reviewed.purposes else {}
    # Never a contradiction: what only the log holds lies below the folder's own purposes, if anywhere near them.
    purposes = Purposes({**held.purposes, **own})
    limits = Limits(purposes, {**held.ceilings, **{each.key: each for _, each in _owned(reviewed, held)}})
    unreadable = tuple(
        Item(_kind_of(file), file, Action.REFUSED, file, findings=findings)
        for file, findings in reviewed.unreadable.items()
    )
    items = (
        *unreadable,
        *_organisations(reviewed, held),
        *_purposes(reviewed, held),
        *_ceilings(reviewed, held, purposes),
        *_agreements(reviewed, held, limits),
    )
    order = list(Kind)
    return Plan(tuple(sorted(items, key=lambda item: order.index(item.kind))), purposes)


def _kind_of(file: str) -> Kind:
    for kind in (Kind.ORGANISATION, Kind.PURPOSE, Kind.CEILING):
        if f"{kind.value}s" in file:
            return kind
    return Kind.AGREEMENT


def _organisations(reviewed: Reviewed, held: Held) -> Iterator[Item]:
    for organisation, file in reviewed.organisations.items():
        action = _action(held.organisations.get(organisation.id), organisation)
        document = organisation_document(organisation)
        yield Item(Kind.ORGANISATION, organisation.id, action, file, OPERATOR, document=document)
    if reviewed.organisations:
        listed = {organisation.id for organisation in reviewed.organisations} | {OPERATOR}
        for gone in sorted(set(held.organisations) - listed):
            yield Item(Kind.ORGANISATION, gone, Action.GONE)


def _purposes(reviewed: Reviewed, held: Held) -> Iterator[Item]:
    if reviewed.purposes is None:
        return
    file, own = reviewed.purposes
    for code, purpose in own.by_code.items():
        yield Item(Kind.PURPOSE, code, _action(held.purposes.get(code), purpose), file, OPERATOR)
    for gone in sorted(set(held.purposes) - set(own.by_code)):
        yield Item(Kind.PURPOSE, gone, Action.GONE)


def _ceilings(reviewed: Reviewed, held: Held, purposes: Purposes) -> Iterator[Item]:
    if not reviewed.ceilings:
        return
    owned = _owned(reviewed, held)
    for file, own in owned:
        action, findings = _action(held.ceilings.get(own.key), own), _ceiling_faults(own, purposes, reviewed.schemas)
        action = Action.REFUSED if findings else action
        document = limit_documents.ceiling_document(own)
        yield Item(Kind.CEILING, _named(own), action, file, own.source, findings=findings, document=document)
    for file, ceiling in reviewed.ceilings:
        if not any(
            ceiling.product == product and ceiling.source in {None, source} for source, product in held.products
        ):
            text = (
                f"{ceiling.source or 'nobody'} offers no {ceiling.product} yet: it is declared when the broker starts"
            )
            finding = Finding("UNKNOWN_PRODUCT", "product", text)
            yield Item(Kind.CEILING, _named(ceiling), Action.REFUSED, file, findings=(finding,))
    for key in sorted(set(held.ceilings) - {own.key for _, own in owned}, key=str):
        yield Item(Kind.CEILING, _named(held.ceilings[key]), Action.GONE)


def _owned(reviewed: Reviewed, held: Held) -> list[tuple[str, Ceiling]]:
    """The folder's ceilings as each source's own: one that names no source is one for every source without its own."""
    named = {ceiling.key for _, ceiling in reviewed.ceilings}
    return [
        (file, replace(ceiling, source=source))
        for file, ceiling in reviewed.ceilings
        for source, product in sorted(held.products)
        if product == ceiling.product
        and (ceiling.source == source or (ceiling.source is None and (source, product, ceiling.purpose) not in named))
    ]


def _ceiling_faults(own: Ceiling, purposes: Purposes, schemas: Mapping[str, Schema]) -> tuple[Finding, ...]:
    found = []
    if own.purpose not in purposes.by_code:
        found.append(Finding("UNKNOWN_PURPOSE", "purpose", "it is not in the list: name one of purposes.yaml"))
    if (schema := schemas.get(own.product)) is not None:
        found += ceiling_faults(own, schema)
    return tuple(found)


def _named(ceiling: Ceiling) -> str:
    return "/".join(part for part in ceiling.key if part is not None)


def _agreements(reviewed: Reviewed, held: Held, limits: Limits) -> Iterator[Item]:
    organisations = {each.id for each in reviewed.organisations} | set(held.organisations)
    offered = held.products | reviewed.offered
    for file, asked in reviewed.agreements:
        if held.reader not in {None, asked.source, asked.agency}:
            continue
        examined = _Examined.of(asked, reviewed.schemas.get(asked.product), limits, organisations)
        if (asked.source, asked.product) not in offered:
            text = f"{asked.source} offers no {asked.product}: name a declared product and its source"
            examined = _Examined((Finding("UNKNOWN_PRODUCT", "product", text),))
        yield _agreement(file, asked, examined, held.agreements.get(asked.id, ()))
    listed = {asked.id for _, asked in reviewed.agreements}
    for gone in sorted(set(held.agreements) - listed) if reviewed.whole else ():
        last = held.agreements[gone][-1]
        if last.state not in _OVER:
            yield Item(Kind.AGREEMENT, gone, Action.GONE, note=_standing(last))


@dataclass(frozen=True, slots=True)
class _Examined:
    """`findings` refuse an agreement, `gaps` are clauses it leaves open until it is approved, `warnings` are to weigh."""

    findings: tuple[Finding, ...] = ()
    gaps: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, asked: Agreement, schema: Schema | None, limits: Limits, organisations: Collection[str]) -> "_Examined":
        """Nothing where the folder has no schema of the product: the broker checks the request."""
        if schema is None:
            return cls()
        findings = check(
            asked,
            purposes=limits.purposes,
            ceilings=limits.ceilings,
            schema=schema,
            encode=partial(encode_literal, schema),
            organisations=organisations,
        )
        if findings:
            return cls(findings)
        return cls((), gaps(asked, schema), warnings(asked, schema, limits.effective(asked)))


def _agreement(file: str, asked: Agreement, examined: _Examined, versions: tuple[HeldVersion, ...]) -> Item:
    item = Item(Kind.AGREEMENT, asked.id, Action.UNCHANGED, file, asked.agency)
    same = next((known for known in versions if known.agreement == asked), None)
    if same is not None:
        cut = examined.findings if same.state not in _OVER else ()
        return replace(item, note=_standing(same), findings=(*cut, *(examined.gaps if same.state in EDITABLE else ())))
    if stands := _in_the_way(asked, versions):
        return replace(
            item, action=Action.REFUSED, findings=(stands,), note=_standing(versions[-1]) if versions else ""
        )
    if examined.findings:
        return replace(item, action=Action.REFUSED, findings=examined.findings)
    return replace(
        item,
        action=Action.CHANGE if versions else Action.CREATE,
        note=_next_note(asked, versions, examined.gaps),
        findings=(*examined.gaps, *examined.warnings),
        document=documents.agreement_document(asked),
    )


def _in_the_way(asked: Agreement, versions: tuple[HeldVersion, ...]) -> Finding | None:
    """Why this version cannot be requested as it is: the versions that the log holds decide on its number."""
    if not versions:
        return None if asked.version == 1 else Finding("NOT_NEXT_VERSION", "version", "the first version is 1")
    last = versions[-1]
    if asked.version < last.version:
        text = f"the log holds version {last.version}: bring the folder up to it, or make the next version"
        return Finding("BEHIND_THE_LOG", "version", text)
    if asked.version == last.version and last.state in EDITABLE:
        return None
    following = last.version + 1
    if asked.version != following:
        text = f"version {last.version} is {last.state.value} and does not change any more: the next one is {following}"
        return Finding("IMMUTABLE_VERSION" if asked.version == last.version else "NOT_NEXT_VERSION", "version", text)
    if last.state in IN_FORCE | _OVER:
        return None
    text = f"version {last.version} is {last.state.value}: the next one waits until it is in force, or withdrawn"
    return Finding("VERSION_IN_NEGOTIATION", "version", text)


def _next_note(asked: Agreement, versions: tuple[HeldVersion, ...], gaps: tuple[Finding, ...]) -> str:
    notes = [f"version {asked.version}: requested by {asked.agency}, then {_waits(State.REQUESTED, asked)}"]
    if versions and versions[-1].version == asked.version and versions[-1].state is State.APPROVED:
        notes.append("the approval of what it was is void")
    if gaps:
        notes.append(f"{len(gaps)} clause(s) to fill in before it can be approved")
    return "; ".join(notes)


def _standing(held: HeldVersion) -> str:
    waits = _waits(held.state, held)
    return f"version {held.version} {held.state.value}" + (f", {waits}" if waits else "")


def _waits(state: State, parties: Agreement | HeldVersion) -> str:
    return _WAITS.get(state, "").format(source=parties.source, agency=parties.agency)


def _action(known: object | None, wanted: object) -> Action:
    if known is None:
        return Action.CREATE
    return Action.UNCHANGED if known == wanted else Action.CHANGE
