"""Documents of XML through a mapping: paths with and without namespaces, every bad document a reason, nothing read twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import json_body, xml_body, xml_documents
from adapters.mapped import Mapped, build, load_mapping
from adapters.sdk import Broken, Change
from broker.errors import Invalid, MappingRefused
from tests.unit.adapters.loopback import Asked, Reply, serving
from tests.unit.adapters.test_csv_drop import told, written
from tests.unit.adapters.wiring import schema

MAPPING = """\
adapter: werken
product: hinder.v1
organisation: stad-gent
source:
  kind: xml
  %s
  items: %s
  namespaces: {w: "https://gent.example/werken"}
%s
id: "@nr"
recordedAt: {const: "2026-01-01T00:00:00Z"}
fields:
  identificator: {template: "https://gent.example/id/{@nr}"}
  versie: {template: "https://gent.example/id/{./@nr}/1"}
  omschrijving: %s
  contactorganisaties: {const: []}
  perioden: {each: perioden/periode, fields: {begin: van, einde: "@tot"}}
  zones: {each: zone, fields: {iri: "@ref", gevolgen: {each: gevolg, fields: {iri: .}}}}
  oorzaken: {each: oorzaak, fields: {iri: .}}
"""
Make = Callable[..., Mapped]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bron").mkdir()
    return tmp_path / "bron"


@pytest.fixture
def adapter(folder: Path) -> Make:
    def make(items: str = "werk", rule: str = "tekst", more: str = "", place: str = "path: bron") -> Mapped:
        (folder.parent / "mapping.yaml").write_text(MAPPING % (place, items, more, rule))
        return build(load_mapping(folder.parent, schema), None)

    return make


def werken(*texts: str) -> str:
    rows = (f"<werk nr='{nr}'><tekst>{text}</tekst></werk>" for nr, text in enumerate(texts))
    return f"<werken>{''.join(rows)}</werken>"


NS = 'xmlns="https://gent.example/werken" xmlns:o="https://ander.example/"'
PATHS = [
    ("child", "<werk nr='1'><tekst> a </tekst></werk>", "tekst", "a"),
    ("chain", "<werk nr='1'><x><tekst>a</tekst></x></werk>", "x/tekst", "a"),
    ("attribute", "<werk nr='1'><x t='a'/></werk>", "x/@t", "a"),
    ("any-namespace", f"<werk {NS} nr='1'><o:tekst>a</o:tekst></werk>", "tekst", "a"),
    ("one-namespace", f"<werk {NS} nr='1'><o:tekst>b</o:tekst><tekst>a</tekst></werk>", "w:tekst", "a"),
    ("language", "<werk nr='1'><x xml:lang='nl'>a</x></werk>", "x/@xml:lang", "nl"),
    ("cdata", "<werk nr='1'><tekst><![CDATA[a<b]]></tekst></werk>", "tekst", "a<b"),
    ("comment-inside", "<werk nr='1'><tekst>a<!-- c -->b</tekst></werk>", "tekst", "ab"),
    ("not-there", "<werk nr='1'/>", "tekst", None),
    ("empty", "<werk nr='1'><tekst/></werk>", "tekst", None),
    ("nil", "<werk nr='1'><tekst xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:nil='true'/></werk>", "tekst", None),
    ("several", "<werk nr='1'><tekst>a</tekst><tekst>b</tekst></werk>", "tekst", "VALUE_NOT_TEXT"),
    ("no-leaf", "<werk nr='1'><tekst><b>a</b></tekst></werk>", "tekst", "VALUE_NOT_TEXT"),
    ("alternatives", "<werk nr='1'><anders>a</anders></werk>", "[tekst, anders]", "a"),
    ("codes", "<werk nr='1'><tekst>N</tekst></werk>", "{from: tekst, codes: {N: nieuw}}", "nieuw"),
    ("when", "<werk nr='1' soort='x'><tekst>a</tekst></werk>", '{from: tekst, when: {"@soort": x}}', "a"),
    ("when-not", "<werk nr='1' soort='y'><tekst>a</tekst></werk>", '{from: tekst, when: {"@soort": x}}', None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rule", "expected"), [pytest.param(*case[1:], id=case[0]) for case in PATHS])
async def test_a_path_names_elements_and_attributes(folder, adapter, drain, text, rule, expected) -> None:
    written(folder, "a.xml", f"<werken>{text}</werken>")
    assert told(await drain(adapter(rule=rule))) == [expected]


async def test_repeated_children_are_lists_also_where_there_is_one(folder, adapter, drain) -> None:
    text = """<werken><werk nr="1">
      <perioden><periode tot="2026-02-01"><van>2026-01-01</van></periode><periode><van>2026-03-01</van></periode></perioden>
      <zone ref="https://gent.example/zone/1"><gevolg>https://gent.example/gevolg/1</gevolg></zone>
      <oorzaak>https://gent.example/werk/1</oorzaak><oorzaak/></werk><werk nr="2"/></werken>"""
    written(folder, "a.xml", text)
    [(first, _), (second, _)] = await drain(adapter())
    assert first.value["perioden"] == [
        {"begin": "2026-01-01", "einde": "2026-02-01"},
        {"begin": "2026-03-01", "einde": None},
    ]
    assert [(zone["iri"], [each["iri"] for each in zone["gevolgen"]]) for zone in first.value["zones"]] == [
        ("https://gent.example/zone/1", ["https://gent.example/gevolg/1"])
    ]
    assert [each["iri"] for each in first.value["oorzaken"]] == ["https://gent.example/werk/1"]
    assert (second.value["perioden"], second.value["zones"], second.value["oorzaken"]) == ([], [], [])


BOMB = '<!DOCTYPE a [<!ENTITY b "bb">]><werken>&b;</werken>'
DOCUMENTS = [
    ("none", "<werken/>", "werk", []),
    ("document-itself", '<werk nr="1"><tekst>a</tekst></werk>', ".", ["a"]),
    ("deeper", f"<antwoord><inhoud>{werken('a', 'b')}</inhoud></antwoord>", "inhoud/werken/werk", ["a", "b"]),
    ("in-several", f"<a>{werken('a')}{werken('b')}</a>", "werken/werk", ["a", "b"]),
    ("nowhere", werken("a"), "inhoud/werk", ["ITEMS_MISSING"]),
    ("no-id", "<werken><werk><tekst>a</tekst></werk></werken>", "werk", ["ID_MISSING"]),
    ("cut", werken("a", "b")[:-12], "werk", ["XML_MALFORMED"]),
    ("empty", "", "werk", ["XML_MALFORMED"]),
    ("windows", b'<?xml version="1.0" encoding="windows-1252"?>' + werken("\u00e9").encode("cp1252"), "werk", ["\u00e9"]),
    ("utf-16", werken("\u00e9").encode("utf-16"), "werk", ["\u00e9"]),
    ("unknown-encoding", b'<?xml version="1.0" encoding="geen"?><werken/>', "werk", ["XML_MALFORMED"]),
    ("entity", BOMB, "werk", ["XML_FORBIDDEN"]),
    ("dtd", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><werken/>', "werk", ["XML_FORBIDDEN"]),
    ("too-deep", f"<werken>{'<a>' * 200}{'</a>' * 200}</werken>", "werk", ["XML_TOO_LARGE"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "items", "expected"), [pytest.param(*case[1:], id=case[0]) for case in DOCUMENTS])
async def test_a_document_is_read_or_refused_with_a_reason(folder, adapter, drain, text, items, expected) -> None:
    written(folder, "a.xml", text)
    items_found = await drain(adapter(items))
    assert told(items_found) == expected
    assert all(item.product == "hinder.v1" for item, _ in items_found)


async def test_large_documents_are_refused_before_they_cost_memory(folder, adapter, drain, monkeypatch) -> None:
    monkeypatch.setattr(xml_body, "MOST_NODES", 50)
    monkeypatch.setattr(xml_documents, "MAX_DOCUMENT", 2000)
    written(folder, "a.xml", werken(*("a" * 50)))
    written(folder, "b.xml", werken("a" * 3000))
    assert told(await drain(adapter())) == ["XML_TOO_LARGE", "DOCUMENT_TOO_LARGE"]


async def test_reading_goes_on_behind_any_element_and_a_replaced_file_is_read_again(folder, adapter, drain) -> None:
    written(folder, "a.xml", werken("a", "b"))
    written(folder, "b.xml", "<werken>")
    written(folder, "c.xml", werken("c"))
    whole = await drain(adapter())
    assert told(whole) == ["a", "b", "XML_MALFORMED", "c"]
    for number, (_, cursor) in enumerate(whole, 1):
        assert told(await drain(adapter(), cursor)) == told(whole)[number:]
    written(folder, "c.xml", werken("c", "d"))
    assert told(await drain(adapter(), whole[-1][1])) == ["d"]
    written(folder, "c.xml", werken("x"))
    assert told(await drain(adapter(), whole[-1][1])) == ["x"]


async def test_a_document_can_be_a_snapshot(folder, adapter, drain) -> None:
    written(folder, "a.xml", werken("a", "b"))
    assert told(await drain(adapter(more="snapshot: true"))) == ["SnapshotBegins", "a", "b", "SnapshotEnds"]
    written(folder, "a.xml", BOMB)
    assert told(await drain(adapter(more="snapshot: true"))) == [
        "SnapshotBegins",
        "XML_FORBIDDEN",
        "SNAPSHOT_INCOMPLETE",
    ]


async def test_no_cursor_holds_anything_of_the_source(folder, adapter, drain) -> None:
    written(folder, "janssens.xml", werken("84621512345"))
    assert not [cursor for _, cursor in await drain(adapter()) if "anssens" in cursor or "84621512345" in cursor]


async def test_a_feed_of_documents_is_followed_and_gone_on_with(adapter, drain, monkeypatch) -> None:
    monkeypatch.setattr(json_body, "_PAUSE_S", 0.0)

    def answer(asked: Asked) -> Reply:
        number = int(asked.query.get("na", 0))
        headers = {"content-type": "application/xml", "etag": f'"{number}"'}
        if number < 2:
            headers["link"] = f'</?na={number + 1}>; rel="next"'
        return Reply(werken(f"{number}a", f"{number}b").encode(), headers=headers)

    async with serving(answer) as server:
        source = adapter(place=f"url: {server.origin}/\n  paging: {{by: link}}")
        whole = await drain(source)
        assert told(whole) == ["0a", "0b", "1a", "1b", "2a", "2b"]
        assert server.asked[0].headers["accept"].startswith("application/xml")
        for number, (_, cursor) in enumerate(whole[:-1], 1):
            assert told(await drain(source, cursor)) == told(whole)[number:]
        server.answers = lambda _asked: Reply(BOMB.encode())
        assert told(await drain(source)) == ["XML_FORBIDDEN"]
        server.answers = lambda _asked: Reply(b"<werken>")
        assert told(await drain(source)) == ["XML_MALFORMED"]
        assert len([row async for row in source.rows()]) == 0


@pytest.mark.parametrize(
    ("items", "rule", "place", "expected"),
    [
        ("werk", "g:tekst", "path: bron", "say which namespace `g` stands for"),
        ("werk", "//tekst", "path: bron", "names of elements joined by"),
        ("werk", "tekst[1]", "path: bron", "names of elements joined by"),
        ("werk", "'@a/b'", "path: bron", "names of elements joined by"),
        ("werk", "..", "path: bron", "names of elements joined by"),
        ("werk/@nr", "tekst", "path: bron", "is a path of elements"),
        ("g:werk", "tekst", "path: bron", "say which namespace `g` stands for"),
        ("werk", "tekst", "path: bron\n  url: https://gent.example", "state one of them"),
        ("werk", "tekst", "pad: bron", "`pad` is no word here"),
        ("werk", "tekst", "url: https://gent.example\n  headers: {X-Key: geheim}", "is a secret"),
    ],
)
def test_what_is_wrong_with_the_words_is_told_with_its_line(adapter, items, rule, place, expected) -> None:
    with pytest.raises(MappingRefused) as refused:
        adapter(items, rule, place=place)
    assert [found for found in refused.value.findings if expected in found[2] and found[0] > 1]


async def test_who_looks_inside_sees_the_elements(folder, adapter) -> None:
    with pytest.raises(Invalid, match="no file that ends in one of"):
        adapter().findings()
    written(folder, "a.xml", werken("a", "b"))
    source = adapter()
    assert source.findings() == []
    rows: list[Any] = [row async for row in source.rows()]
    assert [source.mapping.paths.one("tekst")(row) for row in rows] == ["a", "b"]
    assert isinstance(source.mapping.item(rows[0], "1"), Change)
    written(folder, "a.xml", BOMB)
    with pytest.raises(Invalid, match="XML_FORBIDDEN"):
        source.findings()
    assert not isinstance(source.mapping.item(rows[0], "1"), Broken)
