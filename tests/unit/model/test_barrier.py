"""Which barriers a lane owes, and how one is told from everything else."""

from datetime import UTC, datetime

import pytest

from broker.model.agreement import State
from broker.model.barrier import BARRIER_TYPE, barrier, barriers_due, lane_barred
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOPIC = "delivery.stad-gent.inwoners"


@pytest.fixture
def state() -> ControlState:
    folded = ControlState()
    document = {"id": "inwoners", "product": "persoon.v1", "source": "rijksregister", "agency": "stad-gent"}
    move(folded, FactType.AGREEMENT_REQUESTED, {"document": document})
    return folded


def move(state: ControlState, kind: FactType, data: dict | None = None) -> None:
    fact = Fact(
        "f", kind, "agreement/inwoners", state.version("agreement/inwoners"), AT, "t", data or {"id": "inwoners"}
    )
    assert state.apply(state.epoch + 1, fact)


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (FactType.AGREEMENT_SUSPENDED, b"SUSPENDED"),
        (FactType.AGREEMENT_REVOKED, b"REVOKED"),
        (FactType.AGREEMENT_ENDED, b"ENDED"),
    ],
)
def test_a_lane_owes_one_barrier_since_its_last_commit(state, stop, reason) -> None:
    move(state, FactType.AGREEMENT_ACTIVE)
    before = state.epoch
    assert barriers_due(state.agreements, lane=2, since_epoch=-1) == []
    move(state, stop)
    (due,) = barriers_due(state.agreements, lane=2, since_epoch=before)
    key, value, headers = due.row
    assert (due.topic, key, value) == (TOPIC, b"barrier/2", None)
    assert dict(headers)["ce_reason"] == reason
    assert dict(headers)["ce_epoch"] == str(state.epoch).encode()
    assert barriers_due(state.agreements, lane=2, since_epoch=state.epoch) == []


def test_what_never_delivered_or_delivers_again_owes_none(state) -> None:
    move(state, FactType.AGREEMENT_REVOKED)
    assert barriers_due(state.agreements, lane=0, since_epoch=-1) == []
    other = ControlState()
    document = {"id": "inwoners", "product": "persoon.v1", "source": "rijksregister", "agency": "stad-gent"}
    move(other, FactType.AGREEMENT_REQUESTED, {"document": document})
    for kind in (FactType.AGREEMENT_ACTIVE, FactType.AGREEMENT_SUSPENDED, FactType.AGREEMENT_ACTIVE):
        move(other, kind)
    assert barriers_due(other.agreements, lane=0, since_epoch=-1) == []


def test_a_barrier_counts_for_its_epoch_and_earlier_ones() -> None:
    key, _, headers = barrier(TOPIC, 11, 40, State.REVOKED).row
    assert [lane_barred(key, headers, epoch=epoch) for epoch in (39, 40, 41)] == [11, 11, None]


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        (None, [("ce_type", BARRIER_TYPE.encode()), ("ce_epoch", b"9")]),
        (b"0" * 32, [("ce_type", BARRIER_TYPE.encode()), ("ce_epoch", b"9")]),
        (b"barrier/1", [("ce_type", b"be.vlaanderen.datanuts.persoon.v1"), ("ce_epoch", b"9")]),
        (b"barrier/1", []),
        (b"barrier/1", [("ce_type", BARRIER_TYPE.encode())]),
    ],
)
def test_no_other_record_passes_for_a_barrier(key, headers) -> None:
    assert lane_barred(key, headers, epoch=1) is None
