"""What `datanuts adapter new` writes holds together, for every product there is."""

from pathlib import Path
from typing import Any

import pytest

from adapters.mapped import FILE, build, load_mapping
from adapters.publication import Publication
from adapters.scaffold import ROWS, files
from adapters.scaffold_kinds import TEMPLATES
from adapters.sdk import Change
from broker.schema.avro import Schema, load_schema
from tests.unit.adapters.loopback import Reply, serving
from tests.unit.adapters.wiring import K_LANE, ROOT

SCHEMAS = sorted(path for path in (ROOT / "schemas").glob("*.avsc") if path.name != "receipt.v1.avsc")


def written(path: Path, kind: str, folder: Path) -> Schema:
    """The schema in a file, once a new adapter for it is in the folder."""
    schema = load_schema(path.read_text())
    for name, text in files("proef", schema, "stad-gent", kind, wanted=(), fixed={}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return schema


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", ["csv", "ldes", "rest", "xml"])
async def test_every_row_of_the_sample_is_a_record(tmp_path: Path, path: Path, kind: str, drain: Any) -> None:
    schema = written(path, kind, tmp_path)
    made = load_mapping(tmp_path / FILE, lambda _product: schema)
    async with serving(lambda asked: Reply((tmp_path / "sample" / asked.path[1:]).read_bytes())) as server:
        adapter = build(made, f"{server.origin}/proef.json" if TEMPLATES[kind].served else None)
        assert adapter.findings() == []
        items = [item for item, _ in await drain(adapter)]
        assert len([row async for row in adapter.rows()]) == ROWS
    publication = Publication("stad-gent", schema, 1, k_lane=K_LANE, lanes=4)
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
