"""A mapping's words for PostgreSQL: what they may be together, and that no password stands among them."""

from pathlib import Path
from typing import Any

import pytest

from adapters.mapped import build, load_mapping
from adapters.mapping_errors import MappingRefused
from adapters.postgres_cursor import OutboxCursor, SlotCursor, lsn
from adapters.postgres_outbox import Place
from adapters.postgres_session import connecting
from adapters.postgres_slot import _checked
from broker.errors import Invalid, PositionLost
from tests.databases import FIELDS
from tests.unit.adapters.wiring import schema

PLACE = "host: db.gent.example, database: werken, user: lezer"
OUTBOX = "outbox: {table: uit, position: n}"


def made(folder: Path, words: str, beside: str = "", given: str | None = None) -> Any:
    head = "adapter: werken\nproduct: hinder.v1\norganisation: gipod\nid: nummer\nrecordedAt: gewijzigd\n"
    (folder / "mapping.yaml").write_text(f"{head}source: {{kind: postgres, {words}}}\n{beside}\n{FIELDS}")
    return build(load_mapping(folder, schema), given)


@pytest.mark.parametrize(
    ("words", "beside", "path", "told"),
    [
        (f"{PLACE}, {OUTBOX}, password: geheim", "", "password", "is a secret: write {env: NAME}"),
        (f"{PLACE}, {OUTBOX}, password: 1234", "", "password", "is a secret: write {env: NAME}"),
        (f"{PLACE}, {OUTBOX}, tls: disable", "", "source.tls", "TLS only"),
        (f"{PLACE}, {OUTBOX}, ca: ca.pem", "", "source.ca", "verify-full"),
        (f"{OUTBOX}, host: h, user: u", "", "source", "`database` is missing"),
        (PLACE, "", "source", "read one of"),
        (f"{PLACE}, {OUTBOX}, slot: s, publication: p, table: t", "", "source", "read one of"),
        (f"{PLACE}, {OUTBOX}, table: t", "", "source.table", "drop `table`"),
        (f"{PLACE}, {OUTBOX}", "snapshot: true", "source.outbox", "tells changes"),
        (f"{PLACE}, slot: s, table: t", "", "source.slot", "`publication` and `table`"),
        (f"{PLACE}, slot: Slot, publication: p, table: t", "", "slot", "pattern"),
        (f"{PLACE}, table: t", "", "source.table", "snapshot: true"),
        (f"{PLACE}, table: t, initial: true", "snapshot: true", "source", "go with `slot`"),
        (f"{PLACE}, query: SELECT 1, listen: kanaal", "snapshot: true", "source.listen", "is for an outbox"),
    ],
)
def test_words_that_do_not_go_together(tmp_path: Path, words: str, beside: str, path: str, told: str) -> None:
    with pytest.raises(MappingRefused) as refused:
        made(tmp_path, words, beside)
    found = [finding for finding in refused.value.findings if finding.path.endswith(path)]
    assert any(told in finding.text for finding in found), refused.value.findings
    assert "geheim" not in str(refused.value.findings)


@pytest.mark.parametrize(
    ("words", "given", "place", "mode"),
    [
        (PLACE, None, ("db.gent.example", 5432, "werken"), "require"),
        (PLACE, "localhost:5433", ("localhost", 5433, "werken"), "prefer"),
        (PLACE, "postgresql://db2.gent.example/anders", ("db2.gent.example", 5432, "anders"), "require"),
        (f"{PLACE}, tls: verify-full, ca: ca.pem", None, ("db.gent.example", 5432, "werken"), "verify-full"),
    ],
)
def test_a_connection_goes_over_tls_unless_it_stays_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, given: str | None, place: tuple[Any, ...], mode: str
) -> None:
    monkeypatch.setenv("PGSSLMODE", "disable")
    monkeypatch.setenv("GEHEIM", "s3kr3t")
    adapter = made(tmp_path, f"{words}, {OUTBOX}, password: {{env: GEHEIM}}", given=given)
    told = connecting(adapter.form, tmp_path)
    assert (told["host"], told["port"], told["dbname"]) == place
    assert (told["sslmode"], told["password"]) == (mode, "s3kr3t")
    assert "s3kr3t" not in repr(adapter)
    if mode == "verify-full":
        assert told["sslrootcert"] == str(tmp_path / "ca.pem")


@pytest.mark.parametrize("given", ["lezer:geheim@db", "db?password=geheim", "db:poort", ""])
def test_no_password_in_an_argument(tmp_path: Path, given: str) -> None:
    with pytest.raises(Invalid) as refused:
        made(tmp_path, f"{PLACE}, {OUTBOX}", given=given)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "text", [None, "", "null", "[]", '["f"]', '["f","x1","x-1"]', '["g","x1","x1"]', "5", "é", "[" * 9999]
)
def test_a_strange_cursor_is_the_start(text: str | None) -> None:
    assert OutboxCursor.of(text, "f") == OutboxCursor("f")
    assert SlotCursor.of(text, "f") is None


def test_a_cursor_is_read_as_it_was_written_and_holds_no_eleven_digits() -> None:
    outbox = OutboxCursor("f", Place(85073003328, 85073003328), 16_400)
    slot = SlotCursor("f", 85073003328, 85073003329, 7)
    assert OutboxCursor.of(outbox.text(), "f") == outbox
    assert SlotCursor.of(slot.text(), "f") == slot
    assert "85073003328" not in outbox.text() + slot.text()
    assert lsn(0x16_B374D848) == "16/B374D848"


@pytest.mark.parametrize(
    ("changed", "error", "told"),
    [
        ({0: "replica"}, Invalid, "ALTER SYSTEM SET wal_level = 'logical'"),
        ({1: True}, Invalid, "name the primary"),
        ({8: "test_decoding"}, Invalid, "run: SELECT pg_create_logical_replication_slot('s', 'pgoutput')"),
        ({9: False}, Invalid, "is of another database"),
        ({10: "lost"}, PositionLost, "max_slot_wal_keep_size"),
        ({11: None}, PositionLost, "`initial: true`"),
    ],
)
def test_what_a_server_says_of_itself(
    tmp_path: Path, changed: dict[int, Any], error: type[Exception], told: str
) -> None:
    form = made(tmp_path, f"{PLACE}, slot: s, publication: p, table: t").form
    good = ["logical", False, True, True, True, False, True, True, "pgoutput", True, "reserved", 16, 8]
    assert _checked(form, tuple(good)) == (16, 8)
    with pytest.raises(error) as refused:
        _checked(form, tuple(changed.get(number, value) for number, value in enumerate(good)))
    assert told in str(refused.value)
