"""Contexts that were reviewed: which address stands for which file, and what is refused before a document is read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import ipdc
from adapters.contexts import FOLDER, reviewed
from adapters.sdk import Broken, Change
from broker.errors import Invalid

ADDRESS = "https://elders.example/ipdc.jsonld"


def folder(place: Path, index: Any, **files: Any) -> dict[str, str]:
    """The environment that names a folder of an index and files."""
    (place / "contexts.json").write_text(index if isinstance(index, str) else json.dumps(index))
    for name, text in files.items():
        (place / f"{name}.jsonld").write_text(text if isinstance(text, str) else json.dumps(text))
    return {FOLDER: str(place)}


def test_without_a_folder_there_are_none() -> None:
    assert reviewed({}) == {}


def test_several_addresses_stand_for_one_file(tmp_path: Path) -> None:
    inner = {
        "naam": "http://schema.org/name",
        "Adres": {"@id": "http://a.example/A", "@context": {"x": "http://a.example/x"}},
    }
    index = {ADDRESS: "a.jsonld", "http://other.example/": "a.jsonld"}
    found = reviewed(folder(tmp_path, index, a={"@context": inner}))
    assert found == {ADDRESS: inner, "http://other.example/": inner}


@pytest.mark.parametrize(
    ("index", "text", "told"),
    [
        ("{", {}, "contexts.json is no JSON"),
        (["a.jsonld"], {}, "an object of addresses"),
        ({ADDRESS: "../a.jsonld"}, {}, "beside it"),
        ({ADDRESS: "b.jsonld"}, {}, "b.jsonld cannot be read"),
        ({ADDRESS: "a.jsonld"}, "[" * 100_000, "a.jsonld is no JSON"),
        ({ADDRESS: "a.jsonld"}, {}, "one @context"),
        ({ADDRESS: "a.jsonld"}, {"@context": ["https://elders.example/"]}, "one @context"),
        ({ADDRESS: "a.jsonld"}, {"@context": {"@import": "https://elders.example/"}}, "names no other document"),
        ({ADDRESS: "a.jsonld"}, {"@context": {"A": {"@id": "x:", "@context": "https://e.example/"}}}, "names no other"),
        ({ADDRESS: "a.jsonld"}, {"@context": {"A": {"@context": [{}, "https://e.example/"]}}}, "names no other"),
    ],
)
def test_what_a_review_must_mend_is_told_before_anything_is_read(tmp_path: Path, index, text, told) -> None:
    environ = folder(tmp_path, index, a=text)
    with pytest.raises(Invalid, match=told):
        reviewed(environ)


async def test_a_page_of_the_catalogue_is_read_with_the_contexts_of_a_folder(
    drain: Callable[..., Any], shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = shared_data / "ipdc_lpdc" / "instancesnapshot-ldes-stub_ldes-pages"
    before = [item for item, _ in await drain(ipdc.build(str(stub)))]
    assert {item.reason for item in before if isinstance(item, Broken)} == {"CONTEXT_UNKNOWN"}
    texts = {
        name: (shared_data / "oslo_contexts" / "ipdc" / f"{name}.jsonld").read_text()
        for name in ("ipdc-lpdc-im", "ldes")
    }
    index = {f"http://hostname/{name}.jsonld": f"{name}.jsonld" for name in texts}
    monkeypatch.setenv(FOLDER, folder(tmp_path, index, **texts)[FOLDER])
    after = [item for item, _ in await drain(ipdc.build(str(stub)))]
    assert [item for item in after if isinstance(item, Change)]
    assert "CONTEXT_UNKNOWN" not in {item.reason for item in after if isinstance(item, Broken)}
