"""What the guide shows of XML and of streams is what a mapping takes."""

import re
from pathlib import Path

import pytest

from adapters.mapped import build, load_mapping
from tests.unit.adapters.wiring import ROOT, schema

REST = {
    "adapter": "proef",
    "product": "hinder.v1",
    "organisation": "stad-gent",
    "recordedAt": '{const: "2026-01-01T00:00:00Z"}',
}
FIELDS = {
    "identificator": '{const: "https://gent.example/1"}',
    "versie": '{const: "https://gent.example/1/1"}',
    "contactorganisaties": "{const: []}",
    "perioden": "{const: []}",
    "zones": "{const: []}",
    "oorzaken": "{const: []}",
}


def example(kind: str) -> str:
    """The guide's example of a kind, with what it leaves out of the rest of the file."""
    blocks = (ROOT / "docs" / "adapters.md").read_text().split("```yaml\n")[1:]
    shown = next(text for each in blocks if f"\n  kind: {kind}\n" in (text := each.split("```")[0]))
    head = "".join(
        f"{name}: {text}\n" for name, text in REST.items() if not re.search(f"^{name}:", shown, re.MULTILINE)
    )
    fields = "".join(f"  {name}: {rule}\n" for name, rule in FIELDS.items() if f"\n  {name}:" not in shown)
    return head + shown + fields


@pytest.mark.parametrize("kind", ["xml", "ldes"])
def test_an_example_of_the_guide_is_a_mapping(kind: str, tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    (tmp_path / "mapping.yaml").write_text(example(kind))
    assert build(load_mapping(tmp_path, schema), None).name == "proef"
