"""Purposes by the codes others know them by: what real catalogues and MAGDA write is accepted, what only looks like it is not."""

import re
from pathlib import Path
from typing import Any

import pytest

from broker.errors import Invalid
from broker.policy import limit_documents

ROOT = Path(__file__).parents[3]
REVIEWED = limit_documents.purposes((ROOT / "policies" / "purposes.yaml").read_text())
DPV = "https://w3id.org/dpv"


def listed(**codes: Any) -> Any:
    return limit_documents.purposes([{"code": "taak", "title": "Taak", "description": "Iets.", **codes}])


@pytest.mark.parametrize(
    "codes",
    [
        {"ipdc": "ipdc94"},
        {"ipdc": "mpdc12"},
        {"hoedanigheid": ["101", "2480", "ipdc2480"]},
        {"dpv": f"{DPV}#AgeVerification"},
        {"dpv": f"{DPV}/sector/public-services#ServiceProvision"},
    ],
)
def test_codes_as_others_write_them_are_kept(codes: dict[str, Any]) -> None:
    (purpose,) = listed(**codes).by_code.values()
    for name, code in codes.items():
        assert getattr(purpose, name) == (tuple(code) if isinstance(code, list) else code)
    assert limit_documents.purposes(limit_documents.purpose_documents(listed(**codes))) == listed(**codes)


@pytest.mark.parametrize(
    ("codes", "place"),
    [
        ({"ipdc": "2045"}, "ipdc"),
        ({"ipdc": "IPDC2045"}, "ipdc"),
        ({"ipdc": "ipdc0"}, "ipdc"),
        ({"ipdc": "ipdc2045 "}, "ipdc"),
        ({"ipdc": "ipdc2045\n"}, "ipdc"),
        ({"ipdc": 2045}, "ipdc"),
        ({"hoedanigheid": ["schuldeiser"]}, "hoedanigheid"),
        ({"hoedanigheid": [101]}, "hoedanigheid"),
        ({"hoedanigheid": ["00410100034"]}, "hoedanigheid"),
        ({"dpv": DPV}, "dpv"),
        ({"dpv": f"{DPV}/purposes"}, "dpv"),
        ({"dpv": f"{DPV}#age verification"}, "dpv"),
        ({"dpv": "https://example.org/dpv#AgeVerification"}, "dpv"),
    ],
)
def test_what_is_no_such_code_is_refused_by_its_place(codes: dict[str, Any], place: str) -> None:
    with pytest.raises(Invalid, match=rf"purposes\.0\.{place}"):
        listed(**codes)


def test_every_capacity_in_real_messages_and_every_product_number_is_one(shared_data: Path) -> None:
    capacities, products = set(), set()
    for path in (shared_data / "magda").rglob("*.xml"):
        capacities |= set(re.findall(r"<(?:\w+:)?Hoedanigheid>\s*([^<\s]+)\s*<", path.read_text(errors="replace")))
    for path in (shared_data / "ipdc_lpdc").rglob("*.json*"):
        products |= set(re.findall(r'"productnummer": *"(\d+)"', path.read_text()))
    assert len(capacities) > 10
    assert any(capacity.startswith("ipdc") for capacity in capacities)
    assert products
    purpose = {"code": "taak", "title": "Taak", "description": "Iets."}
    for start in range(0, len(capacities), 20):
        limit_documents.purposes([purpose | {"hoedanigheid": sorted(capacities)[start : start + 20]}])
    for number in products:
        limit_documents.purposes([purpose | {"ipdc": f"ipdc{number}"}])


def test_the_reviewed_purposes_name_concepts_that_dpv_has(shared_data: Path) -> None:
    """The stored vocabularies hold no DPV; the notes beside them list its purposes, as read from version 2.3."""
    notes = shared_data.parent / "reference" / "oslo.md"
    vocabularies = [path.read_text() for path in (shared_data / "vocabularies").glob("*") if "dpv" in path.name]
    known = set(re.findall(r"\b[A-Z][A-Za-z]+\b", "\n".join([*vocabularies, notes.read_text()])))
    for purpose in REVIEWED.by_code.values():
        assert purpose.dpv is not None
        assert purpose.dpv.partition("#")[2] in known, purpose.code


def test_no_reviewed_code_can_be_taken_for_a_real_product() -> None:
    text = (ROOT / "policies" / "purposes.yaml").read_text()
    for line in text.splitlines():
        if line.strip().startswith("ipdc:"):
            assert re.search(r"ipdc9999\d\d # FICTIEF", line)
    assert any(purpose.ipdc for purpose in REVIEWED.by_code.values())
    assert len([purpose for purpose in REVIEWED.by_code.values() if purpose.hoedanigheid]) >= 4
