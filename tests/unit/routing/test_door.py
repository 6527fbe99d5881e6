"""What may pass the router's door, and the code of what may not."""

import pytest

from adapters.sdk import Change
from broker.errors import PoisonRecord
from broker.model.keyed import lane_key, lane_of
from broker.model.wall import SubjectWall
from broker.routing.door import door
from broker.routing.plans import Plans

LANES, K_LANE = 4, b"l" * 32


def code(record, plan, *, k_lane: bytes = K_LANE) -> str:
    with pytest.raises(PoisonRecord) as refused:
        door(plan, lanes=LANES, k_lane=k_lane)(record)
    return refused.value.reason


def test_a_record_of_an_adapter_passes_with_its_cut_points(record, plan, person) -> None:
    offsets = door(plan, lanes=LANES, k_lane=K_LANE)(record)
    assert plan.principal(record.value, offsets) == person["insz"].encode()


def test_a_deletion_passes_without(record, plan) -> None:
    record.value = None
    assert door(plan, lanes=LANES, k_lane=K_LANE)(record) is None


@pytest.mark.parametrize("key", [None, b"", b"0" * 31, b"0" * 33, b"G" * 32, b"A" * 32, b" " * 32, "é".encode() * 16])
@pytest.mark.parametrize("deleted", [False, True])
def test_a_key_that_is_none_of_ours(record, plan, key, deleted) -> None:
    record.key = key
    record.value = None if deleted else record.value
    assert code(record, plan) == "KEY_MALFORMED"


@pytest.mark.parametrize("deleted", [False, True])
def test_another_lane_than_the_keys(record, plan, deleted) -> None:
    record.partition = (record.partition + 1) % LANES
    record.value = None if deleted else record.value
    assert code(record, plan) == "WRONG_LANE"


def test_another_subject_than_the_keys(record, plan) -> None:
    key = lane_key(K_LANE, b"85273003328")
    record.key, record.partition = key, lane_of(key, LANES)
    assert code(record, plan) == "WRONG_KEY"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda _: b"", "FRAME_MALFORMED"),
        (lambda value: value[:4], "FRAME_MALFORMED"),
        (lambda value: value[:5], "TRUNCATED"),
        (lambda value: b"\x01" + value[1:], "FRAME_MALFORMED"),
        (lambda value: value[:4] + b"\x63" + value[5:], "UNKNOWN_SCHEMA"),
        (lambda value: value[:-1], "TRUNCATED"),
        (lambda value: value + b"\x00", "TRAILING_BYTES"),
    ],
)
def test_bytes_that_are_no_record_of_this_schema(record, plan, change, expected) -> None:
    record.value = change(record.value)
    assert code(record, plan) == expected


def test_the_wall_between_synthetic_and_real_persons(log, keys, publication, person) -> None:
    for persons, insz, verdict in (
        ("synthetic", "85073003328", "REAL_SUBJECT"),
        ("real", person["insz"], "TEST_SUBJECT"),
    ):
        (plan,) = Plans(keys, SubjectWall(persons)).at(log.state).values()
        stated = publication.state(Change("-", "persoon.v1", {**person, "insz": insz}))
        record = type("Record", (), {"key": stated.key, "value": stated.value, "partition": stated.lane})
        assert code(record, plan) == verdict


def test_an_error_says_where_but_never_what(record, plan, person) -> None:
    key = lane_key(K_LANE, b"other")
    record.key, record.partition = key, lane_of(key, LANES)
    with pytest.raises(PoisonRecord) as refused:
        door(plan, lanes=LANES, k_lane=K_LANE)(record)
    assert refused.value.path == "insz"
    assert person["insz"] not in repr(refused.value) + str(refused.value.__context__)
