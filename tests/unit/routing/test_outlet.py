"""What an agency gets of one release: bytes and envelope made for its agreement, nothing that another stream has too."""

import pytest

from broker.model.decision import RECORD_KINDS, Departure, Kind, Release
from broker.model.keyed import coordinates, delivery_id, delivery_key
from broker.model.record import header, trace_id_of
from broker.routing.door import door
from broker.routing.knowledge import instant
from broker.routing.outlet import Outlet, Source

AT = instant(1_795_521_600_999)  # 2026-11-24T12:00:00.999Z
CONSTANT = {"ce_specversion", "ce_type", "content-type", "ce_kind", "ce_agreementversion", "ce_time"}


@pytest.fixture
def source(record, plan) -> Source:
    offsets = door(plan, lanes=4, k_lane=b"l" * 32)(record)
    place = coordinates(plan.topic, record.partition, record.offset)
    return Source(place, record.key, record.value, offsets)


def outlet(plan, agreement) -> Outlet:
    return next(each for each in plan.outlets if each.agreement == agreement)


@pytest.mark.parametrize("kind", [*RECORD_KINDS, Kind.INITIAL])
def test_a_release_is_the_cut_record_in_its_agreements_envelope(plan, log, record, source, person, kind) -> None:
    gent = outlet(plan, "inwoners-gent")
    (key, value, headers), leaf = gent.deliver(Release("inwoners-gent", kind), source, AT)
    assert key == delivery_key(gent.key, source.key)
    identifier = delivery_id(gent.key, plan.topic, record.partition, record.offset)
    assert leaf.endswith(identifier)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_source": b"/agreements/inwoners-gent",
        "ce_type": b"be.vlaanderen.datanuts.persoon.v1",
        "ce_agreementversion": b"1",
        "content-type": b"application/avro",
        "ce_kind": kind.value.encode(),
        "ce_id": identifier.hex().encode(),
        "ce_time": b"2026-11-24T12:00:00Z",
        "traceparent": b"00-%b-%b-01" % (identifier.hex().encode(), identifier.hex()[:16].encode()),
    }
    assert len(headers) == len(dict(headers))
    delivered = log.decode(value)
    assert delivered["naam"]["achternaam"] == person["naam"]["achternaam"]
    assert delivered["verblijfplaats"]["gemeente"] == {"naam": "Gent"}
    assert set(delivered) == {"naam", "verblijfplaats"}


@pytest.mark.parametrize("departure", Departure)
def test_a_departure_has_a_reason_and_no_value(plan, source, departure) -> None:
    gent = outlet(plan, "inwoners-gent")
    arrived, _ = gent.deliver(Release("inwoners-gent", Kind.INITIAL), source, AT)
    left = Release("inwoners-gent", Kind.LEFT_POPULATION, departure=departure)
    (key, value, headers), _ = gent.deliver(left, source, AT)
    assert (key, value) == (arrived[0], None)
    assert header(headers, "ce_reason") == departure.value.encode()
    assert header(headers, "ce_kind") == b"left-population"


def test_two_agreements_rows_for_one_record_share_nothing_that_joins_them(plan, source) -> None:
    rows = [each.deliver(Release(each.agreement, Kind.INITIAL), source, AT)[0] for each in plan.outlets]
    assert len(rows) == 2
    ours, theirs = ({name: held for name, held in headers if name not in CONSTANT} for _, _, headers in rows)
    assert rows[0][0] != rows[1][0]
    assert not set(ours.values()) & set(theirs.values())
    traces = {trace_id_of(own["traceparent"]) for own in (ours, theirs)}
    assert len(traces) == 2
    assert None not in traces
    for key, value, headers in rows:
        shown = key + b"".join(held for _, held in headers)
        assert source.key not in shown
        assert source.key not in value


def test_the_same_record_gives_the_same_delivery_again_and_another_record_another(plan, record, source) -> None:
    gent, release = outlet(plan, "inwoners-gent"), Release("inwoners-gent", Kind.CHANGED)
    assert gent.deliver(release, source, AT) == gent.deliver(release, source, AT)
    later = source._replace(coordinates=coordinates(plan.topic, record.partition, record.offset + 1))
    (key, _, headers), _ = gent.deliver(release, later, AT)
    assert key == delivery_key(gent.key, source.key)
    assert header(headers, "ce_id") != header(gent.deliver(release, source, AT)[0][2], "ce_id")


def test_no_key_shows_in_a_representation(plan) -> None:
    for each in plan.outlets:
        assert repr(each.key) not in repr(each)
