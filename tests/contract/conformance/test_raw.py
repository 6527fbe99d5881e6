"""A mapping of a raw topic passes the kit over a file of messages: that is how it is certified."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapters import mapped
from adapters.conformance.kit import Outcome
from tests.contract.conformance.playing import outcomes, played, schema_of
from tests.unit.adapters.test_raw_topic import MAPPING, change, row

SNAPSHOT = [change("r", row(number, f"werken {number}"), snapshot="true") for number in range(20)]
ROWS = [row(number, f"werken {number}") | {"gewijzigd": "2026-01-05T08:00:00Z"} for number in range(20)]


@pytest.mark.parametrize(
    ("form", "at", "messages"), [("debezium", "@committed", SNAPSHOT), ("json", "gewijzigd", ROWS)]
)
def test_a_mapping_of_a_raw_topic(tmp_path: Path, form: str, at: str, messages: list[Any]) -> None:
    (tmp_path / "mapping.yaml").write_text(MAPPING % (form, "", at, ""))
    sample = tmp_path / "messages.ndjson"
    sample.write_text("".join(json.dumps(each) + "\n" for each in messages))
    made = mapped.load_mapping(tmp_path, schema_of)
    found = played(lambda source: mapped.build(made, source), sample, tmp_path / "copies", "hinder.v1")
    assert outcomes(found, Outcome.BROKEN) | outcomes(found, Outcome.NOT_TRIED) == {}
    assert len(outcomes(found, Outcome.HELD)) >= 20
