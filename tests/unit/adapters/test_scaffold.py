"""What `datanuts adapter new` writes holds together, for every product there is."""

import asyncio
from pathlib import Path

import pytest

from adapters.mapped import FILE, build, load_mapping
from adapters.publication import Publication
from adapters.scaffold import ROWS, TEMPLATES, files
from adapters.sdk import Change
from broker.schema.avro import load_schema
from tests.unit.adapters.wiring import K_LANE, ROOT

SCHEMAS = sorted(path for path in (ROOT / "schemas").glob("*.avsc") if path.name != "receipt.v1.avsc")


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", [kind for kind in TEMPLATES if kind == "csv"])
def test_every_row_of_the_sample_is_a_record(tmp_path: Path, path: Path, kind: str) -> None:
    schema = load_schema(path.read_text())
    written = files("proef", schema, "stad-gent", kind, wanted=(), fixed={})
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    adapter = build(load_mapping(tmp_path / FILE, lambda _product: schema), None)
    assert adapter.findings() == []
    publication = Publication("stad-gent", schema, 1, k_lane=K_LANE, lanes=4)

    async def drained() -> list:
        return [item async for item, _ in adapter.changes(None)]

    items = asyncio.run(drained())
    assert [type(item) for item in items] == [Change] * ROWS, items
    assert len({publication.state(item).key for item in items}) == ROWS


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_every_field_has_a_line_with_its_meaning_and_class(path: Path) -> None:
    schema = load_schema(path.read_text())
    mapping = files("proef", schema, "stad-gent", "csv", wanted=(), fixed={})[FILE]
    for leaf in schema.fields.values():
        listed = any(f"{leaf.path.rsplit('.', up)[0]}:" in mapping for up in range(leaf.path.count(".") + 1))
        assert listed or leaf.path in {"validFrom", "validTo", "corrects"}, leaf.path
        if f"{leaf.path}: " in mapping and leaf.path not in {"kind", "recordedAt"}:
            assert f"# {leaf.doc} [{leaf.field_class.value}]" in mapping
