"""A mapping of JSON over HTTP passes the kit, its server's bad days included."""

import json
from pathlib import Path

from adapters import mapped
from adapters.conformance.kit import Outcome
from tests.contract.conformance.playing import outcomes, played, schema_of

MAPPING = """\
adapter: werken
product: hinder.v1
organisation: stad-gent
id: nummer
source: {kind: rest, timeout_s: 5}
recordedAt: gewijzigd
fields:
  identificator: {template: "https://gent.example/id/hinder/{nummer}"}
  versie: {template: "https://gent.example/id/hinder/{nummer}/1"}
  omschrijving: omschrijving
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""


def test_a_mapping_of_json_over_http(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    rows = [
        {"nummer": f"W-{number}", "omschrijving": f"werken {number}", "gewijzigd": "2026-01-05T08:00:00Z"}
        for number in range(20)
    ]
    (tmp_path / "werken.json").write_text(json.dumps(rows, indent=1))
    made = mapped.load_mapping(tmp_path, schema_of)
    found = played(
        lambda source: mapped.build(made, source), tmp_path / "werken.json", tmp_path / "copies", "hinder.v1", http=True
    )
    assert outcomes(found, Outcome.BROKEN) | outcomes(found, Outcome.NOT_TRIED) == {}
    assert len(outcomes(found, Outcome.HELD)) >= 20
