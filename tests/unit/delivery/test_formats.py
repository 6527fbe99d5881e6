"""The same items in every form, and an Avro file that stock readers take."""

import json
from io import BytesIO

import fastavro

from broker.delivery import container
from broker.delivery.formats import AVRO, FORMS, JSON, NDJSON, Page, rendered
from broker.delivery.streams import jsonable, position_of
from tests.unit.delivery.conftest import STREAM, barrier, delivery, departure, page, value


def shown(page: Page, kind: str) -> bytes:
    return rendered(page, FORMS[kind])[0]


def rows(raw: bytes) -> list[dict]:
    return [jsonable(row) for row in fastavro.reader(BytesIO(raw))]


def present(row: dict) -> dict:
    return {name: stated for name, stated in row.items() if stated is not None}


def test_every_form_holds_the_same_items(mixed: Page) -> None:
    whole = json.loads(shown(mixed, JSON))
    assert [item["kind"] for item in whole["items"]] == ["changed", "left-population", "life-cycle", "changed"]
    assert [json.loads(line) for line in shown(mixed, NDJSON).splitlines()] == whole["items"]
    for kind in (AVRO, "avro/binary"):
        assert [present(row) for row in rows(shown(mixed, kind))] == [present(item) for item in whole["items"]]
    assert whole["items"][0]["data"]["foto"] == "AP8="
    assert whole["next"] == mixed.next


def test_a_line_is_one_line_whatever_a_value_holds() -> None:
    (line,) = shown(page(delivery(0, value(naam="a\nb\r\u2028\x85c"))), NDJSON).decode().splitlines()
    assert json.loads(line)["data"]["naam"] == "a\nb\r\u2028\x85c"


def test_an_avro_page_stops_before_another_schema_and_goes_on_there() -> None:
    messages = (departure(0), delivery(1, value()), barrier(2), delivery(4, value(300, woonplaats="Gent")))
    raw, held = rendered(page(*messages), FORMS[AVRO])
    assert [row["kind"] for row in rows(raw)] == ["left-population", "changed", "life-cycle"]
    assert position_of(STREAM, held.next) == 4
    raw, held = rendered(page(messages[3], position=9), FORMS[AVRO])
    assert [row["data"]["woonplaats"] for row in rows(raw)] == ["Gent"]
    assert position_of(STREAM, held.next) == 9


def test_forms_that_can_hold_several_schemas_do() -> None:
    both = page(delivery(1, value()), delivery(4, value(300, woonplaats="Gent")))
    assert len(json.loads(shown(both, JSON))["items"]) == 2


def test_a_page_without_values_has_the_schema_in_force(mixed: Page) -> None:
    empty, told = shown(page(), AVRO), shown(page(departure(3)), AVRO)
    assert rows(empty) == []
    assert [row["data"] for row in rows(told)] == [None]
    assert told.startswith(empty)
    assert shown(mixed, AVRO).startswith(empty)


def test_the_schema_of_a_file_keeps_what_the_egress_schema_says() -> None:
    reader = fastavro.reader(BytesIO(shown(page(delivery(0, value())), AVRO)))
    data = next(field for field in reader.writer_schema["fields"] if field["name"] == "data")
    naam = next(field for field in data["type"][1]["fields"] if field["name"] == "naam")
    assert naam["iri"] == "https://data.example/ns#naam"
    assert reader.metadata["datanuts.agreement"] == "inwoners"


def test_parts_of_a_file_join_behind_one_opening() -> None:
    parts = [(delivery(0, value()), departure(1)), (barrier(2),), (delivery(5, value(naam="c")),)]
    before = container.opening(STREAM, page().schema)
    joined = before + b"".join(container.block(STREAM, messages, before) for messages in parts)
    assert rows(joined) == rows(shown(page(*(message for part in parts for message in part)), AVRO))
