"""Bytes written straight to a source topic: each bad record is named in quarantine, and the next good one is delivered."""

import json
import random
from collections.abc import Iterator

import pytest

from broker.model import topics
from broker.model.keyed import lane_key, lane_of
from broker.model.record import header, wire_header
from broker.schema.avro import varint
from broker.schema.guard import compile_walk
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd
from tests.stage import Stage

pytestmark = pytest.mark.timeout(120)

_LARGEST = 1_000_000
_REAL = "85073003328"

Hostile = tuple[str, bytes | None, bytes | None, int]
"""Code that it must be quarantined with, key, value, partition."""


def hostile(stage: Stage, crowd: Crowd) -> Iterator[Hostile]:
    """One record of each sort, every one in the lane that its key says unless that is what is wrong."""
    publication, schema = stage.publication(SOURCE, PRODUCT), stage.schema(SOURCE, PRODUCT)
    walker, k_lane = compile_walk(schema), stage.stack.site.keys.get("lane")
    person = crowd.people(1)[0]
    good = publication.state(stage.change(PRODUCT, person))
    assert good.value is not None
    offsets = walker.walk(good.value)

    def spliced(path: str, raw: bytes) -> bytes:
        """The good record with other bytes at one leaf."""
        assert good.value is not None
        start, end = (offsets[at] for at in walker.span(path))
        return good.value[:start] + raw + good.value[end:]

    def of(subject: str) -> tuple[bytes, bytes, int]:
        raw = subject.encode()
        key = lane_key(k_lane, raw)
        return key, spliced("insz", varint(len(raw)) + raw), lane_of(key, stage.lanes)

    frame, key, lane = good.value[:5], good.key, good.lane
    given, name = "naam.voornamen", "naam.achternaam"
    noise = random.Random(7).randbytes(_LARGEST)
    for code, value in (
        ("TRUNCATED", good.value[:40]),
        ("TRAILING_BYTES", good.value + b"\x00"),
        ("UNKNOWN_SCHEMA", wire_header(9_999) + good.value[5:]),
        ("UNKNOWN_SCHEMA", wire_header(2**32 - 1) + noise),
        ("FRAME_MALFORMED", b""),
        ("FRAME_MALFORMED", b"\x01" + good.value[1:]),
        ("FRAME_MALFORMED", noise if noise[0] else b"\x7f" + noise),
        ("ENUM_RANGE", frame + b"\x7e" + good.value[6:]),
        ("ENUM_RANGE", frame + b"\x01" + good.value[6:]),
        ("VARINT_MALFORMED", frame + b"\x80" * _LARGEST),
        ("VARINT_MALFORMED", frame + b"\xff" * 9 + b"\x7f" + good.value[6:]),
        ("VARINT_MALFORMED", frame + b"\x80\x00" + good.value[6:]),
        ("UNION_RANGE", spliced("validFrom", b"\x01")),
        ("UNION_RANGE", spliced("validFrom", b"\x04")),
        ("ARRAY_COUNT", spliced(given, varint(1 << 40))),
        ("ARRAY_BLOCKS", spliced(given, varint(-(1 << 40)) + varint(8) + b"\x00")),
        ("TRUNCATED", spliced(name, varint(1 << 40))),
        ("LENGTH_RANGE", spliced(name, varint(-1))),
        ("UTF8_INVALID", spliced(name, varint(4) + b"\xff\xfe\xc0\x80")),
        ("UTF8_INVALID", spliced(name, varint(3) + "\ud800".encode("utf-8", "surrogatepass"))),
    ):
        yield code, key, value, lane
    yield "WRONG_LANE", key, good.value, (lane + 1) % stage.lanes
    for wrong in (b"", key[:31], key[:31] + b"A", b"barrier/0", bytes(32), key + b"0"):
        yield "KEY_MALFORMED", wrong, good.value, lane
    yield "KEY_MALFORMED", b"", None, lane
    other = b"%08x" % (lane + stage.lanes * 7) + key[8:]
    yield "WRONG_KEY", other, good.value, lane
    for code, subject in (("REAL_SUBJECT", _REAL), ("INSZ_INVALID", "0"), ("INSZ_INVALID", "٨٥٠٧٣٠٠٣٣٢٨")):
        yield code, *of(subject)


async def test_each_is_quarantined_with_its_code_and_the_next_good_record_is_delivered(
    stage: Stage, crowd: Crowd
) -> None:
    agreement = await stage.agreement("statistiek-vlaanderen")
    quarantine, deliveries = topics.quarantine(SOURCE, PRODUCT), stage.delivery_topic(agreement)
    async with stage.router():
        await stage.drained(TOPIC)
        await stage.told(TOPIC)
    since, before = await stage.ends(quarantine), await stage.ends(deliveries)
    publication = stage.publication(SOURCE, PRODUCT)
    planted: dict[tuple[int, int], str] = {}
    async with stage.stack.site.clients.producer() as producer:
        for (code, key, value, lane), person in zip(hostile(stage, crowd), crowd.people(60), strict=False):
            sent = await producer.send_and_wait(TOPIC, value, key=key, partition=lane)
            planted[lane, sent.offset] = code
            good = publication.state(stage.change(PRODUCT, person))
            await producer.send_and_wait(TOPIC, good.value, key=good.key, partition=good.lane)
    async with stage.router() as router:
        await stage.drained(TOPIC)
        assert router.process.returncode is None
        assert not router.lines("lane.reopened"), "a record's bytes made a lane start again"
    messages = await stage.read(quarantine, since)
    notes = [json.loads(message.value) for message in messages]
    found = {(note["partition"], note["offset"]): note["code"] for note in notes}
    assert found == planted
    assert len(notes) == len(planted)
    assert len(await stage.read(deliveries, before)) == len(planted), "one good record follows each bad one"
    for message, note in zip(messages, notes, strict=True):
        assert set(note) == {"topic", "partition", "offset", "code", "path", "digest", "at"}
        assert len(message.value) < 500
        assert message.key is None
        assert {name for name, _ in message.headers} <= {"content-type", "traceparent"}
        assert header(message.headers, "content-type") == b"application/json"
