"""Everything that was collected of public sources, through the adapters that read it: all that is read has an outcome.

The table is printed with `-s`. The samples are no part of the repository: where they are absent, this says so and
checks nothing.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from broker.cli.main import main

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent: NO adapter was tried on what public sources hold"),
    pytest.mark.timeout(300),
]

READ_BY = {
    "address_registry_events": ("basisregisters",),
    "association_registry": ("magda",),
    "gipod_ldes": ("ldes",),
    "ipdc_lpdc": ("ipdc",),
    "kbo_mutations_csv": ("csv",),
    "ldes_eventstream_definitions": ("ldes",),
    "ldes_pages_parkandride": ("ldes",),
    "lblod_bestuurseenheden": ("bestuurseenheden",),
    "lblod_mandatarissen": ("mandatarissen",),
    "magda": ("magda",),
}
"""Folder → the adapters that are meant for what is in it."""

NO_SOURCE = {
    "basisregisters_cloudevents_schemas": "JSON Schemas of a feed, no records",
    "codelists_nis": "code lists",
    "dcat_ap_vl": "catalogues: no type is about a dataset",
    "kbo_geefonderneming_json": "answers of MAGDA in JSON: the service itself answers in XML",
    "kvs_loopbaan": "careers of job seekers: no type",
    "magda_rest": "registrations of vehicles, a file on a handicap: no type",
    "oslo_codelists": "code lists",
    "oslo_contexts": "contexts: one enters by review, as part of the code",
    "oslo_mapping_samples": "examples of mappings of several registers, about nobody",
    "oslo_shapes": "shapes",
    "oslo_standaardenregister": "the list of standards",
    "vocabularies": "vocabularies",
}
"""Folder → why no adapter is meant for it."""

# A file of changes as the KBO sends it: 89 columns without a header.
KBO_MUTATIONS = """\
adapter: kbo-mutaties
product: organisatie.v1
organisation: kbo
id: "2"
source: {kind: csv, columns: 89, encoding: utf-8-sig, separator: ";"}
recordedAt: {from: "1", date: YYYY-MM-DD}
skip_when: {"3": ["01", "02"]}
fields:
  identificator: {from: "2", identifier: kbo, required: true}
  kbonummer: {from: "2", identifier: kbo}
  naam: {from: "26", required: true}
  namen: {each: ., fields: {naam: "26", taal: "27", soort: {const: maatschappelijk}, begin: "28"}}
  soort.code: "19"
  soort.omschrijving: "20"
  status.code: "14"
  status.omschrijving: "16"
  rechtsvorm.code: "71"
  rechtsvorm.omschrijving: "73"
  rechtsvorm.begin: "70"
  rechtstoestand.code: "65"
  rechtstoestand.omschrijving: "67"
  rechtstoestand.begin: "64"
  start: "61"
  inschrijving: "62"
  stopzetting.datum: "84"
  stopzetting.reden: "85"
  stopzetting.omschrijving: "87"
  zetel.straatnaam: "37"
  zetel.huisnummer: "38"
  zetel.busnummer: "39"
  zetel.postcode: "41"
  zetel.gemeente.nis: "40"
  zetel.gemeente.naam: "42"
  zetel.land.nis: "43"
  zetel.land.iso: "44"
  zetel.land.naam: "45"
  zetel.begin: "35"
  contact.telefoon: "56"
  contact.email: "59"
  suborganisaties: {const: []}
  afgeleidVan: {const: []}
  vestigingen: {const: []}
  activiteiten: {const: []}
"""


@pytest.fixture(scope="module")
def mapping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file: Path = tmp_path_factory.mktemp("kbo") / "mapping.yaml"
    file.write_text(KBO_MUTATIONS, encoding="utf-8")
    return file


def lines(folder: str, adapter: str, counts: dict[str, Any]) -> Iterator[str]:
    """Rows of the table for one reading."""
    yield f"{folder:<36} {adapter:<18} {counts['read']:>5} {counts['published']:>9} {counts['duplicate']:>9}"
    for outcome in ("ignored", "quarantined"):
        for reason, number in counts[outcome].items():
            yield f"{'':<36} {outcome:<12} {reason:<40} {number:>5}"


def checked(adapter: str, folder: str, mapping: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Counts of `datanuts adapter check`."""
    named = ["--mapping", str(mapping)] if adapter == "csv" else [adapter]
    assert main(["adapter", "check", *named, "--source", str(DATA / folder), "--json"]) == 0
    counts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return counts


def test_every_folder_is_read_or_it_is_known_why_not() -> None:
    assert {path.name for path in DATA.iterdir() if path.is_dir()} == READ_BY.keys() | NO_SOURCE.keys()
    named = {adapter for adapters in READ_BY.values() for adapter in adapters}
    assert named - {"csv"} <= set(registry.NAMES)


def test_what_is_read_has_an_outcome(mapping: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = [f"{'folder':<36} {'adapter':<18} {'read':>5} {'published':>9} {'duplicate':>9}"]
    for folder in sorted(READ_BY):
        for adapter in READ_BY[folder]:
            counts = checked(adapter, folder, mapping, capsys)
            outcomes = sum(counts["ignored"].values()) + sum(counts["quarantined"].values())
            assert counts["read"] == counts["published"] + counts["duplicate"] + outcomes > 0, folder
            table += lines(folder, adapter, counts)
    table += [f"{folder:<36} not read: {why}" for folder, why in sorted(NO_SOURCE.items())]
    sys.stdout.write("\n".join(["", *table, ""]))


@pytest.mark.parametrize("folder", sorted(READ_BY.keys() | NO_SOURCE.keys()))
def test_no_adapter_crashes_on_what_is_not_for_it(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    for adapter in sorted(set(registry.NAMES) - {"example", "synthetic"}):
        if main(["adapter", "check", adapter, "--source", str(DATA / folder), "--json"]) != 0:
            assert json.loads(capsys.readouterr().out)["code"] == "INVALID", "a source of another form is refused"
            continue
        counts = json.loads(capsys.readouterr().out)
        assert counts["read"] == counts["published"] + counts["duplicate"] + sum(
            number for outcome in ("ignored", "quarantined") for number in counts[outcome].values()
        )
