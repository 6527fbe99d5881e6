"""A file that is pushed: each line is looked at, and the same file has the same pieces however the network cuts it."""

import json
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.api import raw_lines
from broker.api.raw_lines import BYTES_AT_ONCE, DEEPEST, LINES_AT_ONCE, LONGEST_OBJECT, Looked, pieces, wrong
from broker.errors import TooLarge


def nested(depth: int, opening: str = '{"a":', closing: str = "}") -> bytes:
    return (opening * (depth - 1) + "{}" + closing * (depth - 1)).encode()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{}", None),
        (b' {"a": [1, {"b": null}]} \r', None),
        ('{"naam": "Zoë"}'.encode(), None),
        (b'{"a": "\\ud800"}', None),
        (nested(DEEPEST), None),
        (nested(DEEPEST + 1), "JSON_TOO_DEEP"),
        (nested(DEEPEST + 1, '{"a":[', "]}"), "JSON_TOO_DEEP"),
        (b'{"a":' + b"[" * 100_000, "JSON_TOO_DEEP"),
        ('{"naam": "Zoë"}'.encode("latin-1"), "ENCODING_WRONG"),
        (b"\xff\xfe{\x00}\x00", "ENCODING_WRONG"),
        (b"[]", "VALUE_NOT_OBJECT"),
        (b'"{}"', "VALUE_NOT_OBJECT"),
        (b"null", "VALUE_NOT_OBJECT"),
        (b"{} {}", "JSON_MALFORMED"),
        (b'{"a": 1,}', "JSON_MALFORMED"),
        (b'{"a": NaN}', "JSON_MALFORMED"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "JSON_MALFORMED"),
        (b"insz;naam", "JSON_MALFORMED"),
        (b"", "JSON_MALFORMED"),
        (b'{"a": "' + b"x" * LONGEST_OBJECT + b'"}', "DOCUMENT_TOO_LARGE"),
    ],
)
def test_a_line_is_one_object_within_bounds_or_says_why_not(line: bytes, code: str | None) -> None:
    found = wrong(line)
    assert (found and found.code) == code


async def cut(body: bytes, places: Sequence[int]) -> list[Looked]:
    """The pieces of a body that comes in cut at these places."""

    async def chunks() -> AsyncIterator[bytes]:
        start = 0
        for place in [*sorted(places), len(body)]:
            yield body[start:place]
            start = place

    return [looked async for looked in pieces(chunks())]


@settings(max_examples=60)
@given(st.data())
async def test_the_same_file_has_the_same_pieces(data) -> None:
    line = st.sampled_from([b"{}", b"", b" ", b'{"a": 1}', b"{", b"x" * 40, b"y" * 60, b'{"a":1}\r'])
    body = b"\n".join(data.draw(st.lists(line, max_size=40))) + data.draw(st.sampled_from([b"", b"\n"]))
    places = data.draw(st.lists(st.integers(0, len(body)), max_size=12))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(raw_lines, "LINES_AT_ONCE", 5)
        patched.setattr(raw_lines, "BYTES_AT_ONCE", 100)
        patched.setattr(raw_lines, "LONGEST_OBJECT", 50)
        whole, parts = await cut(body, []), await cut(body, places)
    assert parts == whole
    assert [each.piece.number for each in whole] == list(range(len(whole)))
    assert [each.piece.last for each in whole] == [False] * (len(whole) - 1) + [True]
    lines = body.split(b"\n")
    told = {place: found for each in whole for place, found in each.outcomes}
    assert sorted(told) == [number for number, line in enumerate(lines, 1) if line.strip()]
    taken = [taken for each in whole for taken in each.piece.taken]
    assert taken == [line.removesuffix(b"\r") for line in lines if line.startswith(b"{") and b"}" in line]


async def test_a_piece_is_bounded_by_its_lines_and_its_bytes() -> None:
    many = await cut(b"{}\n" * (2 * LINES_AT_ONCE + 1), [])
    assert [len(each.piece.taken) for each in many] == [LINES_AT_ONCE, LINES_AT_ONCE, 1]
    large = json.dumps({"a": "x" * (LONGEST_OBJECT - 100)}).encode()
    heavy = await cut((large + b"\n") * 9, [])
    assert sum(len(each.piece.taken) for each in heavy) == 9
    assert max(sum(map(len, each.piece.lines)) for each in heavy) <= BYTES_AT_ONCE


async def test_a_file_that_is_too_large_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.api.dossier_lines.MOST_LINES", 10)
    with pytest.raises(TooLarge, match="Idempotency-Key of its own"):
        await cut(b"{}\n" * 11, [])
