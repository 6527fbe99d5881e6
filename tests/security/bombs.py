"""Hostile documents, made here and read in a process of their own with little memory and little time.

`python -m tests.security.bombs xml FOLDER` reads every XML bomb as the magda adapter reads a folder, `… avro` hands every
seed to the guard of its type. Each prints one JSON line per input: name, outcome, CPU seconds.
"""

import asyncio
import gzip
import io
import json
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fastavro

from adapters import magda
from adapters.sdk import Broken, Ignored
from broker.errors import PoisonRecord
from broker.schema.avro import Schema, load_schema, varint
from broker.schema.encoding import compile_encode
from broker.schema.guard import compile_walk
from broker.schema.samples import example

MEMORY = 1 << 30
"""Bytes of address space of the child."""
CPU_S = 120
"""CPU seconds of the child, for all of its inputs; beyond it is killed."""
CANARY = "KANARIE-IN-EEN-BESTAND"
ROOT = Path(__file__).parents[2]
_FRAME = b"\x00\x00\x00\x00\x07"
_MB = 1 << 20


def laughs(levels: int, each: int) -> str:
    """Entities of entities."""
    declared = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * each if level else "ha"}">' for level in range(levels))
    return f"<!DOCTYPE x [{declared}]><x>&l{levels - 1};</x>"


def answer(inside: str) -> str:
    """A whole answer of MAGDA with something inside it."""
    return f"""<Repliek><Context><Naam>GeefPersoon</Naam><Versie>02.02.0000</Versie><Bericht><Tijdstip>
    <Datum>2026-01-01</Datum><Tijd>00:00:00</Tijd></Tijdstip></Bericht></Context><Antwoorden><Antwoord><Inhoud>
    {inside}</Inhoud></Antwoord></Antwoorden></Repliek>"""


def named(most: int, before: str = "") -> str:
    """So many attributes."""
    return " ".join(f"{before}a{number}='u{number}'" for number in range(most))


def xml_bombs(canary: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes; `canary` is the address of a file that must not be read."""
    big = "A" * (100 << 10)
    texts = {
        "laughs": laughs(10, 10),
        "laughs-wide": laughs(3, 10_000),
        "quadratic": f'<!DOCTYPE x [<!ENTITY a "{big}">]><x>{"&a;" * 10_000}</x>',
        "quadratic-attribute": f'<!DOCTYPE x [<!ENTITY a "{big}">]><x y="{"&a;" * 10_000}"/>',
        "entity-of-itself": '<!DOCTYPE x [<!ENTITY a "&a;">]><x>&a;</x>',
        "entities-in-a-circle": '<!DOCTYPE x [<!ENTITY a "&b;"><!ENTITY b "&a;">]><x>&a;</x>',
        "entity-harmless": '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        "entity-unused": '<!DOCTYPE x [<!ENTITY a "b">]><x/>',
        "entity-undeclared": "<x>&a;</x>",
        "external-file": f'<!DOCTYPE x [<!ENTITY a SYSTEM "{canary}">]><x>&a;</x>',
        "external-http": '<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:9/a">]><x>&a;</x>',
        "external-ftp": '<!DOCTYPE x [<!ENTITY a SYSTEM "ftp://127.0.0.1:9/a">]><x>&a;</x>',
        "external-public": '<!DOCTYPE x [<!ENTITY a PUBLIC "p" "http://127.0.0.1:9/a">]><x>&a;</x>',
        "external-device": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///dev/zero">]><x>&a;</x>',
        "external-in-an-answer": f'<!DOCTYPE x [<!ENTITY a SYSTEM "{canary}">]>{answer("&a;")}',
        "parameter-entity": f'<!DOCTYPE x [<!ENTITY % p SYSTEM "{canary}">%p;]><x/>',
        "parameter-entity-http": '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p">%p;]><x/>',
        "dtd-external": '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><x/>',
        "dtd-file": f'<!DOCTYPE x SYSTEM "{canary}"><x/>',
        "dtd-public": '<!DOCTYPE x PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://127.0.0.1:9/"><x/>',
        "dtd-empty": "<!DOCTYPE x []><x/>",
        "dtd-bare": "<!DOCTYPE x><x/>",
        "dtd-default-attribute": f'<!DOCTYPE x [<!ATTLIST x y CDATA "{big}">]><x/>',
        "dtd-notation": '<!DOCTYPE x [<!NOTATION n SYSTEM "n"><!ENTITY a SYSTEM "a" NDATA n>]><x/>',
        "dtd-unclosed": "<!DOCTYPE x [<!ENTITY",
        "include": f'<x xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{canary}" parse="text"/></x>',
        "stylesheet": f'<?xml-stylesheet type="text/xsl" href="{canary}"?><x/>',
        "schema-location": f'<x xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="a {canary}"/>',
        "deep": "<a>" * 10_000 + "</a>" * 10_000,
        "deep-in-an-answer": answer("<a>" * 5_000 + "</a>" * 5_000),
        "answers-in-answers": "<Repliek>" * 5_000 + "</Repliek>" * 5_000,
        "attribute-twice": '<x a="1" a="2"/>',
        "namespace-undeclared": "<n:x/>",
        "reference-nul": "<x>&#0;</x>",
        "reference-surrogate": "<x>&#xD800;</x>",
        "two-roots": "<x/><x/>",
    }
    large: dict[str, Callable[[], str]] = {
        "deeper": lambda: "<a>" * 400_000 + "</a>" * 400_000,
        "deep-unclosed": lambda: "<a>" * 400_000,
        "many-elements": lambda: f"<x>{'<a/>' * (2 * _MB)}</x>",
        "many-attributes": lambda: f"<x {named(300_000)}/>",
        "too-many-attributes": lambda: f"<x {named(1_200_000)}/>",
        "many-namespaces": lambda: f"<x {named(100_000, 'xmlns:')}/>",
        "huge-text": lambda: f"<x>{'A' * (60 * _MB)}</x>",
        "huge-text-in-an-answer": lambda: answer(f"<Persoon><INSZ>{'9' * (30 * _MB)}</INSZ></Persoon>"),
        "huge-attribute": lambda: f'<x a="{"A" * (60 * _MB)}"/>',
        "attribute-of-100-mb": lambda: f'<x a="{"A" * (100 * _MB)}"/>',
        "huge-name": lambda: f"<{'a' * (10 * _MB)}/>",
        "huge-attribute-name": lambda: f'<x {"a" * (10 * _MB)}=""/>',
        "huge-comment": lambda: f"<x><!--{'A' * (30 * _MB)}--></x>",
        "huge-instruction": lambda: f"<x><?a {'A' * (30 * _MB)}?></x>",
        "huge-cdata": lambda: f"<x><![CDATA[{'<a>' * 100_000}]]></x>",
        "huge-reference": lambda: f"<x>&#{'9' * _MB};</x>",
    }
    yield from ((name, text.encode()) for name, text in texts.items())
    yield from ((name, made().encode()) for name, made in large.items())
    yield "utf-16-laughs", ('<?xml version="1.0" encoding="UTF-16"?>' + laughs(10, 10)).encode("utf-16")
    yield "utf-7", b'<?xml version="1.0" encoding="UTF-7"?>+ADw-x/+AD4-'
    yield "utf-32", '<?xml version="1.0" encoding="UTF-32"?><x/>'.encode("utf-32")
    yield "encoding-unknown", b'<?xml version="1.0" encoding="rot13"?><x/>'
    yield "utf-8-cut", "<x>é".encode()[:-1] + b"</x>"
    yield "utf-8-surrogate", b"<x>\xed\xa0\x80</x>"
    yield "nul-bytes", b"\0" * _MB
    yield "zip-bomb", gzip.compress(b"<x>" + bytes(50 * _MB))


def avro_seeds(schema: Schema) -> Iterator[tuple[str, bytes]]:
    """Damaged records of one type, 32 of them: frames, lengths, counts, numbers, texts and ends."""
    body = compile_encode(schema)(example(schema))
    half, third, last = len(body) // 2, len(body) // 3, len(body) - 1
    yield "empty", b""
    yield "frame-only", _FRAME
    yield "frame-cut", _FRAME[:3]
    yield "magic-wrong", b"\x01" + _FRAME[1:] + body
    yield "no-frame", body
    yield "frame-twice", _FRAME + _FRAME + body
    for name, cut in (("first", 1), ("third", third), ("half", half), ("last", last)):
        yield f"cut-{name}", _FRAME + body[:cut]
    for name, more in (("byte", b"\0"), ("record", body), ("megabyte", bytes(_MB))):
        yield f"trailing-{name}", _FRAME + body + more
    yield "only-nul", _FRAME + bytes(100_000)
    yield "only-two", _FRAME + b"\x02" * 100_000
    yield "only-ff", _FRAME + b"\xff" * 100_000
    hostile = {
        "minus-one": b"\x01",
        "count-2-40": varint(1 << 40),
        "count-2-24": varint(1 << 24),
        "block-negative": b"\xfe\xff\xff\xff\x0f",
        "varint-endless": b"\xff" * 20,
        "varint-overlong": b"\x82\x00",
        "lowest": b"\xff" * 9 + b"\x01",
        "highest": b"\xfe" + b"\xff" * 8 + b"\x01",
    }
    for name, value in hostile.items():
        yield f"{name}-first", _FRAME + value + body[1:]
        yield f"{name}-half", _FRAME + body[:half] + value + body[half:]


def told(name: str, outcome: str, began: float) -> None:
    """One line about one input."""
    sys.stdout.write(json.dumps([name, outcome, round(time.process_time() - began, 3)]) + "\n")
    sys.stdout.flush()


def read_xml(folder: Path) -> None:
    """Write each bomb, read it, and forget it."""
    canary = folder / "canary.txt"
    canary.write_text(CANARY)
    file = folder / "bomb.xml"
    for name, body in xml_bombs(canary.as_uri()):
        file.write_bytes(body)
        del body
        began = time.process_time()
        items = asyncio.run(_items(file))
        reasons = {item.reason if isinstance(item, Broken | Ignored) else "PUBLISHED" for item in items}
        if CANARY in repr(items):
            reasons.add("CANARY_READ")
        told(name, " ".join(sorted(reasons)), began)


async def _items(file: Path) -> list[object]:
    return [item async for item, _ in magda.build(str(file)).changes(None)]


def read_avro() -> None:
    """Hand every seed of every reviewed type to its guard; what that lets pass must be canonical."""
    for path in sorted((ROOT / "schemas").glob("*.avsc")):
        if path.name == "receipt.v1.avsc":
            continue
        schema = load_schema(path.read_text())
        walker, parsed = compile_walk(schema), fastavro.parse_schema(json.loads(schema.text))
        for name, value in avro_seeds(schema):
            began = time.process_time()
            try:
                walker.walk(value)
            except PoisonRecord as poison:
                outcome = poison.reason
            else:
                again = io.BytesIO()
                record = fastavro.schemaless_reader(io.BytesIO(value[len(_FRAME) :]), parsed, None)
                fastavro.schemaless_writer(again, parsed, record)
                outcome = "CANONICAL" if again.getvalue() == value[len(_FRAME) :] else "ACCEPTED"
            told(f"{path.stem} {name}", outcome, began)


def _unconnected(*_: object, **__: object) -> None:
    raise AssertionError("something asked the network")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    # Whoever connects is found out.
    socket.socket.connect = _unconnected  # type: ignore[method-assign]
    if sys.argv[1] == "xml":
        read_xml(Path(sys.argv[2]))
    else:
        read_avro()
