"""Every fact in every state, from a table; who may take a step, and about which text."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from broker.model.agreement import State
from broker.model.barrier import barriers_due, lane_barred
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.lifecycle import (
    Advice,
    Method,
    Signature,
    Step,
    Verdict,
    advice_document,
    advice_of,
    awaited,
    signature_document,
    signature_of,
)

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
SOURCE, AGENCY = "rijksregister", "stad-gent"
TEXT = "ab" * 32


def document(version: int = 1, **changes: Any) -> dict[str, Any]:
    bases = [{"instrument": "rijksregister"}]
    held = {"source": SOURCE, "agency": AGENCY, "product": "persoon.v1", "purpose": "inwonersbestand", "bases": bases}
    return {"id": "gent", "version": version, **held, **changes}


def request(version: int = 1, text: str = TEXT, **changes: Any) -> dict[str, Any]:
    return {"document": document(version, **changes), "egress": f'"{text}"', "text_sha256": text}


def about(version: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": "gent", "version": version, "text_sha256": TEXT, **more}


def advice(side: str, verdict: Verdict = Verdict.FAVOURABLE, **changes: Any) -> dict[str, Any]:
    return about(advice=advice_document(Advice(side, verdict, "DPO-1", TEXT)) | changes)


def signature(side: str, **changes: Any) -> dict[str, Any]:
    made = Signature(side, "burgemeester", "besluit 1", Method.DEV, TEXT, None, AT)
    return about(signature=signature_document(made) | changes)


class Log:
    """Facts applied one after the other."""

    def __init__(self) -> None:
        self.state = ControlState()

    def __call__(self, kind: FactType, data: Mapping[str, Any], by: str = SOURCE) -> bool:
        offset = self.state.epoch + 1
        expects = self.state.version("agreement/gent")
        return self.state.apply(offset, Fact(f"f{offset}", kind, "agreement/gent", expects, AT, by, data))

    def done(self, *facts: tuple[FactType, Mapping[str, Any], str]) -> "Log":
        for kind, data, by in facts:
            assert self(kind, data, by), kind
        return self

    @property
    def entry(self) -> Any:
        return self.state.agreements["gent"]


F = FactType
DRAFTED = (F.AGREEMENT_DRAFTED, {"document": document()}, AGENCY)
REQUESTED = (F.AGREEMENT_REQUESTED, request(), AGENCY)
APPROVED = (F.AGREEMENT_APPROVED, about(), SOURCE)
ADVISED = [(F.AGREEMENT_ADVISED, advice(side), side) for side in (SOURCE, AGENCY)]
SIGNED = [(F.AGREEMENT_SIGNED, signature(side), side) for side in (SOURCE, AGENCY)]
PUBLISHED = (F.AGREEMENT_PUBLISHED, about(), SOURCE)
ACTIVE = (F.AGREEMENT_ACTIVE, about(), SOURCE)
SUSPENDED = (F.AGREEMENT_SUSPENDED, about(), SOURCE)
REVOKED = (F.AGREEMENT_REVOKED, about(), SOURCE)
ENDED = (F.AGREEMENT_ENDED, about(), SOURCE)
TO_SIGNED = (REQUESTED, APPROVED, *ADVISED, *SIGNED)
TO_ACTIVE = (*TO_SIGNED, PUBLISHED, ACTIVE)

WAYS = {
    None: (),
    State.DRAFT: (DRAFTED,),
    State.REQUESTED: (REQUESTED,),
    State.APPROVED: (REQUESTED, APPROVED, *ADVISED),
    State.SIGNED: TO_SIGNED,
    State.PUBLISHED: (*TO_SIGNED, PUBLISHED),
    State.ACTIVE: TO_ACTIVE,
    State.SUSPENDED: (*TO_ACTIVE, SUSPENDED),
    State.REVOKED: (*TO_ACTIVE, REVOKED),
    State.ENDED: (*TO_ACTIVE, ENDED),
}

# state → fact → state after it; what is not here is ignored
TABLE = {
    None: {F.AGREEMENT_DRAFTED: State.DRAFT, F.AGREEMENT_REQUESTED: State.REQUESTED},
    State.DRAFT: {
        F.AGREEMENT_DRAFTED: State.DRAFT,
        F.AGREEMENT_REQUESTED: State.REQUESTED,
        F.AGREEMENT_REVOKED: State.REVOKED,
    },
    State.REQUESTED: {
        F.AGREEMENT_REQUESTED: State.REQUESTED,
        F.AGREEMENT_APPROVED: State.APPROVED,
        F.AGREEMENT_ADVISED: State.REQUESTED,
        F.AGREEMENT_REVOKED: State.REVOKED,
    },
    State.APPROVED: {
        F.AGREEMENT_REQUESTED: State.REQUESTED,
        F.AGREEMENT_ADVISED: State.APPROVED,
        F.AGREEMENT_SIGNED: State.APPROVED,
        F.AGREEMENT_REVOKED: State.REVOKED,
    },
    State.SIGNED: {F.AGREEMENT_PUBLISHED: State.PUBLISHED, F.AGREEMENT_REVOKED: State.REVOKED},
    State.PUBLISHED: {F.AGREEMENT_ACTIVE: State.ACTIVE, F.AGREEMENT_REVOKED: State.REVOKED},
    State.ACTIVE: {
        F.AGREEMENT_SUSPENDED: State.SUSPENDED,
        F.AGREEMENT_REVOKED: State.REVOKED,
        F.AGREEMENT_ENDED: State.ENDED,
    },
    State.SUSPENDED: {
        F.AGREEMENT_ACTIVE: State.ACTIVE,
        F.AGREEMENT_REVOKED: State.REVOKED,
        F.AGREEMENT_ENDED: State.ENDED,
    },
    State.REVOKED: {F.AGREEMENT_ENDED: State.ENDED},
    State.ENDED: {},
}
FACTS = (DRAFTED, REQUESTED, APPROVED, ADVISED[0], SIGNED[0], PUBLISHED, ACTIVE, SUSPENDED, REVOKED, ENDED)


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact[0].value)
def test_a_fact_moves_a_version_as_the_table_says_or_not_at_all(state, fact) -> None:
    log = Log().done(*WAYS[state])
    before = log.state.agreements.get("gent")
    assert (before.state if before else None) == state
    events, expected = len(log.state.events), TABLE[state].get(fact[0])
    assert log(*fact) is (expected is not None)
    if expected is None:
        assert log.state.agreements.get("gent") is before
        assert len(log.state.events) == events
    else:
        assert log.entry.state is expected
        assert log.state.events[-1].transition == log.entry.history[-1]


def test_the_table_knows_every_state_and_every_fact_about_agreements() -> None:
    assert {*State, None} == TABLE.keys() == WAYS.keys()
    assert {fact[0] for fact in FACTS} == {kind for kind in FactType if kind.value.startswith("agreement.")}


WRONG = [
    ((), F.AGREEMENT_REQUESTED, request(), SOURCE),
    ((), F.AGREEMENT_REQUESTED, request(2), AGENCY),
    ((), F.AGREEMENT_REQUESTED, request(source=AGENCY), AGENCY),
    ((REQUESTED,), F.AGREEMENT_APPROVED, about(), AGENCY),
    ((REQUESTED,), F.AGREEMENT_APPROVED, about() | {"text_sha256": "cd" * 32}, SOURCE),
    ((REQUESTED,), F.AGREEMENT_ADVISED, advice(AGENCY), SOURCE),
    ((REQUESTED,), F.AGREEMENT_ADVISED, advice("kbo"), "kbo"),
    ((REQUESTED,), F.AGREEMENT_ADVISED, advice(AGENCY, text_sha256="cd" * 32), AGENCY),
    ((REQUESTED, APPROVED), F.AGREEMENT_SIGNED, signature(AGENCY), AGENCY),
    ((REQUESTED, APPROVED, *ADVISED), F.AGREEMENT_SIGNED, signature(AGENCY), SOURCE),
    ((REQUESTED, APPROVED, *ADVISED), F.AGREEMENT_SIGNED, signature("kbo"), "kbo"),
    ((REQUESTED, APPROVED, *ADVISED), F.AGREEMENT_SIGNED, signature(AGENCY, text_sha256="cd" * 32), AGENCY),
    ((REQUESTED, APPROVED, *ADVISED), F.AGREEMENT_SIGNED, signature(AGENCY, document_sha256=TEXT), AGENCY),
    ((REQUESTED, APPROVED, *ADVISED, SIGNED[1]), F.AGREEMENT_SIGNED, signature(AGENCY), AGENCY),
    ((REQUESTED, APPROVED, *ADVISED, SIGNED[1]), F.AGREEMENT_ADVISED, advice(AGENCY), AGENCY),
    ((REQUESTED, APPROVED, *ADVISED, SIGNED[1]), F.AGREEMENT_PUBLISHED, about(), SOURCE),
    (TO_SIGNED, F.AGREEMENT_PUBLISHED, about(), AGENCY),
    (TO_SIGNED, F.AGREEMENT_PUBLISHED, about(2), SOURCE),
    (TO_ACTIVE, F.AGREEMENT_REQUESTED, request(1), AGENCY),
    (TO_ACTIVE, F.AGREEMENT_REQUESTED, request(3), AGENCY),
    (TO_ACTIVE, F.AGREEMENT_REQUESTED, request(2, purpose="statistiek"), AGENCY),
]


@pytest.mark.parametrize("case", WRONG, ids=range(len(WRONG)))
def test_the_wrong_actor_text_or_version_is_ignored(case) -> None:
    way, kind, data, by = case
    log = Log().done(*way)
    before = log.state.agreements.get("gent")
    assert not log(kind, data, by)
    assert log.state.agreements.get("gent") is before


DAMAGED = [
    *(about() | {"signature": damage} for damage in (None, [], {}, "x", {"organisation": AGENCY})),
    *(signature(AGENCY, **{name: bad}) for name, bad in (("method", "stamp"), ("signed_at", "yesterday"), ("signed_at", 7))),
    {"id": ["gent"]},
    {"id": None},
    {},
]  # fmt: skip


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_fact_is_passed_over_and_the_log_goes_on(data) -> None:
    log = Log().done(REQUESTED, APPROVED, *ADVISED)
    before = log.entry
    assert not log(F.AGREEMENT_SIGNED, data, AGENCY)
    assert log.entry is before
    log.done(*SIGNED)
    assert log.entry.state is State.SIGNED


def test_a_request_that_is_damaged_leaves_nothing_behind() -> None:
    log = Log()
    for damage in ({}, {"document": None}, request() | {"document": []}, request() | {"egress": []},
                   {"document": document(), "text_sha256": TEXT}):  # fmt: skip
        assert not log(F.AGREEMENT_REQUESTED, damage, AGENCY)
    assert (log.state.agreements, log.state.schemas, list(log.state.events)) == ({}, {}, [])


AWAITED = [
    ((DRAFTED,), [("requested", AGENCY)]),
    ((REQUESTED,), [("approved", SOURCE)]),
    ((REQUESTED, APPROVED), [("advised", SOURCE), ("advised", AGENCY), ("signed", SOURCE), ("signed", AGENCY)]),
    ((REQUESTED, APPROVED, *ADVISED, SIGNED[0]), [("signed", AGENCY)]),
    (TO_SIGNED, [("published", SOURCE)]),
    ((*TO_SIGNED, PUBLISHED), []),
    (TO_ACTIVE, []),
]


@pytest.mark.parametrize(("way", "owed"), AWAITED, ids=range(len(AWAITED)))
def test_it_is_known_what_a_version_awaits_and_from_whom(way, owed) -> None:
    assert list(awaited(Log().done(*way).entry)) == owed


def test_an_unfavourable_advice_needs_a_reason_before_that_side_signs() -> None:
    log = Log().done(REQUESTED, APPROVED, ADVISED[0])
    log.done((F.AGREEMENT_ADVISED, advice(AGENCY, Verdict.UNFAVOURABLE), AGENCY))
    assert not log(*SIGNED[1])
    log.done((F.AGREEMENT_ADVISED, advice(AGENCY, Verdict.UNFAVOURABLE, departure="Omdat."), AGENCY), *SIGNED)
    assert log.entry.state is State.SIGNED
    assert [held.departure for held in log.entry.advice] == [None, "Omdat."]


def test_a_request_again_voids_what_the_version_had_gathered_and_keeps_its_history() -> None:
    log = Log().done(REQUESTED, APPROVED, *ADVISED, SIGNED[0])
    log.done((F.AGREEMENT_REQUESTED, request(text="cd" * 32), AGENCY))
    entry = log.entry
    assert (entry.version, entry.state, entry.advice, entry.signatures) == (1, State.REQUESTED, (), ())
    steps = [Step.REQUESTED, Step.APPROVED, Step.ADVISED, Step.ADVISED, Step.SIGNED, Step.REQUESTED]
    assert [taken.type for taken in entry.history] == steps
    assert not log(*APPROVED)  # about the text of before


def test_open_data_is_about_nobody_so_that_nobody_signs() -> None:
    held = request(bases=[{"instrument": "open-data"}])
    log = Log().done((F.AGREEMENT_REQUESTED, held, AGENCY), APPROVED)
    assert not log(*ADVISED[0])
    assert not log(*SIGNED[0])
    assert list(awaited(log.entry)) == [("published", SOURCE)]
    log.done(PUBLISHED, ACTIVE)
    assert log.entry.state is State.ACTIVE


def amended(log: Log, *upto: FactType) -> Log:
    """Version 2 through the steps of `upto`."""
    second = {**about(2), "text_sha256": "cd" * 32}

    def renewed(data: Mapping[str, Any]) -> dict[str, Any]:
        inner = {key: {**data[key], "text_sha256": "cd" * 32} for key in ("advice", "signature") if key in data}
        return {**second, **inner}

    facts = [(F.AGREEMENT_REQUESTED, request(2, "cd" * 32), AGENCY)]
    facts += [(kind, renewed(data), by) for kind, data, by in TO_ACTIVE[1:]]
    return log.done(*(fact for fact in facts if fact[0] in upto))


NEGOTIATION = tuple(dict.fromkeys(fact[0] for fact in TO_ACTIVE))


def test_a_version_in_force_stays_so_while_the_next_is_negotiated() -> None:
    log = amended(Log().done(*TO_ACTIVE), *NEGOTIATION[:-1])
    assert (log.entry.version, log.entry.state) == (1, State.ACTIVE)
    pending = log.state.amendments["gent"]
    assert (pending.version, pending.state, pending.activated_at) == (2, State.PUBLISHED, None)
    assert list(log.state.versions_of("gent")) == [1, 2]


@pytest.mark.parametrize("suspended", [False, True])
def test_an_amendment_takes_the_place_of_the_version_in_force_by_one_fact(suspended) -> None:
    log = Log().done(*TO_ACTIVE)
    first = log.entry
    if suspended:
        log.done(SUSPENDED)
    events = len(log.state.events)
    amended(log, *NEGOTIATION)
    entry, old = log.entry, log.state.versions_of("gent")[1]
    assert (entry.version, entry.state) == (2, State.SUSPENDED if suspended else State.ACTIVE)
    assert (entry.activated_at, entry.amends, entry.amended_epoch) == (first.activated_at, 1, log.state.epoch)
    assert entry.egress_schema_id != first.egress_schema_id
    assert log.state.amendments == {}
    assert (old.state, old.document, old.signatures) == (State.ENDED, first.document, first.signatures)
    assert [each.history[-1].type for each in (entry, old)] == [Step.AMENDED] * 2
    assert [(event.version, event.transition.type) for event in log.state.events][-1] == (2, Step.AMENDED)
    assert len(log.state.events) == events + len(TO_ACTIVE)


@pytest.mark.parametrize(("stop", "state"), [(REVOKED, State.REVOKED), (ENDED, State.ENDED)])
def test_what_is_stopped_takes_its_amendment_along(stop, state) -> None:
    log = amended(Log().done(*TO_ACTIVE), *NEGOTIATION[:-1])
    log.done(stop)
    assert log.state.amendments == {}
    assert {each.state for each in log.state.versions_of("gent").values()} == {state}
    assert not log(F.AGREEMENT_ACTIVE, {**about(2), "text_sha256": "cd" * 32}, SOURCE)
    if state is State.REVOKED:
        assert log.state.next_version("gent", Step.REQUESTED) is None
        log.done(ENDED)
    assert log.state.next_version("gent", Step.REQUESTED) == 3


def test_an_amendment_can_be_given_up_and_the_agreement_goes_on() -> None:
    log = amended(Log().done(*TO_ACTIVE), *NEGOTIATION[:-1])
    log.done((F.AGREEMENT_REVOKED, about(2), AGENCY))
    assert (log.entry.version, log.entry.state, log.state.amendments) == (1, State.ACTIVE, {})
    log.done((F.AGREEMENT_REQUESTED, request(3), AGENCY))
    assert list(log.state.versions_of("gent")) == [1, 2, 3]


def test_nothing_before_an_activation_makes_routers_compile_anew() -> None:
    log = Log().done(*TO_SIGNED, PUBLISHED)
    assert log.state.policy_epoch == -1
    log.done(ACTIVE)
    assert log.state.policy_epoch == log.state.epoch


def test_a_stop_changes_decisions_under_its_own_agreement_only_and_anything_else_may_change_others() -> None:
    log = Log().done(*TO_ACTIVE)
    active = log.state.policy_epoch
    assert log.state.stopped_since(active) == frozenset()
    log.done(SUSPENDED)
    assert log.state.stopped_since(active) == {"gent"}
    suspended = log.state.policy_epoch
    assert log(F.PURPOSES, {"purposes": []})
    log.done(REVOKED)
    assert log.state.stopped_since(active) is None
    assert log.state.stepped_since(active) == {"gent"}
    assert log.state.stopped_since(suspended) is None
    assert log.state.stopped_since(suspended + 1) == {"gent"}
    assert log.state.stopped_since(log.state.policy_epoch) == frozenset()


def test_the_history_tells_who_when_why_and_in_which_function() -> None:
    log = Log().done(
        (F.AGREEMENT_REQUESTED, request() | {"why": "Nieuwe taak.", "function": "dienst Burgerzaken"}, AGENCY)
    )
    (taken,) = log.entry.history
    assert (taken.type, taken.by, taken.at, taken.why) == (Step.REQUESTED, AGENCY, AT, "Nieuwe taak.")
    assert (taken.function, taken.epoch) == ("dienst Burgerzaken", 0)


def test_what_a_fact_holds_comes_back_equal() -> None:
    held = Advice(AGENCY, Verdict.CONDITIONAL, "DPO-1", TEXT, "Omdat.")
    assert advice_of(advice_document(held)) == held
    for signed in (
        Signature(AGENCY, "f", "m", Method.DEV, TEXT, None, AT),
        Signature(AGENCY, "f", "m", Method.QES_DOCUMENT, TEXT, "ef" * 32, AT),
    ):
        assert signature_of(signature_document(signed)) == signed


def test_a_lane_owes_a_barrier_between_two_versions() -> None:
    log = Log().done(*TO_ACTIVE)
    before = log.state.epoch
    amended(log, *NEGOTIATION)
    switched = log.state.epoch
    (due,) = barriers_due(log.state.agreements, lane=3, since_epoch=before)
    key, value, headers = due.row
    assert (due.topic, key, value) == ("delivery.stad-gent.gent", b"barrier/3", None)
    assert (dict(headers)["ce_reason"], lane_barred(key, headers, epoch=switched)) == (b"AMENDED", 3)
    assert barriers_due(log.state.agreements, lane=3, since_epoch=switched) == []
    second = {"id": "gent", "version": 2}
    log.done((F.AGREEMENT_SUSPENDED, second, SOURCE))
    (stop,) = barriers_due(log.state.agreements, lane=3, since_epoch=before)
    assert dict(stop.row[2])["ce_reason"] == b"SUSPENDED"  # it says both
    log.done((F.AGREEMENT_ACTIVE, second, SOURCE))
    assert barriers_due(log.state.agreements, lane=3, since_epoch=before) == [due]


# A log of before there were texts.

OLD_REQUEST = (F.AGREEMENT_REQUESTED, {"document": document(), "egress": '"e"'}, "t")
OLD = {kind: (kind, {"id": "gent"}, "t") for kind in FactType}


def test_an_older_log_folds_as_it_did() -> None:
    log = Log().done(OLD_REQUEST, OLD[F.AGREEMENT_ACTIVE], OLD[F.AGREEMENT_SUSPENDED], OLD[F.AGREEMENT_ACTIVE])
    assert (log.entry.version, log.entry.state, log.entry.activated_at) == (1, State.ACTIVE, AT)
    assert not log(*OLD_REQUEST)
    log.done(OLD[F.AGREEMENT_REVOKED], OLD[F.AGREEMENT_ENDED], OLD_REQUEST, OLD_REQUEST)
    assert (log.entry.version, log.entry.state, log.entry.activated_at) == (3, State.REQUESTED, None)
    assert log.state.schemas[1].text == '"e"'


def test_what_was_requested_without_a_text_is_requested_again_to_be_approved() -> None:
    log = Log().done(OLD_REQUEST)
    assert not log(*APPROVED)
    log.done(*TO_ACTIVE)
    assert (log.entry.version, log.entry.state) == (1, State.ACTIVE)


def test_what_was_activated_without_a_text_can_be_amended() -> None:
    log = amended(Log().done(OLD_REQUEST, OLD[F.AGREEMENT_ACTIVE]), *NEGOTIATION)
    assert (log.entry.version, log.entry.amends, log.entry.activated_at) == (2, 1, AT)


def test_no_text_is_activated_before_it_is_published() -> None:
    log = Log().done(REQUESTED)
    assert not log(*OLD[F.AGREEMENT_ACTIVE])


def test_a_process_that_keeps_no_texts_knows_the_same_otherwise() -> None:
    states = ControlState(), ControlState(texts=False)
    for state in states:
        for offset, (kind, data, by) in enumerate(
            [
                (F.AGREEMENT_REQUESTED, {**request(), "text": "Het protocol"}, AGENCY),
                (F.AGREEMENT_APPROVED, about(), SOURCE),
            ]
        ):
            assert state.apply(offset, Fact(f"f{offset}", kind, "agreement/gent", offset, AT, by, data))
    full, lean = (state.agreements["gent"] for state in states)
    assert (full.text, lean.text) == ("Het protocol", None)
    assert replace(full, text=None) == lean
    assert (lean.state, lean.text_sha256) == (State.APPROVED, TEXT)
