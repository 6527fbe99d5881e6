"""Topic settings as design §4 fixes them: they cannot change cheaply once there are records."""

import pytest

from broker.control.intake_keys import KEPT_MS
from broker.model import topology

DAY = 24 * 3600 * 1000
EVERY = [
    *topology.installation(8),
    topology.source("rijksregister", "persoon.v1", 8),
    topology.quarantine("rijksregister", "persoon.v1"),
    topology.delivery("stad-gent", "inwoners-gent", 14),
    topology.cursors("magda"),
    topology.raw("stad-gent", "inwoners"),
]


def config(name: str) -> dict[str, str]:
    (found,) = [spec for spec in EVERY if spec.name == name]
    return dict(found.config)


def test_partitions_are_lanes_where_a_subject_has_its_place_and_one_where_there_is_one_cursor() -> None:
    assert {spec.name: spec.partitions for spec in EVERY} == {
        "control.log": 1,
        "lanes": 8,
        "receipts": 8,
        "subjects.dossiers": 8,
        "intake.keys": 8,
        "source.rijksregister.persoon.v1": 8,
        "quarantine.rijksregister.persoon.v1": 1,
        "delivery.stad-gent.inwoners-gent": 1,
        "cursors.magda": 1,
        "raw.stad-gent.inwoners": 1,
    }


def test_a_source_keeps_the_present_state_and_a_week_of_changes() -> None:
    held = config("source.rijksregister.persoon.v1")
    assert held["cleanup.policy"] == "compact"
    assert int(held["min.compaction.lag.ms"]) == 7 * DAY
    assert int(held["max.compaction.lag.ms"]) == 10 * DAY
    assert int(held["segment.ms"]) <= DAY
    assert int(held["delete.retention.ms"]) == 7 * DAY


def test_what_a_sources_own_programs_write_is_kept_for_a_week_and_not_by_their_clock() -> None:
    held = config("raw.stad-gent.inwoners")
    assert (held["cleanup.policy"], int(held["retention.ms"])) == ("delete", 7 * DAY)
    assert int(held["segment.ms"]) <= DAY
    assert held["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("days", [1, 14])
def test_a_delivery_is_kept_for_the_agreements_days(days) -> None:
    held = topology.delivery("stad-gent", "inwoners-gent", days).config
    assert int(held["retention.ms"]) == days * DAY
    assert "cleanup.policy" not in held


def test_the_largest_source_record_fits_its_delivery() -> None:
    assert int(config("delivery.stad-gent.inwoners-gent")["max.message.bytes"]) >= (1 << 20) + (64 << 10)


def test_a_quarantine_is_kept_for_thirty_days_and_receipts_until_archived() -> None:
    assert int(config("quarantine.rijksregister.persoon.v1")["retention.ms"]) == 30 * DAY
    assert config("receipts")["retention.ms"] == "-1"


def test_an_idempotency_key_is_kept_longer_than_it_counts() -> None:
    held = config("intake.keys")
    assert int(held["retention.ms"]) >= KEPT_MS + int(held["segment.ms"])
    assert "cleanup.policy" not in held


def test_logs_that_decisions_are_timed_by_are_timed_by_kafka() -> None:
    """And delivery topics are not: one millisecond on both sides of a join would join them (ADR envelope)."""
    timed = {spec.name for spec in EVERY if spec.config.get("message.timestamp.type") == "LogAppendTime"}
    raw = "raw.stad-gent.inwoners"
    assert timed == {"control.log", "receipts", "subjects.dossiers", "source.rijksregister.persoon.v1", raw}


def test_states_are_compacted_and_nothing_maps_ten_megabytes_a_segment() -> None:
    compacted = {spec.name for spec in EVERY if spec.config.get("cleanup.policy") == "compact"}
    assert compacted == {"control.log", "subjects.dossiers", "source.rijksregister.persoon.v1", "cursors.magda"}
    assert {spec.config["segment.index.bytes"] for spec in EVERY} == {"131072"}
