"""Agreements over a log in memory: who may take which step, on what text, and in which order it takes effect."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from broker.control.dev_signing import bring_into_force
from broker.control.limits import set_limits
from broker.control.signing import SignedDocument
from broker.errors import AgreementRefused, Conflict, Forbidden, Invalid, NotFound
from broker.model.agreement import State
from broker.model.facts import FactType
from broker.model.lifecycle import Advice, AgreementEntry, Method, Signature, Step, Verdict
from broker.model.registered import Organisation
from broker.policy.protocol_text import agreed_text, text_hash
from broker.testing import wait_until
from tests.unit.control.room import CEILINGS, NOW, PURPOSES, Room, document, open_room

GENT, SOURCE, AGENCY = "inwoners-gent", "rijksregister", "stad-gent"
TOPIC = "delivery.stad-gent.inwoners-gent"
NEGOTIATED = [
    FactType.AGREEMENT_REQUESTED,
    FactType.AGREEMENT_APPROVED,
    *[FactType.AGREEMENT_ADVISED] * 2,
    *[FactType.AGREEMENT_SIGNED] * 2,
]


@pytest.fixture
async def room() -> Room:
    return await open_room()


def entry(room: Room) -> AgreementEntry:
    state = room.control.state
    return state.amendments.get(GENT) or state.agreements[GENT]


def advice(room: Room, side: str, verdict: Verdict = Verdict.FAVOURABLE, departure: str | None = None) -> Advice:
    return Advice(side, verdict, "DPO-1", entry(room).text_sha256 or "", departure)


def signature(room: Room, side: str, method: Method = Method.DEV) -> Signature:
    return Signature(side, "burgemeester", "besluit 1", method, entry(room).text_sha256 or "", None, NOW)


async def requested(room: Room, **changes: Any) -> None:
    await room.agreements.request(document(**changes), AGENCY)


async def approved(room: Room) -> None:
    await requested(room)
    await room.agreements.approve(GENT, SOURCE)


async def advised(room: Room) -> None:
    await approved(room)
    for side in (SOURCE, AGENCY):
        await room.agreements.advise(GENT, advice(room, side), side)


async def signed(room: Room) -> None:
    await advised(room)
    for side in (SOURCE, AGENCY):
        await room.agreements.sign(GENT, signature(room, side), side)


async def active(room: Room, **changes: Any) -> AgreementEntry:
    made = await bring_into_force(room.agreements, document(**changes), NOW)
    room.since()
    return made


# Each step, by its own actor.


async def test_publishing_makes_keys_topic_and_right_before_the_facts(room) -> None:
    made = await bring_into_force(room.agreements, document("statistiek-vlaanderen"), NOW)
    topic = "delivery.statistiek-vlaanderen.statistiek-vlaanderen"
    assert room.since() == [
        *NEGOTIATED,
        ("key", "agreement/statistiek-vlaanderen"),
        ("key", "pseudonym/statistiek-vlaanderen/statistiek/1"),
        ("topics", topic),
        ("allow", "statistiek-vlaanderen", topic, topic),
        FactType.AGREEMENT_PUBLISHED,
        FactType.AGREEMENT_ACTIVE,
    ]
    assert (made.state, made.activated_at) == (State.ACTIVE, NOW)


async def test_what_fails_before_the_facts_leaves_the_agreement_signed(room) -> None:
    await signed(room)
    room.kafka.fails = "allow"
    with pytest.raises(ConnectionError):
        await room.agreements.publish(GENT, SOURCE)
    assert entry(room).state is State.SIGNED
    room.kafka.fails = ""
    assert (await room.agreements.publish(GENT, SOURCE)).state is State.ACTIVE


async def test_every_step_is_for_one_organisation_only(room) -> None:
    with pytest.raises(Forbidden, match="agency requests"):
        await room.agreements.request(document(), SOURCE)
    await requested(room)
    with pytest.raises(Forbidden, match="owner of the source approves"):
        await room.agreements.approve(GENT, AGENCY)
    await room.agreements.approve(GENT, SOURCE)
    for side, by in ((SOURCE, AGENCY), ("kbo", "kbo")):
        with pytest.raises(Forbidden):
            await room.agreements.advise(GENT, advice(room, side), by)
        with pytest.raises(Forbidden):
            await room.agreements.sign(GENT, signature(room, side), by)
    for side in (SOURCE, AGENCY):
        await room.agreements.advise(GENT, advice(room, side), side)
        await room.agreements.sign(GENT, signature(room, side), side)
    with pytest.raises(Forbidden, match="owner of the source publishes"):
        await room.agreements.publish(GENT, AGENCY)
    assert entry(room).state is State.SIGNED


async def test_nobody_agrees_with_itself(room) -> None:
    with pytest.raises(AgreementRefused, match="ONE_ORGANISATION"):
        await room.agreements.request(document(agency=SOURCE), SOURCE)


async def test_one_side_signs_once(room) -> None:
    await advised(room)
    await room.agreements.sign(GENT, signature(room, AGENCY), AGENCY)
    assert entry(room).state is State.APPROVED
    with pytest.raises(Conflict, match="the other side signs"):
        await room.agreements.sign(GENT, signature(room, AGENCY), AGENCY)
    with pytest.raises(Conflict, match="what it signed on stays"):
        await room.agreements.advise(GENT, advice(room, AGENCY), AGENCY)


async def test_a_side_signs_on_its_own_advice_and_departs_from_it_in_writing_only(room) -> None:
    await approved(room)
    await room.agreements.advise(GENT, advice(room, SOURCE), SOURCE)
    with pytest.raises(Conflict, match="comes first"):
        await room.agreements.sign(GENT, signature(room, AGENCY), AGENCY)
    await room.agreements.advise(GENT, advice(room, AGENCY, Verdict.UNFAVOURABLE), AGENCY)
    with pytest.raises(Conflict, match="why you depart"):
        await room.agreements.sign(GENT, signature(room, AGENCY), AGENCY)
    await room.agreements.advise(GENT, advice(room, AGENCY, Verdict.UNFAVOURABLE, "Wettelijke taak."), AGENCY)
    await room.agreements.sign(GENT, signature(room, AGENCY), AGENCY)
    assert [held.departure for held in entry(room).advice] == [None, "Wettelijke taak."]


async def test_the_history_holds_who_when_and_why(room) -> None:
    await room.agreements.request(document(), AGENCY, why="Nieuwe taak.", function="dienst Burgerzaken")
    await room.agreements.approve(GENT, SOURCE)
    assert [(each.type, each.by, each.at, each.why, each.function) for each in entry(room).history] == [
        (Step.REQUESTED, AGENCY, NOW, "Nieuwe taak.", "dienst Burgerzaken"),
        (Step.APPROVED, SOURCE, NOW, "", None),
    ]


# The text.


async def test_one_edited_clause_voids_approval_advice_and_signatures(room) -> None:
    await advised(room)
    await room.agreements.sign(GENT, signature(room, SOURCE), SOURCE)
    before = entry(room)
    late = (advice(room, AGENCY), signature(room, AGENCY))
    edited = document()
    edited["fields"][0]["why"] = "Een brief noemt de geadresseerde met zijn familienaam."
    after = await room.agreements.request(edited, AGENCY)
    assert (after.version, after.state, after.advice, after.signatures) == (1, State.REQUESTED, (), ())
    assert after.text_sha256 != before.text_sha256
    assert after.history[:-1] == before.history
    await room.agreements.approve(GENT, SOURCE)
    with pytest.raises(Conflict, match="present text"):
        await room.agreements.advise(GENT, late[0], AGENCY)
    with pytest.raises(Conflict, match="present text"):
        await room.agreements.sign(GENT, late[1], AGENCY)


async def test_the_same_document_again_changes_nothing(room) -> None:
    await advised(room)
    room.since()
    assert (await room.agreements.request(document(), AGENCY)).state is State.APPROVED
    await room.agreements.sign(GENT, signature(room, SOURCE), SOURCE)
    await room.agreements.sign(GENT, signature(room, AGENCY), AGENCY)
    await room.agreements.publish(GENT, SOURCE)
    room.since()
    assert (await room.agreements.request(document(), AGENCY)).state is State.ACTIVE
    assert room.since() == []


async def test_an_approval_is_of_the_text_that_was_read(room) -> None:
    await requested(room)
    read = entry(room).text_sha256
    await requested(room, title="Iets anders")
    with pytest.raises(Conflict, match="present text"):
        await room.agreements.approve(GENT, SOURCE, text_sha256=read)
    assert (await room.agreements.approve(GENT, SOURCE, text_sha256=entry(room).text_sha256)).state is State.APPROVED


async def test_a_text_that_reads_otherwise_since_is_requested_again(room) -> None:
    await requested(room)
    await room.organisations.register(Organisation(AGENCY, "Stad Gent en omstreken"), by="t")
    with pytest.raises(Conflict, match="requests it again"):
        await room.agreements.approve(GENT, SOURCE)
    await requested(room)
    assert (await room.agreements.approve(GENT, SOURCE)).state is State.APPROVED


async def test_what_was_signed_reads_the_same_for_ever(room) -> None:
    held = await active(room)
    before = agreed_text(held, room.control.state)
    await room.organisations.register(Organisation(AGENCY, "Stad Gent en omstreken"), by="t")
    after = agreed_text(entry(room), room.control.state)
    assert (after, text_hash(after)) == (before, held.text_sha256)
    assert "Stad Gent en omstreken" not in after


async def test_a_signed_version_does_not_change(room) -> None:
    await signed(room)
    with pytest.raises(Conflict, match="withdraw it"):
        await requested(room, title="Iets anders")
    await room.agreements.withdraw(GENT, AGENCY)
    assert (await room.agreements.request(document(version=2), AGENCY)).version == 2


async def test_a_gap_is_refused_at_approval_by_its_clause(room) -> None:
    conditions = {name: held for name, held in document()["conditions"].items() if name != "security"}
    await requested(room, conditions=conditions)
    with pytest.raises(AgreementRefused, match="NO_SECURITY"):
        await room.agreements.approve(GENT, SOURCE)
    assert entry(room).state is State.REQUESTED


async def test_a_request_is_checked_and_checked_again_at_approval_and_publication(room) -> None:
    for refused in (document("nationaliteit-onderzoek"), document(source="kbo"), document(agency="nobody")):
        with pytest.raises(AgreementRefused):
            await room.agreements.request(refused, refused["agency"])
    wide = next(ceiling for ceiling in CEILINGS if ceiling.purpose == "inwonersbestand")
    narrow = replace(wide, fields={path: held for path, held in wide.fields.items() if path != "naam.voornamen"})
    await requested(room)
    await set_limits(room.control, PURPOSES, [narrow], by="t")
    with pytest.raises(AgreementRefused, match="ABOVE_CEILING"):
        await room.agreements.approve(GENT, SOURCE)
    await set_limits(room.control, PURPOSES, [wide], by="t")
    await signed(room)
    await set_limits(room.control, PURPOSES, [narrow], by="t")
    room.since()
    with pytest.raises(AgreementRefused, match="ABOVE_CEILING"):
        await room.agreements.publish(GENT, SOURCE)
    assert room.since() == []


async def test_a_draft_is_kept_for_its_agency_to_request(room) -> None:
    drafted = await room.agreements.draft(document(title="Eerste versie"), "operator")
    assert (drafted.state, drafted.text_sha256) == (State.DRAFT, None)
    await room.agreements.draft(document(), "operator")
    with pytest.raises(Conflict, match="draft"):
        await room.agreements.approve(GENT, SOURCE)
    asked = await room.agreements.request(entry(room).document, AGENCY)
    assert (asked.version, asked.state) == (1, State.REQUESTED)
    with pytest.raises(Conflict):
        await room.agreements.draft(document(), "operator")


# Signatures.


async def test_a_dev_signature_counts_where_all_persons_are_fictional_only() -> None:
    room = await open_room(fictional=False)
    await advised(room)
    with pytest.raises(Forbidden, match="real signatures"):
        await room.agreements.sign(GENT, signature(room, AGENCY), AGENCY)
    assert entry(room).signatures == ()


async def test_of_a_signed_document_its_digest_and_time_are_kept(room) -> None:
    seen, at = [], NOW - timedelta(hours=1)

    def verify(pdf: bytes, rendered: bytes) -> SignedDocument:
        seen.append((pdf, rendered[:5]))
        return SignedDocument("ef" * 32, at)

    room.agreements.verify = verify
    await advised(room)
    asked = signature(room, AGENCY, Method.QES_DOCUMENT)
    with pytest.raises(Invalid, match="signed PDF"):
        await room.agreements.sign(GENT, asked, AGENCY)
    made = await room.agreements.sign(GENT, asked, AGENCY, pdf=b"signed")
    assert seen == [(b"signed", b"%PDF-")]
    assert [(each.document_sha256, each.signed_at) for each in made.signatures] == [("ef" * 32, at)]


async def test_documents_are_refused_where_nobody_verifies_them(room) -> None:
    await advised(room)
    with pytest.raises(Conflict, match="cannot verify"):
        await room.agreements.sign(GENT, signature(room, AGENCY, Method.QES_DOCUMENT), AGENCY, pdf=b"signed")
    with pytest.raises(Invalid, match="has none"):
        await room.agreements.sign(GENT, signature(room, AGENCY), AGENCY, pdf=b"signed")


# In force.


async def test_what_begins_later_is_published_now_and_active_then(room) -> None:
    start = NOW + timedelta(days=1)
    made = await active(room, term={"start": start.isoformat(), "end": None})
    assert (made.state, made.activated_at) == (State.PUBLISHED, None)
    with pytest.raises(Conflict, match="begins at"):
        await room.agreements.activate(GENT, "operator")
    room.control.now = start
    assert (await room.agreements.activate(GENT, "operator")).activated_at == start


async def test_a_revocation_is_fact_then_right_then_barriers_then_the_topic(room) -> None:
    await active(room)
    stopped = await room.agreements.revoke(GENT, "t")
    epoch = room.control.state.epoch
    assert room.since() == [
        FactType.AGREEMENT_REVOKED,
        ("remove", None, TOPIC),
        ("barriers", TOPIC, "revoked", epoch, 17),
        ("empty", TOPIC, 0, 23),
    ]
    assert stopped.barriers == {0: 20, 1: 23}
    await room.agreements.revoke(GENT, "t")
    assert room.since() == [
        ("remove", None, TOPIC),
        ("barriers", TOPIC, "revoked", epoch, None),
        ("empty", TOPIC, 0, 23),
    ]


async def test_a_revocation_does_not_wait_for_the_lanes_of_another(room) -> None:
    other = "inwoners-leuven"
    for name in (GENT, other):
        await bring_into_force(room.agreements, document(id=name), NOW)
    room.agreements.enforcement.barriers.silent.add(TOPIC)
    async with asyncio.TaskGroup() as going:
        waiting = [going.create_task(room.agreements.revoke(GENT, SOURCE)) for _ in range(2)]
        await wait_until(lambda: any(done[0] == "barriers" for done in room.did))
        async with asyncio.timeout(5):
            await room.agreements.revoke(other, SOURCE)
        assert not any(each.done() for each in waiting)
        assert room.did.count(FactType.AGREEMENT_REVOKED) == 2  # and GENT's second caller waits for its first
        for each in waiting:
            each.cancel()


async def test_a_suspension_keeps_the_right_and_what_was_delivered(room) -> None:
    await active(room)
    suspended = await room.agreements.suspend(GENT, "t", why="Onderzoek loopt.")
    assert room.since() == [
        FactType.AGREEMENT_SUSPENDED,
        ("barriers", TOPIC, "suspended", suspended.epoch, 17),
    ]
    assert (await room.agreements.resume(GENT, "t")).state is State.ACTIVE
    assert (await room.agreements.end(GENT, "t")).state is State.ENDED
    told = [(each.type, each.why) for each in entry(room).history[-3:]]
    assert told == [(Step.SUSPENDED, "Onderzoek loopt."), (Step.RESUMED, ""), (Step.ENDED, "")]


async def test_what_was_published_and_never_active_loses_its_right_without_barriers(room) -> None:
    await active(room, term={"start": (NOW + timedelta(days=1)).isoformat(), "end": None})
    assert (await room.agreements.revoke(GENT, "t")).barriers == {}
    assert room.since() == [FactType.AGREEMENT_REVOKED, ("remove", None, TOPIC)]


WAYS = {
    "requested": (requested, (), {"approve", "revoke", "withdraw"}),
    "approved": (approved, (), {"revoke", "withdraw"}),
    "signed": (signed, (), {"publish", "revoke", "withdraw"}),
    "active": (active, (), {"suspend", "end", "revoke"}),
    "suspended": (active, ("suspend",), {"resume", "end", "revoke"}),
    "revoked": (active, ("revoke",), {"end", "revoke"}),
    "ended": (active, ("end",), set()),
}


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("step", ["approve", "publish", "activate", "withdraw", "suspend", "resume", "end", "revoke"])
async def test_only_the_steps_of_a_state_are_taken(room, state, step) -> None:
    way, then, possible = WAYS[state]
    await way(room)
    for earlier in then:
        await getattr(room.agreements, earlier)(GENT, SOURCE)
    room.since()
    if step in possible:
        await getattr(room.agreements, step)(GENT, SOURCE)
    else:
        with pytest.raises(Conflict, match=state):
            await getattr(room.agreements, step)(GENT, SOURCE)
        assert room.since() == []
    with pytest.raises(NotFound):
        await getattr(room.agreements, step)("no-such", SOURCE)


# The next version.


async def test_versions_follow_each_other(room) -> None:
    with pytest.raises(Conflict, match="next version of inwoners-gent is 1"):
        await requested(room, version=2)
    await active(room)
    with pytest.raises(Conflict, match="next version of inwoners-gent is 2"):
        await requested(room, title="Iets anders")
    await room.agreements.end(GENT, "t")
    made = await room.agreements.request(document(version=2), AGENCY)
    assert (made.version, made.state, made.activated_at) == (2, State.REQUESTED, None)


async def test_what_was_revoked_ends_before_the_next_version(room) -> None:
    await active(room)
    await room.agreements.revoke(GENT, "t")
    with pytest.raises(Conflict, match="end it"):
        await requested(room, version=2)


async def test_an_amendment_replaces_the_version_in_force_and_keeps_it_readable(room) -> None:
    first = await active(room)
    room.control.now = later = NOW + timedelta(days=30)
    made = await bring_into_force(room.agreements, document(version=2, title="Ruimer"), later)
    assert room.since() == [
        *NEGOTIATED,
        ("key", f"agreement/{GENT}"),
        ("topics", TOPIC),
        ("allow", AGENCY, TOPIC, TOPIC),
        FactType.AGREEMENT_PUBLISHED,
        FactType.AGREEMENT_ACTIVE,
        ("barriers", TOPIC, "amended", made.epoch, 17),
    ]
    assert (made.version, made.state, made.since, made.activated_at) == (2, State.ACTIVE, later, first.activated_at)
    old = room.control.state.versions_of(GENT)[1]
    assert (old.document["title"], old.state, old.history[-1].type) == (document()["title"], State.ENDED, Step.AMENDED)
    assert room.control.state.amendments == {}


async def test_the_version_in_force_is_not_touched_by_the_negotiation_of_the_next(room) -> None:
    await active(room)
    await requested(room, version=2, title="Ruimer")
    await room.agreements.approve(GENT, SOURCE)
    held = room.control.state
    assert (held.agreements[GENT].version, held.amendments[GENT].state) == (1, State.APPROVED)
    await room.agreements.suspend(GENT, SOURCE)
    await room.agreements.withdraw(GENT, AGENCY)
    assert (held.agreements[GENT].state, held.amendments) == (State.SUSPENDED, {})


NARROWER = document(version=2)
NARROWER["fields"] = [field for field in NARROWER["fields"] if field["path"] != "naam.voornamen"]


@pytest.mark.parametrize(("first_new", "emptied"), [(None, 23), (21, 21), (30, 23)])
async def test_a_narrower_version_empties_the_topic_but_for_its_own_records(room, first_new, emptied) -> None:
    await active(room)
    room.agreements.enforcement.barriers.first_new = first_new
    await bring_into_force(room.agreements, NARROWER, NOW)
    assert room.since()[-2:] == [
        ("barriers", TOPIC, "amended", room.control.state.epoch, 17),
        ("empty", TOPIC, 0, emptied),
    ]


async def test_deliveries_are_kept_as_long_as_the_version_in_force_says(room) -> None:
    def retained() -> list[Any]:
        return [what[2] for what in room.since() if what[0] == "configure"]

    await active(room, retention_days=14)
    assert retained() == [], "its topic was made with it"
    await bring_into_force(room.agreements, document(version=2, retention_days=14), NOW)
    assert retained() == []
    later = {"start": (NOW + timedelta(days=1)).isoformat(), "end": None}
    await bring_into_force(room.agreements, document(version=3, retention_days=3, term=later), NOW)
    assert retained() == [], "not before it is in force"
    room.control.now = NOW + timedelta(days=1)
    await room.agreements.activate(GENT, SOURCE)
    assert retained() == [{"retention.ms": str(3 * 86_400_000)}]
    await room.agreements.end(GENT, AGENCY)
    await bring_into_force(room.agreements, document(version=4, retention_days=7), NOW)
    assert retained() == [{"retention.ms": str(7 * 86_400_000)}], "the topic was there with another term"


async def test_an_amendment_is_of_the_same_parties_product_and_purpose(room) -> None:
    await active(room)
    with pytest.raises(Conflict, match="another agreement"):
        await room.agreements.draft(document(version=2, purpose="statistiek"), AGENCY)
    with pytest.raises(Conflict, match="another agreement"):
        await room.agreements.draft(document(version=2, agency="statistiek-vlaanderen"), "operator")
