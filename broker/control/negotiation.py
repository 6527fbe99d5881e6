"""The way of an agreement's next version into force: each step by its own actor, each one fact on the control log.

    draft ▸ request ▸ approve ▸ advise (both) ▸ sign (both) ▸ publish ▸ activate; or withdraw

The fold refuses what this refuses (`broker.model.lifecycle`): here it is explained.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack
from weakref import WeakValueDictionary

from broker.control.enforcement import Enforcement
from broker.control.examination import Examined, examine, examine_present, narrower
from broker.control.log import ControlLog
from broker.control.product_lives import require_offered
from broker.control.signing import VerifyDocument, not_verified_here, taken
from broker.errors import Conflict, Forbidden, NotFound
from broker.model.agreement import Agreement, State
from broker.model.agreement_book import parties
from broker.model.facts import FactType
from broker.model.lifecycle import (
    IN_FORCE,
    OPEN,
    Advice,
    AgreementEntry,
    Signature,
    Step,
    advice_document,
    signature_document,
    states_for,
)
from broker.model.push_book import BEGINS_WITHIN_S
from broker.policy import documents

_ASKED = (OPEN | IN_FORCE) - {State.DRAFT}


class Said(TypedDict, total=False):
    """What who acts may say with a step: the reason, and in which function (never a person's name)."""

    why: str
    function: str


@dataclass(slots=True)
class Negotiation:
    """Use-cases over one control log, up to the activation; `by` is the organisation that acts.

    Every step raises `NotFound` or `Conflict` where it is not possible now, and `Forbidden` for the wrong organisation.
    """

    control: ControlLog
    enforcement: Enforcement
    fictional: bool = False
    """Whether the installation holds synthetic persons only: `dev` signatures count nowhere else."""
    verify: VerifyDocument = not_verified_here
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """By agreement, for as long as somebody holds or awaits it."""

    async def draft(self, document: Mapping[str, Any], by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Keep a version that is being written, for its agency to request; only its form is checked. Raises `Invalid`."""
        agreement = documents.agreement(document)
        await self.control.read_to_head()
        self._next_version(agreement, Step.DRAFTED)
        data = {"document": documents.agreement_document(agreement)}
        return await self._append(FactType.AGREEMENT_DRAFTED, agreement.id, agreement.version, data, by, said)

    async def request(self, document: Mapping[str, Any], by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Register a version that passed the static check; raises `Invalid`, `AgreementRefused`, or `NotOffered` after a sunset.

        The same document again changes nothing. Another one under the number of a version that is not signed yet voids
        what that version had gathered; while a version is in force, the next one is its amendment.
        """
        agreement = documents.agreement(document)
        await self.control.read_to_head()
        _only(by, agreement.agency, "its agency requests an agreement")
        examined = examine(self.control.state, agreement)
        written = documents.agreement_document(agreement)
        known = self.control.state.versions_of(agreement.id).get(agreement.version)
        asked = known is not None and known.state in _ASKED and known.document == written
        if known and asked and (known.state in IN_FORCE or known.text_sha256 == examined.text_sha256):
            return known
        self._next_version(agreement, Step.REQUESTED)
        self._require_offered(written, Step.REQUESTED)
        data = {"document": written, "egress": examined.egress, "text_sha256": examined.text_sha256}
        data["text"] = examined.text
        return await self._append(FactType.AGREEMENT_REQUESTED, agreement.id, agreement.version, data, by, said)

    async def approve(
        self,
        agreement: str,
        by: str,
        *,
        text_sha256: str | None = None,
        **said: Unpack[Said],
    ) -> AgreementEntry:
        """The source's owner agrees with the text (of hash `text_sha256`, if stated), under the ceilings of today.

        Raises `AgreementRefused` where the agreement is above them, or leaves a clause open that it needs.
        """
        entry, examined = await self._negotiated(agreement, Step.APPROVED, text_sha256)
        _only(by, entry.source, "the owner of the source approves")
        examined.refuse_gaps()
        return await self._append_on(entry, FactType.AGREEMENT_APPROVED, {}, by, said)

    async def advise(self, agreement: str, advice: Advice, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Keep the advice of one side's data protection officer; a later one replaces it, until that side has signed."""
        entry, _ = await self._negotiated(agreement, Step.ADVISED, advice.text_sha256)
        _own_side(entry, advice.organisation, by)
        if entry.signed_by(by):
            raise Conflict(f"{by} signed {agreement} already: what it signed on stays")
        data = {"advice": advice_document(advice)}
        return await self._append_on(entry, FactType.AGREEMENT_ADVISED, data, by, said)

    async def sign(
        self,
        agreement: str,
        signature: Signature,
        by: str,
        *,
        pdf: bytes | None = None,
        **said: Unpack[Said],
    ) -> AgreementEntry:
        """Sign for one side; `pdf` is the signed document of method `qes-document`, whose digest and time are kept.

        Raises `Forbidden` for a `dev` signature where persons are real, `Invalid` where the PDF is missing or wrong.
        """
        entry, examined = await self._negotiated(agreement, Step.SIGNED, signature.text_sha256)
        _own_side(entry, signature.organisation, by)
        if entry.signed_by(by):
            raise Conflict(f"{by} signed {agreement} already: the other side signs")
        advice = entry.advice_of(by)
        if advice is None:
            raise Conflict(f"the advice of {by}'s data protection officer on this text comes first")
        if advice.stands_in_the_way:
            raise Conflict(
                f"the advice to {by} is unfavourable: state in it why you depart from it, or change the text"
            )
        # In a thread: drawing a PDF and checking another take longer than other callers should wait.
        kept = await asyncio.to_thread(
            taken, signature, pdf, lambda: examined.pdf, self.verify, fictional=self.fictional
        )
        data = {"signature": signature_document(kept)}
        return await self._append_on(
            entry, FactType.AGREEMENT_SIGNED, data, by, {"function": signature.function, **said}
        )

    async def publish(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """The source's owner makes it known, with all that delivering needs; active at once if its term has begun.

        Checked once more under the ceilings of today. Raises `NotOffered` on a product that is not live yet, or after its sunset.
        """
        entry, examined = await self._negotiated(agreement, Step.PUBLISHED)
        _only(by, entry.source, "the owner of the source publishes")
        self._require_offered(entry.document, Step.PUBLISHED)
        await self.enforcement.prepare(examined.agreement)
        entry = await self._append_on(entry, FactType.AGREEMENT_PUBLISHED, {}, by, said)
        if examined.agreement.term.start > self.now():
            return entry
        try:
            return await self.activate(agreement, by, **said)
        except Conflict:
            held = self.control.state.versions_of(agreement)[entry.version]
            if held.state not in IN_FORCE:  # else who keeps the terms came first
                raise
            return held

    async def activate(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Bring a published version into force; raises `Conflict` before its term begins, `NotOffered` after a sunset.

        An amendment takes the place of the version before it: returns once every lane delivers under it, and nothing
        remains in the topic that it would not release.
        """
        async with self._turn(agreement):
            await self.control.read_to_head()
            entry = in_state(self._negotiable(agreement), {State.PUBLISHED})
            value = documents.agreement(entry.document)
            if value.term.start > self.now():
                raise Conflict(f"{agreement} begins at {value.term.start.isoformat()}")
            self._require_offered(entry.document, Step.ACTIVATED)
            replaced = self.control.state.agreements[agreement]
            if replaced.version == entry.version:
                if entry.version > 1:
                    await self.enforcement.retain(value)
                return await self._append_on(entry, FactType.AGREEMENT_ACTIVE, {}, by, said)
            before = documents.agreement(replaced.document)
            narrowed = narrower(self.control.state, before, value)
            began, since = self.enforcement.monotonic(), await self.enforcement.end_of(entry)
            entry = await self._append_on(entry, FactType.AGREEMENT_ACTIVE, {}, by, said)
            await self.enforcement.switch(entry, since=since, began=began, narrowed=narrowed)
            if before.retention_days != value.retention_days:
                await self.enforcement.retain(value)
            await self._calls_begun(agreement, self.enforcement.monotonic())
        return entry

    def _turn(self, agreement: str) -> asyncio.Lock:
        """What is done to one agreement in force is done one after the other; no agreement waits for another's lanes."""
        return self._turns.setdefault(agreement, asyncio.Lock())

    async def _calls_begun(self, agreement: str, since: float) -> None:
        """Return when no webhook call, and no piece of a file, begins any more that was allowed before `since`, a monotonic instant."""
        if self.control.state.is_pushed(agreement):
            await asyncio.sleep(max(0.0, since + BEGINS_WITHIN_S - self.enforcement.monotonic()))

    async def withdraw(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Give up the version that is being negotiated; either side may. One in force stays so."""
        await self.control.read_to_head()
        entry = in_state(self._negotiable(agreement), OPEN)
        _own_side(entry, by, by)
        published = entry.state is State.PUBLISHED and agreement not in self.control.state.amendments
        entry = await self._append_on(entry, FactType.AGREEMENT_REVOKED, {}, by, said)
        if published:
            await self.enforcement.withdraw(entry)
        return entry

    async def _negotiated(
        self, agreement: str, step: Step, stated: str | None = None
    ) -> tuple[AgreementEntry, Examined]:
        """The version that may take the step, examined as it stands now; `stated` is the hash that the step is about."""
        await self.control.read_to_head()
        entry = self._negotiable(agreement)
        in_state(entry, states_for(step, entry))
        return entry, examine_present(self.control.state, entry, stated)

    def _require_offered(self, document: Mapping[str, Any], step: Step) -> None:
        """Raise `NotOffered` where nothing begins on the product; what is in force goes on, and is amended."""
        held = self.control.state.agreements.get(document["id"])
        if held is None or held.state not in IN_FORCE:
            require_offered(self.control.state.life_of(document), document["product"], step, self.now())

    def _next_version(self, agreement: Agreement, step: Step) -> None:
        """Raise `Conflict` unless this is the version that may be drafted or requested now."""
        state = self.control.state
        following, known = state.next_version(agreement.id, step), state.agreements.get(agreement.id)
        if following is None:
            entry = self._negotiable(agreement.id)
            todo = "end it" if entry.state is State.REVOKED else "bring it into force, or withdraw it"
            raise Conflict(f"version {entry.version} of {entry.id} is {entry.state}: {todo} before the next one")
        if agreement.version != following:
            raise Conflict(f"version: the next version of {agreement.id} is {following}, not {agreement.version}")
        amends = known is not None and known.state in IN_FORCE
        if amends and known and parties(documents.agreement_document(agreement)) != parties(known.document):
            raise Conflict("an amendment keeps source, product, agency and purpose: request another agreement")

    def _negotiable(self, agreement: str) -> AgreementEntry:
        """The amendment if there is one, else the version in force or the latest; raises `NotFound`."""
        return self.control.state.amendments.get(agreement) or self._entry(agreement)

    def _entry(self, agreement: str) -> AgreementEntry:
        entry = self.control.state.agreements.get(agreement)
        if entry is None:
            raise NotFound("no such agreement")
        return entry

    async def _append_on(
        self, entry: AgreementEntry, kind: FactType, data: Mapping[str, Any], by: str, said: Said
    ) -> AgreementEntry:
        """One more step of a version, about its present text."""
        about = {} if entry.text_sha256 is None else {"text_sha256": entry.text_sha256}
        return await self._append(kind, entry.id, entry.version, {**about, **data}, by, said)

    async def _append(
        self, kind: FactType, agreement: str, version: int, data: Mapping[str, Any], by: str, said: Said
    ) -> AgreementEntry:
        fact = {"id": agreement, "version": version, **data, **said}
        await self.control.append(kind, f"agreement/{agreement}", fact, by=by)
        return self.control.state.versions_of(agreement)[version]


def in_state(entry: AgreementEntry, states: Collection[State]) -> AgreementEntry:
    """The entry; raises `Conflict` unless it is in one of `states`."""
    if entry.state not in states:
        allowed = " or ".join(sorted(states)) or "of another kind"
        raise Conflict(f"{entry.id} is {entry.state}: this step needs it {allowed}")
    return entry


def _only(by: str, actor: str, rule: str) -> None:
    if by != actor:
        raise Forbidden(f"{rule}: that is {actor}, not {by}")


def _own_side(entry: AgreementEntry, side: str, by: str) -> None:
    if by not in {entry.source, entry.agency}:
        raise Forbidden(f"the two sides of {entry.id} are {entry.source} and {entry.agency}")
    if side != by:
        raise Forbidden(f"each side speaks for itself: {by} cannot do this for {side}")
