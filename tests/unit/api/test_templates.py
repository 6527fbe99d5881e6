"""Templates over HTTP: for the operator, a preview that writes nothing, and work in portions that may be asked again."""

from collections.abc import AsyncIterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.api.app import create_app
from broker.api.services import Services
from broker.api.templates import MOST_AT_ONCE
from broker.control.dev_signing import bring_into_force
from broker.control.onboarding import Onboarding
from broker.model.registered import Organisation
from broker.policy import yamltext
from tests.unit.control.room import NOW, Room, open_room
from tests.unit.control.test_onboarding import Files

POLICIES = Path(__file__).parents[3] / "policies"
TEMPLATE = yamltext.load((POLICIES / "templates" / "inwoners.yaml").read_text())
HEADER = "id,kind,name,nis,kbo,ovo,from,to,successor\n"
TWO = HEADER + "gemeente-aalst,gemeente,Aalst,41002,,,,,\ngemeente-ronse,gemeente,Ronse,45041,,,,,\n"
MERGER = HEADER + (
    "gemeente-melle,gemeente,Melle,44040,,,,2025-01-01,gemeente-merelbeke-melle\n"
    "gemeente-merelbeke-melle,gemeente,Merelbeke-Melle,44088,,,2025-01-01,,\n"
)


class Http:
    """The interface with one organisation's token at a time."""

    def __init__(self, room: Room, client: httpx.AsyncClient, tokens: dict[str, str]) -> None:
        self.room, self._client, self._tokens = room, client, tokens

    async def post(self, path: str, body: dict[str, Any], acting: str = "operator") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._tokens[acting]}"}
        return await self._client.post(f"/v1/templates/{path}", json={"template": TEMPLATE} | body, headers=headers)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    room = await open_room()
    tokens = {}
    for name, roles in (("operator", ("operator",)), ("rijksregister", ("source-owner",))):
        await room.organisations.register(Organisation(name, name), by="t")
        tokens[name] = (await room.organisations.issue(name, roles, by="t")).token
    steps = partial(bring_into_force, room.agreements)
    templates = Onboarding(room.control, room.organisations, room.agreements, Files(), steps, lambda: NOW)
    rooms: dict[str, Any] = dict.fromkeys(each.name for each in fields(Services))
    app = create_app(Services(**rooms | {"control": room.control, "templates": templates}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://broker.test") as client:
        room.since()
        yield Http(room, client, tokens)


async def test_a_preview_tells_what_would_be_done_and_writes_nothing(http: Http) -> None:
    answer = await http.post("preview", {"authorities": TWO})
    assert answer.status_code == 200
    first, second = answer.json()["items"]
    assert (first["authority"], first["agreement"], first["need"]) == (
        "gemeente-aalst",
        "inwoners-gemeente-aalst",
        "draft",
    )
    assert (first["registered"], first["state"], first["waitsFor"]) == (False, None, "draft by the operator")
    assert len(first["textSha256"]) == 64
    assert first["textSha256"] != second["textSha256"]
    assert http.room.since() == []


async def test_onboarding_drafts_and_signing_brings_into_force(http: Http) -> None:
    drafted = (await http.post("onboard", {"authorities": TWO})).json()["items"]
    assert [(item["state"], item["waitsFor"]) for item in drafted] == [
        ("draft", "request by gemeente-aalst"),
        ("draft", "request by gemeente-ronse"),
    ]
    signed = (await http.post("onboard", {"authorities": TWO, "sign": "dev"})).json()["items"]
    assert [(item["state"], item["need"]) for item in signed] == [("active", "nothing")] * 2
    look = (await http.post("preview", {"authorities": TWO, "texts": False})).json()["items"]
    assert [(item["state"], item["waitsFor"]) for item in look] == [("active", "")] * 2


async def test_differences_are_told_by_place_and_kind(http: Http) -> None:
    await http.post("onboard", {"authorities": TWO})
    other = TEMPLATE | {"agreement": TEMPLATE["agreement"] | {"retention_days": 7}}
    items = (await http.post("preview", {"template": other, "authorities": TWO})).json()["items"]
    assert [item["need"] for item in items] == ["amend"] * 2
    assert items[0]["differences"] == [{"path": "retention_days", "label": "changed"}]


async def test_a_merger_is_a_plan_first(http: Http) -> None:
    body = {"predecessors": ["gemeente-melle"], "successor": "gemeente-merelbeke-melle", "on": "2026-11-26"}
    plan = (await http.post("merge", body | {"authorities": MERGER})).json()
    assert (plan["agreement"], plan["moved"], plan["transfers"]) == ("inwoners-gemeente-merelbeke-melle", None, [])
    assert "onboard it first" in plan["problems"][0]
    refused = await http.post("merge", body | {"authorities": MERGER, "dry_run": False})
    assert refused.status_code == 409


@pytest.mark.parametrize("path", ["preview", "onboard", "merge"])
async def test_it_is_the_operators_work(http: Http, path: str) -> None:
    body: dict[str, Any] = {"authorities": TWO}
    if path == "merge":
        body |= {"predecessors": ["gemeente-aalst"], "successor": "gemeente-ronse", "on": "2026-11-26"}
    assert (await http.post(path, body, "rijksregister")).status_code == 403
    assert http.room.since() == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"authorities": "id,name\n"}, "the columns are"),
        ({"authorities": TWO.replace("41002", "4100")}, "line 2, nis"),
        ({"authorities": TWO, "template": {"id": "x"}}, "kinds: "),
        ({"authorities": TWO, "sign": "qes"}, "sign"),
        ({"authorities": TWO, "expression": "1"}, "Extra inputs are not permitted"),
        (
            {"authorities": HEADER + "".join(f"gemeente-{n},gemeente,X,{n},,,,,\n" for n in range(11000, 11052))},
            f"at most {MOST_AT_ONCE} at once",
        ),
    ],
)
async def test_what_does_not_read_is_refused_by_place(http: Http, body: dict[str, Any], says: str) -> None:
    answer = await http.post("onboard", body)
    assert answer.status_code in {400, 422}
    assert says in answer.text
    assert http.room.since() == []
