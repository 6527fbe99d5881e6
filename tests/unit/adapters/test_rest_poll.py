"""JSON over HTTP through a mapping, against a server on loopback that has bad days."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from adapters import json_body
from adapters.mapped import build, load_mapping
from adapters.mapping_errors import MappingRefused
from adapters.sdk import Broken, Change, SnapshotBegins, SnapshotEnds
from adapters.web import asked_s
from broker.errors import Invalid, Retriable
from broker.testing import wait_until
from tests.unit.adapters.loopback import Answers, Asked, Reply, serving
from tests.unit.adapters.wiring import MemoryJournal, runner, schema

MAPPING = """\
adapter: given
product: hinder.v1
organisation: gipod
source: {kind: rest%s}
id: nummer
recordedAt: gewijzigd
%s
fields:
  identificator: {template: "https://gent.example/id/{nummer}"}
  versie: {template: "https://gent.example/id/{nummer}/1"}
  omschrijving: tekst
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""


def item(number: int, text: str = "werken", at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {"nummer": number, "tekst": text, "gewijzigd": at}


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[..., Any]:
    def made(url: str | None, words: str = "", beside: str = "") -> Any:
        file = tmp_path / "mapping.yaml"
        file.write_text(MAPPING % (f", {words}" if words else "", beside))
        return build(load_mapping(file, schema), url)

    return made


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_body, "_PAUSE_S", 0.0)


def numbers(found: list[tuple[Any, str]]) -> list[int]:
    return [int(each.source_id) for each, _ in found if isinstance(each, Change)]


def pages_of(count: int, size: int, style: str) -> Answers:
    """A list of `count` in pages, in each way in which servers lead from one to the next."""
    everything = [item(number) for number in range(count)]

    def answer(asked: Asked) -> Reply:
        query = asked.query
        start = {
            "page": (int(query.get("pagina", 1)) - 1) * size,
            "offset": int(query.get("vanaf", 0)),
            "token": int(query.get("na", 0)),
        }.get(style, int(query.get("p", 0)) * size)
        part, more = everything[start : start + size], start + size < count
        body: dict[str, Any] = {"lijst": part}
        headers = {}
        following = f"/lijst?p={start // size + 1}"
        if more and style == "body":
            body["volgende"] = {"href": following}
        if more and style == "link":
            headers["link"] = f'</eerste>; rel="first", <{following}>; rel="next"'
        if more and style == "token":
            body["na"] = start + size
        return Reply(body, headers=headers)

    return answer


STYLES = {
    "body": "{by: body, at: /volgende/href}",
    "link": "{by: link}",
    "token": "{by: token, parameter: na, at: na}",
    "page": "{by: page, parameter: pagina, size: 10, size_parameter: aantal}",
    "offset": "{by: offset, parameter: vanaf, size: 10}",
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("count", [0, 1, 10, 35])
async def test_every_page_is_read_however_they_are_linked(drain, adapter, style, count) -> None:
    async with serving(pages_of(count, 10, style)) as server:
        found = await drain(adapter(f"{server.origin}/lijst", f"items: lijst, paging: {STYLES[style]}"))
    assert numbers(found) == list(range(count))


@pytest.mark.parametrize("style", STYLES)
async def test_a_reading_goes_on_behind_any_item(drain, adapter, style) -> None:
    async with serving(pages_of(35, 10, style)) as server:
        reader = adapter(f"{server.origin}/lijst", f"items: lijst, paging: {STYLES[style]}")
        whole = await drain(reader)
        for number, cursor in [(number, cursor) for number, (_, cursor) in enumerate(whole, 1)][:-1:5]:
            assert numbers(await drain(reader, cursor)) == list(range(number, 35)), f"behind item {number}"
        assert numbers(await drain(reader, whole[-1][1])) == list(range(35)), "the next reading is a whole one again"


async def test_what_comes_before_the_cursor_must_be_the_same(drain, adapter) -> None:
    everything = [item(number) for number in range(8)]
    async with serving(lambda _: Reply(everything)) as server:
        reader = adapter(server.origin + "/")
        cursor = (await drain(reader))[4][1]
        everything[2] = item(2, "verlengd")
        assert numbers(await drain(reader, cursor)) == list(range(8))
        del everything[3:]
        assert numbers(await drain(reader, cursor)) == [0, 1, 2], "a list that became shorter is read whole too"


async def test_a_cursor_holds_nothing_of_the_source(drain, adapter) -> None:
    def answer(asked: Asked) -> Reply:
        if "na" in asked.query:
            return Reply({"lijst": [item(85073003328)]})
        body = {"lijst": [item(1, "Jansens"), item(2)], "volgende": "/?na=85073003328", "etag": "Jansens"}
        return Reply(body)

    async with serving(answer) as server:
        words = "items: lijst, paging: {by: body, at: volgende}, since: {parameter: sinds, at: nummer}"
        found = await drain(adapter(server.origin + "/", words))
    assert len(found) == 3
    assert not any("85073003328" in cursor or "Jansens" in cursor for _, cursor in found)


async def test_a_list_that_did_not_change_is_not_sent_again(drain, adapter) -> None:
    state = {"etag": '"a"', "list": [item(1), item(2)]}

    def answer(asked: Asked) -> Reply:
        same = asked.headers.get("if-none-match") == state["etag"]
        return Reply(state["list"], 304 if same else 200, {"etag": str(state["etag"])})

    async with serving(answer) as server:
        reader = adapter(server.origin + "/")
        first = await drain(reader)
        assert await drain(reader, first[-1][1]) == []
        assert numbers(await drain(reader, first[0][1])) == [2], "the ETag is kept at the end of a reading only"
        state.update(etag='"b"', list=[item(1), item(2), item(3)])
        assert numbers(await drain(reader, first[-1][1])) == [1, 2, 3]


async def test_last_modified_is_enough(drain, adapter) -> None:
    stated = "Thu, 01 Jan 2026 00:00:00 GMT"

    def answer(asked: Asked) -> Reply:
        return Reply(
            [item(1)], 304 if asked.headers.get("if-modified-since") == stated else 200, {"last-modified": stated}
        )

    async with serving(answer) as server:
        reader = adapter(server.origin + "/")
        [(_, cursor)] = await drain(reader)
        assert await drain(reader, cursor) == []


async def test_only_what_changed_since_is_asked_for(drain, adapter) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    answers = [
        [
            item(1, at="2026-02-01T10:00:00+01:00"),
            item(2, at="2026-02-01T09:30:00Z"),
            item(3, at="gisteren"),
            item(4, at=tomorrow),
        ],
        [item(2, at="2026-02-01T09:30:00Z")],
        [],
    ]
    async with serving(lambda _: Reply(answers.pop(0))) as server:
        words = "since: {parameter: sinds, at: gewijzigd, start: 2026-01-01, overlap_s: 60}"
        reader = adapter(server.origin + "/?soort=werk", words)
        cursor = None
        for _ in range(3):
            found = await drain(reader, cursor)
            cursor = found[-1][1] if found else cursor
        sent = [asked.query for asked in server.asked]
    assert [query["sinds"] for query in sent] == ["2026-01-01", *["2026-02-01T09:29:00+00:00"] * 2]
    assert {query["soort"] for query in sent} == {"werk"}


@pytest.mark.parametrize(
    ("reply", "error", "told"),
    [
        (Reply(status=500), Retriable, "status 500"),
        (Reply(status=503, headers={"retry-after": "7"}), Retriable, "status 503"),
        (Reply(status=429, headers={"retry-after": "7"}), Retriable, "status 429"),
        (Reply([item(1)], cut=5), Retriable, "cannot be reached"),
        (Reply(silent=True), Retriable, "cannot be reached"),
        (Reply(status=401), Invalid, "valid credential"),
        (Reply(status=403), Invalid, "admit"),
        (Reply(status=404), Invalid, "check the address"),
        (Reply(status=418), Invalid, "status 418"),
        (Reply(status=302, headers={"location": "http://169.254.169.254/latest"}), Invalid, "another host"),
        (Reply(status=302, headers={"location": "/"}), Invalid, "circles"),
        (Reply({"lijst": [item(1)], "volgende": "http://169.254.169.254/latest"}), Invalid, "`also`"),
        (Reply({"lijst": [item(1)], "volgende": "file:///etc/passwd"}), Invalid, "`also`"),
        (Reply({"lijst": [item(1)], "volgende": "http://[::1"}), Invalid, "`also`"),
        (Reply({"lijst": [item(1)], "volgende": "/"}), Invalid, "circle"),
    ],
)
async def test_a_server_that_fails_is_told_apart_from_one_that_refuses(drain, adapter, reply, error, told) -> None:
    async with serving(lambda _: reply) as server:
        words = "items: lijst, paging: {by: body, at: volgende}, timeout_s: 1"
        with pytest.raises(error, match=told) as raised:
            await drain(adapter(server.origin + "/", words))
        assert server.origin not in str(raised.value), "an address can hold personal data"
    if "retry-after" in reply.headers:
        assert raised.value.after_s == 7


async def test_pages_without_end_are_given_up(drain, adapter) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply({"lijst": [item(1)], "volgende": f"/?p={int(asked.query.get('p', 0)) + 1}"})

    async with serving(answer) as server:
        with pytest.raises(Invalid, match="most_pages"):
            await drain(adapter(server.origin + "/", "items: lijst, paging: {by: body, at: volgende}, most_pages: 20"))
        assert len(server.asked) == 20


async def test_a_page_may_lead_elsewhere_if_the_mapping_says_so_but_no_secret_goes_there(
    drain, adapter, monkeypatch
) -> None:
    monkeypatch.setenv("BRON_SLEUTEL", "geheim")
    async with serving(lambda _: Reply({"lijst": [item(2)]})) as other:
        body = {"lijst": [item(1)], "volgende": other.origin + "/vervolg"}
        async with serving(lambda _: Reply(body)) as server:
            words = f"items: lijst, paging: {{by: body, at: volgende}}, headers: {{X-Api-Key: {{env: BRON_SLEUTEL}}}}, also: ['{other.origin}']"
            assert numbers(await drain(adapter(server.origin + "/", words))) == [1, 2]
        assert server.asked[0].headers["x-api-key"] == "geheim"
    assert "x-api-key" not in other.asked[0].headers


@pytest.mark.parametrize(
    ("body", "reason", "asked"),
    [
        (b'{"lijst": [', "JSON_MALFORMED", 3),
        (b'{"lijst": [NaN]}', "JSON_MALFORMED", 3),
        (b"\xff\xfe{", "ENCODING_WRONG", 3),
        (b"[" * 900 + b"]" * 900, "JSON_TOO_DEEP", 1),
        (b'{"lijst": [{"a": [[[[[[1]]]]]]}]}', "JSON_TOO_DEEP", 1),
        (b'{"lijst": "' + b"x" * 3000 + b'"}', "DOCUMENT_TOO_LARGE", 1),
        (b'{"resultaat": []}', "ITEMS_MISSING", 1),
        (b'{"lijst": 7}', "ITEMS_MISSING", 1),
    ],
)
async def test_a_page_that_cannot_be_read_is_asked_for_again_then_set_aside(
    drain, adapter, body, reason, asked
) -> None:
    async with serving(
        lambda request: Reply(body) if request.query["pagina"] == "2" else Reply({"lijst": [item(1)]})
    ) as server:
        words = "items: lijst, paging: {by: page, parameter: pagina, size: 1}, most_depth: 6, most_bytes: 2000"
        reader = adapter(server.origin + "/", words)
        (first, before), (broken, behind) = await drain(reader)
        assert isinstance(first, Change)
        assert (broken.reason, broken.product) == (reason, "hinder.v1")
        assert behind == before, "the next reading asks for it again"
        assert len(server.asked) == 1 + asked
        server.answers = lambda request: Reply(
            {"lijst": [item(int(request.query["pagina"]))]} if request.query["pagina"] < "3" else {"lijst": []}
        )
        assert numbers(await drain(reader, behind)) == [2]


async def test_an_answer_that_was_cut_in_its_json_once_is_no_trouble(drain, adapter) -> None:
    answers = [b'[{"num', b'[{"nummer": 1, "gewijzigd": "2026-01-01T00:00:00Z"}]']
    async with serving(lambda _: Reply(answers.pop(0))) as server:
        assert numbers(await drain(adapter(server.origin + "/"))) == [1]


async def test_an_item_that_does_not_fit_is_set_aside_alone(drain, adapter) -> None:
    rows = [item(1), 7, {"nummer": 2}, item(3, "\ud800"), item(4)]
    async with serving(lambda _: Reply(rows)) as server:
        reader = adapter(server.origin + "/")
        found = await drain(reader)
        told = [(each.reason, each.path) for each, _ in found if isinstance(each, Broken)]
        journal = MemoryJournal()
        summary = await runner(reader, journal).run(once=True)
    assert told == [("ID_MISSING", "id"), ("FIELD_MISSING", "recordedAt")]
    assert (summary.published, sum(summary.quarantined.values())) == (2, 3)


async def test_the_runner_waits_as_long_as_it_is_asked_to(adapter) -> None:
    replies = [Reply(status=429, headers={"retry-after": "40"}), Reply(status=500), Reply([item(1)])]
    naps: list[float] = []
    async with serving(lambda _: replies.pop(0)) as server:
        summary = await runner(adapter(server.origin + "/"), MemoryJournal(), naps=naps).run(once=True)
    assert (summary.published, naps) == (1, [40, 1.0])


@pytest.mark.parametrize(("stated", "seconds"), [("120", 120), ("999999", 3600), ("0", 1), ("morgen", 1), ("", 1)])
def test_retry_after_is_bounded(stated, seconds) -> None:
    assert asked_s(stated) == seconds


def test_retry_after_can_be_a_date() -> None:
    assert 85 <= asked_s(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)) <= 90


async def test_twice_is_once_and_a_change_is_one(adapter) -> None:
    everything = [item(number) for number in range(25)]
    journal = MemoryJournal()
    async with serving(lambda _: Reply({"lijst": everything})) as server:
        reader = adapter(server.origin + "/", "items: lijst")
        assert (await runner(reader, journal).run(once=True)).published == 25
        assert (await runner(reader, journal).run(once=True)).published == 0
        everything[3] = item(3, "verlengd")
        assert (await runner(reader, journal).run(once=True)).published == 1


async def test_a_snapshot_deletes_whom_it_lacks_and_nobody_when_it_is_not_whole(adapter, drain) -> None:
    state: dict[str, Any] = {"lijst": [item(number) for number in range(10)], "totaal": 10}
    journal = MemoryJournal()
    async with serving(lambda _: Reply(state)) as server:
        reader = adapter(server.origin + "/", "items: lijst, total: totaal", "snapshot: true")
        kinds = [type(each) for each, _ in await drain(reader)]
        assert (kinds[0], kinds[-1]) == (SnapshotBegins, SnapshotEnds)
        await runner(reader, journal).run(once=True)
        state.update(lijst=state["lijst"][2:])
        with pytest.raises(Retriable, match="changed while"):
            await runner(reader, journal).run(once=True)
        state.update(totaal=9, lijst=[*state["lijst"], {"tekst": "zonder nummer"}])
        summary = await runner(reader, journal).run(once=True)
        assert summary.deleted == 0
        assert summary.quarantined == {"ID_MISSING": 1, "SNAPSHOT_INCOMPLETE": 1}
        state.update(totaal=8, lijst=state["lijst"][:8])
        assert (await runner(reader, journal).run(once=True)).deleted == 2


TOKEN = "oauth2: {token_url: '%s/token', client_id: wij, scope: lezen, secret: %s%s}"


def guarded(tokens: list[str], good: set[str], *, basic: bool = True) -> Answers:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/token":
            shown = asked.headers.get("authorization", "") + asked.body.decode()
            return Reply(
                {"access_token": tokens.pop(0), "expires_in": 3600} if ("Basic" in shown) == basic else {}, 200
            )
        allowed = asked.headers.get("authorization", "").removeprefix("Bearer ") in good
        return Reply([item(1)], 200 if allowed else 401)

    return answer


@pytest.mark.parametrize("basic", [True, False])
async def test_a_token_is_had_with_a_secret_of_the_environment_or_a_file(
    drain, adapter, monkeypatch, tmp_path, basic
) -> None:
    monkeypatch.setenv("BRON_GEHEIM", "s3cret")
    (tmp_path / "geheim").write_text("s3cret\n")
    secret, more = ("{env: BRON_GEHEIM}", "") if basic else ("{file: geheim}", ", basic: false")
    async with serving(guarded(["een"], {"een"}, basic=basic)) as server:
        assert numbers(await drain(adapter(server.origin + "/lijst", TOKEN % (server.origin, secret, more)))) == [1]
        [asked] = [each for each in server.asked if each.path == "/token"]
    assert b"grant_type=client_credentials" in asked.body
    assert b"scope=lezen" in asked.body
    assert not any("s3cret" in each.target for each in server.asked)


async def test_a_token_that_is_refused_is_renewed_once(drain, adapter, monkeypatch) -> None:
    monkeypatch.setenv("BRON_GEHEIM", "s3cret")
    async with serving(guarded(["oud", "nieuw"], {"nieuw"})) as server:
        reader = adapter(server.origin + "/lijst", TOKEN % (server.origin, "{env: BRON_GEHEIM}", ""))
        assert numbers(await drain(reader)) == [1]
        server.answers = guarded(["oud", "ouder"], {"nieuw"})
        with pytest.raises(Invalid, match="401"):
            await drain(reader)


@pytest.mark.parametrize(
    ("reply", "error", "told"),
    [
        (Reply({"error": "invalid_client"}, 401), Invalid, "BRON_GEHEIM"),
        (Reply({"error": "invalid_scope"}, 400), Invalid, "scope"),
        (Reply(status=503), Retriable, "token service"),
        (Reply(status=302, headers={"location": "http://169.254.169.254/"}), Invalid, "token service"),
        (Reply(b"<html>"), Retriable, "bearer token"),
        (Reply({"access_token": "a\r\nb"}), Retriable, "bearer token"),
        (Reply({"access_token": "a", "token_type": "mac"}), Retriable, "bearer token"),
        (Reply(b"x" * 100_000), Retriable, "bearer token"),
    ],
)
async def test_a_token_service_that_does_not_help_says_what_to_do(
    drain, adapter, monkeypatch, reply, error, told
) -> None:
    monkeypatch.setenv("BRON_GEHEIM", "s3cret")
    async with serving(lambda _: reply) as server:
        with pytest.raises(error, match=told) as raised:
            await drain(adapter(server.origin + "/lijst", TOKEN % (server.origin, "{env: BRON_GEHEIM}", "")))
    assert "s3cret" not in repr(raised.value)


async def test_a_secret_that_is_not_there_is_told_before_anything_is_asked(drain, adapter) -> None:
    async with serving(lambda _: Reply([])) as server:
        reader = adapter(server.origin + "/", "headers: {X-Api-Key: {env: BRON_NIETS}}")
        with pytest.raises(Invalid, match="BRON_NIETS"):
            reader.findings()
        with pytest.raises(Invalid, match="BRON_NIETS"):
            await drain(reader)
        assert server.asked == []


@pytest.mark.parametrize(
    ("words", "beside", "told"),
    [
        ("headers: {Authorization: 'Bearer x'}", "", "source.headers.Authorization: is a secret"),
        ("headers: {X-Api-Key: x}", "", "source.headers.X-Api-Key: is a secret"),
        ("headers: {X-Api-Key: {env: A}}", "", "source.url: a credential goes over https only"),
        (TOKEN % ("http://token.example", "{env: A}", ""), "", "source.oauth2.token_url: a credential"),
        ("also: [overal]", "", "source.also: is a list of origins"),
        ("since: {parameter: s, at: t}", "snapshot: true", "source.since: a snapshot"),
        ("paging: {by: gok}", "", "paging"),
        ("headers: {X-Api-Key: {env: A, file: b}}", "", "a secret is"),
        ("wachtwoord: x", "", "no word here"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(adapter, words, beside, told) -> None:
    with pytest.raises(MappingRefused, match=r"mapping\.yaml:4: ") as refused:
        adapter("http://bron.example/", words, beside)
    assert told in str(refused.value)


@pytest.mark.parametrize("url", [None, "file:///etc/passwd", "http://wij:geheim@bron.example/", "bron.example"])
def test_an_address_is_a_plain_one(adapter, url) -> None:
    with pytest.raises(Invalid, match="address"):
        adapter(url)


async def test_a_reading_can_be_left_while_the_server_is_silent(drain, adapter) -> None:
    async with serving(lambda _: Reply(silent=True)) as server:
        task = asyncio.create_task(drain(adapter(server.origin + "/")))
        await wait_until(lambda: server.asked, timeout=30)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
    assert done
