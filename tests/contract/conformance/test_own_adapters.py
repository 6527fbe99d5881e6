"""The adapters of this package pass their own kit: on synthetic samples always, on real documents where they are."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from adapters import bestuurseenheden, example, ipdc, ldes, magda, mandatarissen, mapped, synthetic
from adapters.conformance.kit import Outcome, Verdict
from adapters.sdk import Adapter
from tests.contract.conformance.playing import SAMPLE, outcomes, played, schema_of

DATA = Path(__file__).parents[4] / "shared" / "data"
MAPPING = """\
adapter: werken
product: hinder.v1
organisation: stad-gent
id: nummer
source: {kind: csv, encoding: utf-8-sig}
SNAPSHOT
kind: {const: KIND}
recordedAt: gewijzigd
fields:
  identificator: {template: "https://gent.example/id/hinder/{nummer}"}
  versie: {template: "https://gent.example/id/hinder/{nummer}/1"}
  omschrijving: omschrijving
  locatie.straatnaam: straat
  perioden: {each: ., fields: {begin: begin, einde: einde}}
  contactorganisaties: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""


def passed(verdicts: dict[str, Verdict]) -> None:
    assert outcomes(verdicts, Outcome.BROKEN) | outcomes(verdicts, Outcome.NOT_TRIED) == {}
    assert len(outcomes(verdicts, Outcome.HELD)) >= 20


def test_the_example(tmp_path: Path) -> None:
    passed(played(example.build, SAMPLE, tmp_path, "hinder.v1"))


def test_the_synthetic_one(tmp_path: Path) -> None:
    """It has no source: what can be asked of it all the same."""
    (tmp_path / "niets").write_text("")
    build = lambda _source: synthetic.build("people=20&enterprises=5&roadworks=5")  # noqa: E731 - a factory
    found = played(build, tmp_path / "niets", tmp_path / "copies", "persoon.v1", "organisatie.v1", "hinder.v1")
    assert outcomes(found, Outcome.BROKEN).keys() <= {"MISSING_SOURCE_IS_TOLD"}


def _needed(folder: Path) -> Path:
    if not folder.exists():
        pytest.skip(f"no {folder}: the adapter was not tried on real documents")
    return folder


def _magda(folder: Path) -> Path:
    sample = folder / "antwoorden"
    sample.mkdir()
    for number, file in enumerate(sorted(_needed(DATA / "magda" / "Persoon").rglob("*.xml"))[::16][:16]):
        (sample / f"{number}.xml").write_bytes(file.read_bytes())
    return sample


def _feed(folder: Path) -> Path:
    """Several answers in one document, as a feed has them."""
    files = sorted(_needed(DATA / "magda" / "Persoon").rglob("*.xml"))[::16][:16]
    replies = [
        found for file in files for found in re.findall(r"<Repliek>.*?</Repliek>", file.read_text("utf-8"), re.DOTALL)
    ]
    (folder / "feed.xml").write_text(f"<Antwoorden>{''.join(replies)}</Antwoorden>", encoding="utf-8")
    return folder / "feed.xml"


def _blocks(path: str, most: int) -> Callable[[Path], Path]:
    """The first subjects of a Turtle document."""

    def cut(folder: Path) -> Path:
        text = _needed(DATA / path).read_text("utf-8")
        (folder / "deel.ttl").write_text("\n\n".join(re.split(r"\n\n(?=<|\[)", text)[: most + 1]) + "\n", "utf-8")
        return folder / "deel.ttl"

    return cut


def _services(folder: Path) -> Path:
    sample = folder / "diensten"
    sample.mkdir()
    for number, file in enumerate(sorted(_needed(DATA / "ipdc_lpdc" / "instance-data").glob("*.ttl"))):
        (sample / f"{number}.ttl").write_bytes(file.read_bytes())
    return sample


REAL = [
    (magda.build, _magda, False),
    (magda.build, _feed, True),
    (ldes.build, _blocks("gipod_ldes/mobility-hindrances.members.ttl", 12), False),
    (ldes.build, _blocks("gipod_ldes/mobility-hindrances.members.ttl", 12), True),
    (bestuurseenheden.build, _blocks("lblod_bestuurseenheden/bestuurseenheden.ttl", 15), False),
    (bestuurseenheden.build, _blocks("lblod_bestuurseenheden/bestuurseenheden.ttl", 15), True),
    (mandatarissen.build, _blocks("lblod_mandatarissen/mandatarissen_bilzen.ttl", 12), False),
    (ipdc.build, _services, False),
]


@pytest.mark.parametrize(
    ("build", "sample", "http"),
    REAL,
    ids=["magda", "magda feed", "ldes", "ldes feed", "units", "units on the web", "mandates", "services"],
)
def test_on_real_documents(
    tmp_path: Path, build: Callable[[str], Adapter], sample: Callable[[Path], Path], *, http: bool
) -> None:
    products = build("http://127.0.0.1:9/").sources
    passed(played(build, sample(tmp_path), tmp_path / "copies", *products, http=http))


@pytest.mark.parametrize(("kind", "snapshot"), [("changed", ""), ("snapshot", "snapshot: true")])
def test_a_mapping(tmp_path: Path, kind: str, snapshot: str) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(MAPPING.replace("SNAPSHOT", snapshot).replace("KIND", kind))
    made = mapped.load_mapping(file, schema_of)
    passed(played(partial(mapped.build, made), SAMPLE, tmp_path / "copies", "hinder.v1"))


def test_a_mapping_that_leaves_the_encoding_to_be_guessed_does_not(tmp_path: Path) -> None:
    """One byte that is no UTF-8 makes the whole file look like another encoding."""
    file = tmp_path / "mapping.yaml"
    text = MAPPING.replace("SNAPSHOT", "").replace("KIND", "changed").replace(", encoding: utf-8-sig", "")
    file.write_text(text)
    found = played(
        partial(mapped.build, mapped.load_mapping(file, schema_of)), SAMPLE, tmp_path / "copies", "hinder.v1"
    )
    assert list(outcomes(found, Outcome.BROKEN)) == ["WRONG_ENCODING_IS_TOLD"]
