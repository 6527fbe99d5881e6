"""The router's job as the documentation of Quix Streams teaches it: one StreamingDataFrame, exactly-once, dynamic topics.

Run by `bench.peer` in a virtual environment of its own, so it imports nothing of the broker. It prints one line of JSON
once the last of `--records` is committed.
"""

import argparse
import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Consumer, TopicPartition
from quixstreams import Application, message_context
from quixstreams.kafka import ConnectionConfig
from quixstreams.models import Deserializer, Serializer

_FRAME = 5
_LOOK_S = 0.005
Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Output:
    """One record to be written, with its topic."""

    topic: str
    key: bytes
    body: bytes
    headers: Headers


@dataclass(slots=True)
class Stopwatch:
    """From the first record to the last commit, by wall clock and CPU time of this process."""

    records: int
    seen: int = 0
    began: float = 0.0
    cpu_began: float = 0.0
    half: float = 0.0
    last: threading.Event = field(default_factory=threading.Event)

    def next(self) -> None:
        """Count one record, before any work on it."""
        self.seen += 1
        if self.seen == 1:
            self.began, self.cpu_began = time.perf_counter(), time.process_time()
        if self.seen == self.records // 2:
            self.half = time.perf_counter()
        if self.seen == self.records:
            self.last.set()

    def report(self) -> str:
        """One line of JSON; call it right after the last commit."""
        ended, cpu = time.perf_counter(), time.process_time()
        wall = ended - self.began
        return json.dumps(
            {
                "records": self.records,
                "wall_s": round(wall, 3),
                "cpu_s": round(cpu - self.cpu_began, 3),
                "cpu_whole_s": round(cpu, 3),
                "records_per_s": round(self.records / wall),
                "second_half_per_s": round((self.records - self.records // 2) / (ended - self.half)),
            }
        )


class Persons(Deserializer):  # type: ignore[misc]  # untyped where this is checked
    """Person of a framed Avro value."""

    def __init__(self, schema: Any) -> None:
        super().__init__()
        self._schema = schema

    def __call__(self, value: bytes, ctx: Any) -> Any:
        """The value as Python objects."""
        del ctx
        return fastavro.schemaless_reader(BytesIO(value[_FRAME:]), self._schema)


class Bodies(Serializer):  # type: ignore[misc]  # untyped where this is checked
    """Bytes that were made already."""

    def __call__(self, value: Output, ctx: Any) -> bytes:
        """As they are."""
        del ctx
        return value.body


class Outlet:
    """One agreement: its topic, its keys, and what is the same in all its deliveries."""

    def __init__(self, number: int, topic: str) -> None:
        self.id = f"meting-{number}"
        self.topic = topic
        self.subjects, self.deliveries, self.pseudonyms = (
            keyed(f"{role} {self.id}") for role in ("subject", "delivery", "pseudonym")
        )
        self._constants: Headers = [
            ("ce_specversion", b"1.0"),
            ("ce_source", f"/agreements/{self.id}".encode()),
            ("ce_type", b"be.vlaanderen.datanuts.persoon.v1"),
            ("ce_agreementversion", b"1"),
            ("content-type", b"application/avro"),
            ("ce_pseudonymepoch", b"1"),
        ]

    def headers(self, kind: bytes, identifier: bytes, now: bytes) -> Headers:
        """CloudEvents attributes and trace context of one delivery."""
        name = identifier.hex().encode()
        traceparent = b"00-" + name + b"-" + name[:16] + b"-01"
        return [
            *self._constants,
            ("ce_kind", kind),
            ("ce_id", name),
            ("ce_time", now),
            ("traceparent", traceparent),
        ]


class Routing:
    """The job on one record: match, project, deliver once per agreement, leave a receipt."""

    def __init__(self, given: argparse.Namespace, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._source, self._receipts = given.source, given.receipts
        self._egress, self._egress_frame = schema_of(given.egress), frame(given.egress_id)
        self._receipt, self._receipt_frame = schema_of(given.receipt), frame(given.receipt_id)
        self._subjects = keyed("ledger")
        self._outlets: dict[str, list[Outlet]] = {}
        for number in range(given.agreements):
            outlet = Outlet(number, given.deliveries.replace("{}", str(number)))
            self._outlets.setdefault(str(given.first_nis + number), []).append(outlet)

    def __call__(self, person: Mapping[str, Any], key: bytes, _timestamp: int, headers: Headers) -> list[Output]:
        """All that is written of one record."""
        self._stopwatch.next()
        place = person["verblijfplaats"]
        matching = self._outlets.get(place["gemeente"]["nis"], ()) if place else ()
        at, now, found = message_context(), time.time(), dict(headers)
        coordinates = f"{at.partition}/{at.offset}/{self._source}".encode()
        outputs, leaves = [], []
        for outlet in matching:
            identifier = outlet.deliveries(coordinates)
            outputs.append(
                Output(
                    outlet.topic,
                    outlet.subjects(key).hex().encode(),
                    self._cut(person, outlet),
                    outlet.headers(found["ce_kind"], identifier, written(int(now))),
                )
            )
            leaves.append(
                {
                    "agreement": outlet.id,
                    "version": 1,
                    "outcome": "release",
                    "kind": found["ce_kind"].decode(),
                    "reason": None,
                    "delivery": identifier,
                }
            )
        if leaves:
            subject = self._subjects(key)
            receipt = {
                "topic": self._source,
                "lane": at.partition,
                "epoch": 0,
                "subjectsOffset": 0,
                "decidedAt": int(now * 1000),
                "run": 0,
                "offset": at.offset,
                "subject": subject,
                "trace": bytes.fromhex(found["traceparent"][3:35].decode()),
                "decisions": leaves,
            }
            body = encoded(self._receipt_frame, self._receipt, receipt)
            outputs.append(Output(self._receipts, subject.hex().encode(), body, []))
        return outputs

    def _cut(self, person: Mapping[str, Any], outlet: Outlet) -> bytes:
        place = person["verblijfplaats"]
        released = {
            "naam": {"achternaam": person["naam"]["achternaam"]},
            "verblijfplaats": {name: place[name] for name in ("straatnaam", "huisnummer", "postcode")},
            "pseudoniem": outlet.pseudonyms(person["insz"].encode()).hex(),
        }
        return encoded(self._egress_frame, self._egress, released)


def keyed(role: str) -> Callable[[bytes], bytes]:
    """Keyed BLAKE2b of 16 bytes; the key is made from `role`: a measurement has no secrets to keep."""
    key = hashlib.sha256(role.encode()).digest()
    return lambda value: hashlib.blake2b(value, digest_size=16, key=key).digest()


def schema_of(path: Path) -> Any:
    """A schema's file, parsed once."""
    return fastavro.parse_schema(json.loads(path.read_text()))


def frame(identifier: int) -> bytes:
    """The five bytes before an Avro value in the Confluent wire format."""
    return b"\x00" + identifier.to_bytes(4, "big")


def encoded(header: bytes, schema: Any, value: Mapping[str, Any]) -> bytes:
    """Framed Avro."""
    body = BytesIO()
    body.write(header)
    fastavro.schemaless_writer(body, schema, value)
    return body.getvalue()


@cache
def written(second: int) -> bytes:
    """CloudEvents time in whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)).encode()


def watch(login: Mapping[str, str], given: argparse.Namespace, stopwatch: Stopwatch) -> None:
    """Print the report once as many records as were asked for are committed; the source has no markers."""
    stopwatch.last.wait()
    consumer = Consumer({**login, "group.id": given.application})
    partitions = consumer.list_topics(given.source).topics[given.source].partitions
    asked = [TopicPartition(given.source, number) for number in partitions]
    while sum(max(0, each.offset) for each in consumer.committed(asked)) < given.records:
        time.sleep(_LOOK_S)
    sys.stdout.write(stopwatch.report() + "\n")
    sys.stdout.flush()
    consumer.close()


def main() -> None:
    """Run until `--records` are committed."""
    given = arguments()
    login = json.loads(given.client.read_text())
    stopwatch = Stopwatch(given.records)
    app = Application(
        ConnectionConfig.from_librdkafka_dict(login, ignore_extras=True),
        consumer_group=given.application,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=given.commit_ms / 1000,
        state_dir=given.state,
        auto_create_topics=False,
        loglevel="WARNING",
    )
    bodies = Bodies()
    targets = [given.receipts, *(given.deliveries.replace("{}", str(number)) for number in range(given.agreements))]
    topics = {name: app.topic(name, value_serializer=bodies) for name in targets}
    source = app.topic(given.source, value_deserializer=Persons(schema_of(given.person)))
    outputs = app.dataframe(source).apply(Routing(given, stopwatch), expand=True, metadata=True)
    outputs = outputs.set_headers(lambda output, *_: output.headers)
    outputs.to_topic(lambda output, *_: topics[output.topic], key=lambda output: output.key)
    watching = threading.Thread(target=watch, args=(login, given, stopwatch), daemon=True)
    watching.start()
    # It counts outputs: a delivery and a receipt of each record.
    app.run(count=2 * given.records, collect=False)
    watching.join()


def arguments() -> argparse.Namespace:
    """What to do; how Kafka is reached, credentials included, stands in the file `--client`."""
    parser = argparse.ArgumentParser()
    for name in ("client", "state", "person", "egress", "receipt"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("application", "source", "deliveries", "receipts"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("egress-id", "receipt-id", "agreements", "first-nis", "records", "commit-ms"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
