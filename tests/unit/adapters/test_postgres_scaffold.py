"""What `datanuts adapter new --from postgres` writes holds together, for every product there is, without a database."""

import runpy
from pathlib import Path

import pytest

from adapters.mapped import FILE, build, load_mapping
from adapters.publication import Publication
from adapters.scaffold import ROWS, files
from adapters.sdk import Change
from broker.schema.avro import load_schema
from tests.unit.adapters.wiring import K_LANE, ROOT

SCHEMAS = sorted(path for path in (ROOT / "schemas").glob("*.avsc") if path.name != "receipt.v1.avsc")


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_every_row_of_the_sample_is_a_record(tmp_path: Path, path: Path) -> None:
    schema = load_schema(path.read_text())
    for name, text in files("mijn-bron", schema, "stad-gent", "postgres", wanted=(), fixed={}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    adapter = build(load_mapping(tmp_path / FILE, lambda _product: schema), None)
    rows = runpy.run_path(str(tmp_path / "test_mijn_bron.py"))["rows"]()
    items = [adapter.mapping.item(row, str(number)) for number, row in enumerate(rows, 1)]
    assert [type(item) for item in items] == [Change] * ROWS, items
    publication = Publication("stad-gent", schema, 1, k_lane=K_LANE, lanes=4)
    assert len({publication.state(item).key for item in items if isinstance(item, Change)}) == ROWS
