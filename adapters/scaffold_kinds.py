"""What a kind of source adds to a new adapter's files: its words, its sample, its source paths, its test."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from xml.sax.saxutils import escape

from adapters import scaffold_postgres

PORT = 8765
"""Where the README has the sample of a source over HTTP served, on this machine only."""

Cell = str | list[str]

_ONE_OR_LIST = ("{}", "( {} )")

_TEST = '''"""The mapping on its sample: change both, and say here what must come out."""

import json
from pathlib import Path

from broker.cli.main import main

HERE = Path(__file__).parent


def test_every_row_of_the_sample_becomes_a_record(capsys):
    assert main(["adapter", "check", str(HERE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["read"], told["published"], told["quarantined"]) == ({rows}, {rows}, {{}})
'''
_SERVED_TEST = '''"""The mapping on its sample, served on this machine: change both, and say here what must come out."""

import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from broker.cli.main import main

HERE = Path(__file__).parent


def test_every_item_of_the_sample_becomes_a_record(capsys):
    handler = partial(SimpleHTTPRequestHandler, directory=str(HERE / "sample"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{{server.server_port}}/{name}.json"
        try:
            assert main(["adapter", "check", str(HERE), "--source", address, "--json"]) == 0
        finally:
            server.shutdown()
    told = json.loads(capsys.readouterr().out)
    assert (told["read"], told["published"], told["quarantined"]) == ({rows}, {rows}, {{}})
'''
_PREFIXES = {
    "ldes": "https://w3id.org/ldes#",
    "tree": "https://w3id.org/tree#",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


@dataclass(frozen=True, slots=True)
class Template:
    """What a kind of source adds: lines below `source:`, and the sample as a file (name, text) of it.

    `source` takes the adapter's name, `sample` that and the rows, of which the first has the names of columns.
    """

    source: Callable[[str], Sequence[str]]
    sample: Callable[[str, Sequence[Sequence[Cell]]], tuple[str, str]]
    path: Callable[[str], str] = lambda column: column
    """The source path of a column."""
    split: bool = True
    """Whether several values are one text with `|` between them; otherwise they are a list."""
    id: str = "nummer # which row it is, the same on every reading"
    recorded_at: str = "gewijzigd # when the source stated it; without such a column: @modified, with kind snapshot"
    snapshot: bool = True
    """Whether it can be a snapshot."""
    test: str = _TEST
    served: Callable[[str], str] | None = None
    """The command that serves the sample, where it must be."""
    ready: Callable[[str], Sequence[str]] = lambda _name: ()
    """The commands that come before all others."""


def _csv(name: str, rows: Sequence[Sequence[Cell]]) -> tuple[str, str]:
    out = io.StringIO()
    csv.writer(out, delimiter=";", lineterminator="\n").writerows(rows)
    return f"sample/{name}.csv", out.getvalue()


def _json(name: str, rows: Sequence[Sequence[Cell]]) -> tuple[str, str]:
    head = [str(column) for column in rows[0]]
    items = [dict(zip(head, row, strict=True)) for row in rows[1:]]
    return f"sample/{name}.json", json.dumps({"items": items}, ensure_ascii=False, indent=1) + "\n"


def _xml(name: str, rows: Sequence[Sequence[Cell]]) -> tuple[str, str]:
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<rijen>"]
    for row in rows[1:]:
        lines.append("  <rij>")
        for column, cell in zip(rows[0], row, strict=True):
            lines += [f"    <{column}>{escape(text)}</{column}>" for text in _texts(cell)]
        lines.append("  </rij>")
    return f"sample/{name}.xml", "\n".join([*lines, "</rijen>", ""])


def _turtle(name: str, rows: Sequence[Sequence[Cell]]) -> tuple[str, str]:
    base = f"https://{name}.example"
    lines = [f"@prefix {prefix}: <{iri}> ." for prefix, iri in {**_PREFIXES, "bron": f"{base}/ns#"}.items()]
    lines += ["", f"<{base}/id/stroom> a ldes:EventStream ;", "  ldes:timestampPath prov:generatedAtTime ;"]
    lines += [f"  tree:member {', '.join(f'<{base}/id/versie/{number}>' for number in range(1, len(rows)))} .", ""]
    for number, row in enumerate(rows[1:], 1):
        lines.append(f"<{base}/id/versie/{number}> dct:isVersionOf <{base}/id/ding/{number}> ;")
        for column, cell in zip(rows[0], row, strict=True):
            if column == "gewijzigd":
                lines.append(f'  prov:generatedAtTime "{cell}"^^xsd:dateTime ;')
            elif texts := [json.dumps(text, ensure_ascii=False) for text in _texts(cell)]:
                # A list, because what a property has otherwise is a set, without an order.
                lines.append(f"  bron:{column} {_ONE_OR_LIST[isinstance(cell, list)].format(' '.join(texts))} ;")
        lines[-1] = lines[-1].removesuffix(";") + "."
    return f"sample/{name}.ttl", "\n".join([*lines, ""])


def _texts(cell: Cell) -> list[str]:
    return [text for text in (cell if isinstance(cell, list) else [cell]) if text]


TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        "csv": Template(
            lambda _name: (
                "kind: csv",
                "path: sample # a folder or a file, relative to this one; --source goes before it",
                "# separator, quote and encoding are seen from the file; state them if they are known:",
                '# separator: ";"',
                "# encoding: cp1252",
                "# on a server: path: sftp://user@host/folder, key: {file: …}, host_key: ssh-ed25519 AAAA…",
            ),
            _csv,
        ),
        "rest": Template(
            lambda name: (
                "kind: rest",
                f"url: http://127.0.0.1:{PORT}/{name}.json # README.md has the sample served there; --source goes before it",
                "items: items # where the list is in the answer",
                "# paging: {by: body, at: volgende} # or link, token, page, offset: docs/adapters.md",
                "# since: {parameter: gewijzigdNa, at: gewijzigd}",
                "# headers: {X-Api-Key: {env: SLEUTEL}}",
            ),
            _json,
            split=False,
            test=_SERVED_TEST,
            served=lambda name: f"python3 -m http.server {PORT} --bind 127.0.0.1 --directory {name}/sample",
        ),
        "ldes": Template(
            lambda name: (
                "kind: ldes",
                "path: sample # or url: the address of a stream or a page; --source goes before it",
                "prefixes:",
                f"  bron: https://{name}.example/ns#",
                "  dct: http://purl.org/dc/terms/",
                "  prov: http://www.w3.org/ns/prov#",
                "# authorization: {env: SLEUTEL}",
            ),
            _turtle,
            path=lambda column: f"bron:{column}",
            split=False,
            id=". # the version's own IRI",
            recorded_at="prov:generatedAtTime # when the source stated it",
            snapshot=False,
        ),
        "postgres": Template(
            scaffold_postgres.words,
            scaffold_postgres.sample,
            split=False,
            recorded_at="gewijzigd # when the source stated it",
            snapshot=False,
            test=scaffold_postgres.TEST,
            ready=scaffold_postgres.ready,
        ),
        "xml": Template(
            lambda _name: (
                "kind: xml",
                "path: sample # a folder or a file, or url: an address; --source goes before it",
                "items: rij # the repeated element, below the document's own",
                "# namespaces: {b: https://bron.example/ns} # then a path is b:naam; without a prefix any namespace will do",
            ),
            _xml,
            split=False,
        ),
    }
)
"""By kind of source: `datanuts adapter new --from KIND`."""
