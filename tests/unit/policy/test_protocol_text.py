"""The Dutch protocol: it says every clause of the document, nobody can write articles into it, and its PDF loses nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pypdf import PdfReader

from broker.cli.documents import PolicyFolder
from broker.errors import Invalid
from broker.model.agreement import Agreement, FieldClass, Instrument, ReleasedField, Transform
from broker.model.control_state import ControlState
from broker.model.registered import Product
from broker.policy import documents
from broker.policy.protocol_pdf import pdf
from broker.policy.protocol_phrases import CLASSES, INSTRUMENTS, form
from broker.policy.protocol_text import document_hash, render, text_hash

FOLDER = PolicyFolder.of()
NAMES = [path.stem for path in FOLDER.agreement_files()]
AT = datetime(2026, 1, 1, tzinfo=UTC)


def control() -> ControlState:
    state = FOLDER.state()
    person = state.products["rijksregister", "persoon.v1"]
    state.products["kbo", "persoon.v1"] = Product("persoon.v1", "kbo", person.schema_id)
    state.products["rijksregister", "adres.v1"] = state.products["adressenregister", "adres.v1"]
    return state


STATE = control()


def reviewed(name: str) -> Agreement:
    return documents.agreement((FOLDER.policies / "agreements" / f"{name}.yaml").read_text())


FULL: dict[str, Any] = documents.agreement_document(reviewed("parkeerboetes-gent")) | {
    "fields": [
        {"path": "naam.achternaam", "transform": "keep", "why": "Voor de brief."},
        {"path": "insz", "transform": "own-reference", "why": "Eigen dossier.", "name": "dossier"},
        {"path": "geboorte.datum", "transform": "band", "why": "Groep.", "name": "groep", "bounds": [18, 65]},
        {"path": "geboorte.datum", "transform": "leeftijd-vanaf", "why": "Grens.", "name": "grens", "age": 16},
        {
            "path": "verblijfplaats.gemeente.nis",
            "transform": "woont-in",
            "why": "Tarief.",
            "name": "hier",
            "municipalities": ["44021", "24062"],
        },
    ],
    "population": {
        "dossiers": True,
        "consent": True,
        "where": {
            "all": [
                {"path": "verblijfplaats.gemeente.nis", "equals": "44021"},
                {"any": [{"path": "geslacht", "in": ["mannelijk", "vrouwelijk"]}]},
                {"path": "geboorte.datum", "range": {"from": "1980-01-01", "to": "1990-01-01"}},
                {"path": "verblijfplaats.postcode", "prefix": "90"},
            ]
        },
    },
    "term": {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"},
}
FULL["conditions"] = FULL["conditions"] | {
    "onward": {"allowed": True, "to": "Aan de deurwaarder."},
    "impact": {"reference": "FICTIEF-GEB-1", "reason_for_none": "Geen hoog risico."},
}
_OTHER = {
    "source": "kbo",
    "product": "adres.v1",
    "agency": "stad-gent",
    "purpose": "statistiek",
    "id": "andere",
    "instrument": "ivc",
    "gdpr": "6.1.c",
    "dated": "2024-02-29",
    "url": "https://ander.example/x",
    "role": "gezamenlijke-verwerkingsverantwoordelijke",
    "side": "source",
    "start": "2025-01-01T00:00:00Z",
    "end": "2028-01-01T12:30:00Z",
    "path": "overlijden.datum",
    "retention_days": 13,
    "name": "ander",
}


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of the scalars of a document."""
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(below, (*at, key))
    else:
        yield at


def changed(place: tuple[Any, ...]) -> dict[str, Any]:
    """The full document with another value at one place."""
    document = deepcopy(FULL)
    inner: Any = document
    for key in place[:-1]:
        inner = inner[key]
    key, held = place[-1], inner[place[-1]]
    if place[:2] == ("conditions", "publication"):
        inner[key] = "https://ander.example/p"
    elif key == "transform":
        inner |= {"transform": "year"}
        inner.setdefault("name", "jaar")
        for argument in ("bounds", "age", "municipalities"):
            inner.pop(argument, None)
    elif isinstance(held, bool):
        inner[key] = not held
    elif isinstance(held, int):
        inner[key] = _OTHER.get(key, held + 1)
    elif "municipalities" in place:
        inner[key] = "35013"
    else:
        inner[key] = _OTHER.get(key, f"{held} en meer") if isinstance(key, str) else f"{held} en meer"
    return document


def without_fingerprint(text: str, agreement: Agreement) -> str:
    assert document_hash(agreement) in text
    return text.replace(document_hash(agreement), "")


@pytest.mark.parametrize("place", list(leaves(FULL)), ids=lambda place: ".".join(map(str, place)))
def test_editing_one_clause_changes_the_text(place: tuple[Any, ...]) -> None:
    before, after = documents.agreement(FULL), documents.agreement(changed(place))
    assert before != after
    texts = [without_fingerprint(render(value, STATE), value) for value in (before, after)]
    assert texts[0] != texts[1]


@pytest.mark.parametrize("part", [("conditions", name) for name in FULL["conditions"]] + [("population", "where")])
def test_leaving_out_a_part_changes_the_text(part: tuple[str, str]) -> None:
    document = deepcopy(FULL)
    del document[part[0]][part[1]]
    before, after = documents.agreement(FULL), documents.agreement(document)
    assert without_fingerprint(render(before, STATE), before) != without_fingerprint(render(after, STATE), after)


def test_what_cannot_be_seen_in_words_still_changes_the_hash() -> None:
    spaced = documents.agreement(FULL | {"title": FULL["title"].replace(" ", "  ")})
    assert text_hash(render(documents.agreement(FULL), STATE)) != text_hash(render(spaced, STATE))


@pytest.mark.parametrize("name", NAMES)
def test_every_agreement_of_the_repository_is_a_whole_protocol(name: str) -> None:
    text = render(reviewed(name), STATE)
    assert text == render(reviewed(name), control())
    assert [f"## Artikel {number}." in text for number in range(1, 21)] == [True] * 19 + [False]
    assert "nog niet bepaald" not in text
    assert "Dit protocol bepaalt hierover niets" not in text
    assert text.endswith("\n")


def test_a_draft_says_what_is_still_open() -> None:
    text = render(documents.agreement({key: value for key, value in FULL.items() if key != "conditions"}), STATE)
    assert "Na die termijn: (nog niet bepaald)" in text
    assert "## Artikel 16. Sancties\n\nDit protocol bepaalt hierover niets." in text


@pytest.mark.parametrize(("key", "value"), [("purpose", "onbekend"), ("product", "gezin.v1"), ("source", "gipod")])
def test_what_the_state_does_not_know_is_refused_by_place(key: str, value: str) -> None:
    with pytest.raises(Invalid, match=r"^(purpose|product): "):
        render(documents.agreement(FULL | {key: value}), STATE)


def test_every_instrument_class_and_transform_has_words() -> None:
    assert set(INSTRUMENTS) == set(Instrument)
    assert set(CLASSES) == set(FieldClass)
    words = {form(ReleasedField("a", transform, "b", None, ("1",))) for transform in Transform}
    assert len(words) == len(Transform)
    assert not [text for text in words if "{" in text]


MARKUP = st.text("#*_-+>`[]()!&<|~\\=1.0 \n\té;\"'", min_size=1, max_size=40).filter(str.strip)


@settings(max_examples=60)
@given(MARKUP, MARKUP)
def test_nobody_can_write_an_article_by_way_of_a_justification(why: str, title: str) -> None:
    fields = (ReleasedField("naam.achternaam", Transform.KEEP, why), *reviewed("parkeerboetes-gent").fields)
    conditions = replace(reviewed("parkeerboetes-gent").conditions, security=(why, title), quality=title)
    agreement = replace(reviewed("parkeerboetes-gent"), title=title, fields=fields, conditions=conditions)
    tokens = MarkdownIt("commonmark").parse(render(agreement, STATE))
    plain = MarkdownIt("commonmark").parse(render(reviewed("parkeerboetes-gent"), STATE))
    kinds = {"heading_open", "fence", "code_block", "html_block", "hr", "blockquote_open", "ordered_list_open"}
    assert [token.tag for token in tokens if token.type in kinds] == [
        token.tag for token in plain if token.type in kinds
    ]
    shown = ["".join(shown_as(child) for child in token.children or ()) for token in tokens if token.type == "inline"]
    squeezed = [" ".join(line.split()) for line in shown]
    assert " ".join(title.split()) in squeezed
    assert any(line.endswith(f"Noodzaak: {' '.join(why.split())}") for line in squeezed)


def shown_as(token: Any) -> str:
    return "\n" if token.type in {"softbreak", "hardbreak"} else token.content


def words_of(text: str) -> str:
    """What a reader of the Markdown sees, without white space."""
    inline = (token for token in MarkdownIt("commonmark").parse(text) if token.type == "inline")
    return "".join("".join(shown_as(child) for child in token.children or ()) for token in inline)


def on_paper(content: bytes) -> str:
    """What the PDF says, without footers, bullets and white space."""
    lines = [line for page in PdfReader(BytesIO(content)).pages for line in page.extract_text().splitlines()]
    kept = [line for line in lines if not line.startswith(("SHA-256 van de tekst", "bladzijde "))]
    return "".join("".join(kept).replace("•", "").split())


@pytest.mark.parametrize("name", NAMES)
def test_the_pdf_says_all_that_the_text_says(name: str) -> None:
    text = render(reviewed(name), STATE)
    content = pdf(text, title=name, at=AT)
    assert on_paper(content) == "".join(words_of(text).split())
    pages = PdfReader(BytesIO(content)).pages
    for number, page in enumerate(pages, start=1):
        assert text_hash(text) in page.extract_text()
        assert f"bladzijde {number} van {len(pages)}" in page.extract_text()


def test_nested_conditions_of_a_population_reach_the_paper() -> None:
    text = render(documents.agreement(FULL), STATE)
    assert on_paper(pdf(text, title="x", at=AT)) == "".join(words_of(text).split())


def test_the_pdf_has_title_language_and_the_one_instant_it_was_given() -> None:
    read = PdfReader(BytesIO(pdf("# Één\n", title="Één titel", at=AT)))
    assert read.metadata is not None
    assert (read.metadata.title, read.metadata.creation_date) == ("Één titel", AT)
    assert read.trailer["/Root"]["/Lang"] == "nl-BE"


def test_the_same_text_gives_the_same_bytes_in_another_process_zone_and_order() -> None:
    text = render(reviewed("jeugddienst-leuven"), STATE)
    first = pdf(text, title="x", at=AT)
    assert pdf(text, title="x", at=AT.astimezone(timezone(timedelta(hours=5)))) == first
    assert pdf(text, title="y", at=AT) != first
    assert pdf(f"{text} ", title="x", at=AT) != first
    program = (
        "import sys, hashlib; from datetime import datetime, UTC; from broker.policy.protocol_pdf import pdf;"
        "print(hashlib.sha256(pdf(sys.stdin.read(), title='x', at=datetime(2026, 1, 1, tzinfo=UTC))).hexdigest())"
    )
    for seed in ("1", "2"):
        surroundings = os.environ | {"PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed, "TZ": "Asia/Tokyo"}
        done = subprocess.run(
            [sys.executable, "-c", program], input=text, env=surroundings, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == sha256(first).hexdigest()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("# Eén\n\nTwee 漢字\n", "line 3"),
        ("# Eén\n\n- drie → vier\n", "line 3"),
        ("a\n\n![b](https://c.example/d.png)\n", "line 3"),
        ("a\n\n<b>c</b>\n", "line 3"),
        ("a\n\n---\n", "line 3"),
        ("a\n\n```\nb\n```\n", "line 3"),
    ],
)
def test_what_cannot_be_set_on_paper_is_refused_by_line(text: str, place: str) -> None:
    with pytest.raises(Invalid, match=f"^{place}"):
        pdf(text, title="x", at=AT)


def test_the_fingerprint_is_that_of_the_document_in_any_order_of_keys() -> None:
    agreement = documents.agreement(FULL)
    backwards = json.loads(json.dumps(dict(reversed(FULL.items()))))
    assert document_hash(documents.agreement(backwards)) == document_hash(agreement)
    assert document_hash(replace(agreement, retention_days=13)) != document_hash(agreement)
