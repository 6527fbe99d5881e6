"""What a source writes wrong, or hostile, is set aside with its place and a code; the lane goes on."""

import json

from adapters.synthetic_names import GENT, LEUVEN
from broker.model.keyed import lane_of
from broker.model.record import WIRE_HEADER_BYTES, wire_header

REAL = "85073003328"
"""A number that is printed in official examples."""


async def test_each_wrong_record_is_quarantined_with_its_code_and_the_lane_goes_on(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    person, other = world.people(2, GENT)
    good = world.statement(person)
    foreign = world.statement({**person, "insz": REAL})
    frame, body = good.value[:WIRE_HEADER_BYTES], good.value[WIRE_HEADER_BYTES:]
    wrong_lane = (good.lane + 1) % world.site.lanes
    sent = [
        ("WRONG_LANE", await world.raw(good.key, good.value, wrong_lane)),
        ("WRONG_LANE", await world.raw(good.key, None, wrong_lane)),
        ("WRONG_KEY", await world.raw(world.key(other), good.value, lane_of(world.key(other), world.site.lanes))),
        ("KEY_MALFORMED", await world.raw(person["insz"].encode(), good.value, 0)),
        ("UNKNOWN_SCHEMA", await world.raw(good.key, wire_header(9_999) + body, good.lane)),
        ("FRAME_MALFORMED", await world.raw(good.key, b"\x01" + good.value[1:], good.lane)),
        ("FRAME_MALFORMED", await world.raw(good.key, b"", good.lane)),
        ("REAL_SUBJECT", await world.raw(foreign.key, foreign.value, foreign.lane)),
    ]
    cut = [await world.raw(good.key, value, good.lane) for value in (good.value[:-3], good.value + b"\x00", frame)]
    places = await world.publish(person)
    await router.route(world.topic, [*(place for _, place in sent), *cut, *places])
    notes = {(note["partition"], note["offset"]): note for note in await world.quarantined()}
    for code, place in sent:
        assert (notes[place]["code"], notes[place]["topic"]) == (code, world.topic), code
    assert len(notes) == len(sent) + len(cut)
    assert all(place in notes and notes[place]["code"].isupper() for place in cut)
    assert await world.kinds(gent) == ["initial"]
    counted = router.counts.as_json()["quarantined"][world.topic]
    assert sum(counted.values()) == len(notes)
    assert {tuple(note) for note in notes.values()} == {
        ("topic", "partition", "offset", "code", "path", "digest", "at")
    }


async def test_a_quarantine_holds_nothing_of_the_record(world) -> None:
    router = await world.router()
    (person,) = world.people(1, GENT)
    stated = world.statement(person)
    hostile = [
        ("ce_id", REAL.encode()),
        ("traceparent", b"00-" + REAL.encode() + b" Janssens Jan Baptist -0123456789abcdef-01"),
        ("x", b"Janssens"),
    ]
    place = await world.raw(stated.key, stated.value[:-3], stated.lane, hostile)
    again = await world.raw(stated.key, stated.value[:-3], stated.lane)
    await router.route(world.topic, [place, again])
    records = await world.read(f"quarantine.{world.source}.persoon.v1")
    first, second = [json.loads(record.value) for record in records]
    assert first["digest"] == second["digest"]  # a repeated poison is recognised
    for record in records:
        shown = b"".join([record.key or b"", record.value, *(held for _, held in record.headers)])
        for secret in (b"Janssens", REAL.encode(), person["insz"].encode(), stated.key):
            assert secret not in shown


async def test_a_traceparent_that_only_looks_like_one_does_not_break_the_receipt(world) -> None:
    await world.agree("inwoners-gent")
    router = await world.router()
    (person,) = world.people(1, GENT)
    stated = world.statement(person)
    hostile = [b"00-ab" + b" " * 30 + b"-0123456789abcdef-01", b"\xff" * 55, b"", b"00-" + b"0" * 32 + b"-" + b"0" * 19]
    places = [await world.raw(stated.key, stated.value, stated.lane, [("traceparent", trace)]) for trace in hostile]
    await router.route(world.topic, places)
    receipts = await world.receipts()
    assert [receipt["trace"] for receipt in receipts] == [bytes(16)] * len(hostile)
    assert [len(receipt["decisions"]) for receipt in receipts] == [1] * len(hostile)


async def test_a_record_under_anothers_key_does_not_become_what_the_lane_knows_of_them(world) -> None:
    gent, leuven = await world.agree("inwoners-gent"), await world.agree("inwoners-leuven")
    first = await world.router()
    (victim,), (other,) = world.people(1, GENT), world.people(1, LEUVEN)
    key, forged = world.key(victim), world.statement(other).value
    places = await world.publish(victim)
    places.append(await world.raw(key, forged, lane_of(key, world.site.lanes)))
    await first.route(world.topic, places)
    await world.stop(first)
    world.forget_state()
    second = await world.router()
    await second.route(world.topic, await world.publish(world.moved(victim, LEUVEN)))
    assert await world.kinds(gent) == ["initial", "left-population"]
    assert await world.kinds(leuven) == ["initial"]


async def test_a_record_as_large_as_kafka_takes_passes_or_is_set_aside(world) -> None:
    """Its delivery has a longer envelope than the source gave it, and must fit as well."""
    gent = await world.agree("inwoners-gent", id=f"inwoners-{'g' * 50}-{world.suffix}")
    router = await world.router()
    (person,) = world.people(1, GENT)
    places = []
    for size in (1 << 20) - 2_000, (1 << 20) - 115:
        large = {**person, "naam": {**person["naam"], "achternaam": "x" * (size - len(world.statement(person).value))}}
        stated = world.oversized(large)
        assert abs(len(stated.value) - size) < 50
        places.append(await world.raw(stated.key, stated.value, stated.lane))
    places += await world.publish(person)
    await router.route(world.topic, places)
    set_aside = len(await world.quarantined())
    found = await world.delivered(gent)
    assert len(found) + set_aside == 3
    assert found[-1].value["naam"] == {
        "achternaam": person["naam"]["achternaam"],
        "voornamen": person["naam"]["voornamen"],
    }


async def test_header_names_that_are_no_text_do_not_stop_the_lane(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    (person,) = world.people(1, GENT)
    places = await world.publish(person)
    places.append(await world.raw_header(world.statement({**person, "kind": "changed"}), b"\xff\xfe"))
    places += await world.publish({**person, "kind": "corrected"})
    await router.route(world.topic, places)
    assert await world.kinds(gent) == ["initial", "changed", "changed", "changed", "corrected"]
