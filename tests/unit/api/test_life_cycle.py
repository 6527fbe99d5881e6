"""A whole life cycle over HTTP: what each side states, what both read, and one event per step."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import Any

import httpx
import pytest

from broker.api.app import create_app
from broker.api.services import Services
from broker.control.event_seals import EventSeals, verify_event
from broker.control.signing import SignedDocument
from broker.errors import Invalid
from broker.model.registered import Organisation
from tests.unit.api.conftest import Keys
from tests.unit.control.room import NOW, Room, document, open_room

GENT, SOURCE, AGENCY = "inwoners-gent", "rijksregister", "stad-gent"
AT = f"/v1/agreements/{GENT}"
ROLES = {SOURCE: "source-owner", AGENCY: "agency", "statistiek-vlaanderen": "agency", "operator": "operator"}


@dataclass
class Office:
    room: Room
    tokens: dict[str, str]
    client: httpx.AsyncClient

    async def ask(self, who: str, method: str, path: str, status: int = 200, **request: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.tokens[who]}", **request.pop("headers", {})}
        answer = await self.client.request(method, path, headers=headers, **request)
        assert answer.status_code == status, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def digest(self) -> str:
        entry = self.room.control.state.amendments.get(GENT) or self.room.control.state.agreements[GENT]
        return entry.text_sha256 or ""

    async def in_force(self, held: dict[str, Any]) -> dict[str, Any]:
        await self.ask(AGENCY, "POST", "/v1/agreements", 201, json=held)
        text = await self.digest()
        await self.ask(SOURCE, "POST", f"{AT}/approve", json={"textSha256": text})
        for side in (SOURCE, AGENCY):
            advice = {"verdict": "favourable", "reference": "DPO-1", "textSha256": text}
            await self.ask(side, "POST", f"{AT}/advice", 201, json=advice)
            signature = {"function": "burgemeester", "mandate": "besluit 1", "textSha256": text}
            await self.ask(side, "POST", f"{AT}/signatures", 201, json=signature)
        return await self.ask(SOURCE, "POST", f"{AT}/publish", json={"why": "Beide partijen tekenden."})


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    room, tokens = await open_room(), {}
    await room.organisations.register(Organisation("operator", "operator"), by="t")
    for who, role in ROLES.items():
        tokens[who] = (await room.organisations.issue(who, (role,), by="t")).token
    others: Any = {field.name: None for field in fields(Services)}
    rooms = {"control": room.control, "agreements": room.agreements, "seals": EventSeals(Keys())}
    services = Services(**{**others, **rooms})
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://broker.test") as client:
        yield Office(room, tokens, client)


async def test_a_life_cycle_over_http(office: Office) -> None:
    made = await office.in_force(document())
    assert (made["state"], made["topic"]) == ("active", "delivery.stad-gent.inwoners-gent")
    shown = await office.ask(AGENCY, "GET", AT)
    assert [(step["type"], step["by"]) for step in shown["history"]] == [
        ("requested", AGENCY),
        ("approved", SOURCE),
        ("advised", SOURCE),
        ("signed", SOURCE),
        ("advised", AGENCY),
        ("signed", AGENCY),
        ("published", SOURCE),
        ("activated", SOURCE),
    ]
    assert shown["history"][5]["function"] == "burgemeester"
    assert shown["history"][6]["why"] == "Beide partijen tekenden."
    assert [(each["organisation"], each["method"]) for each in shown["signatures"]] == [
        (SOURCE, "dev"),
        (AGENCY, "dev"),
    ]
    assert [each["verdict"] for each in shown["advice"]] == ["favourable"] * 2
    assert (shown["versions"], shown["amendment"]) == ([1], None)


async def test_the_same_request_again_is_told_as_such(office: Office) -> None:
    await office.ask(AGENCY, "POST", "/v1/agreements", 201, json=document())
    await office.ask(AGENCY, "POST", "/v1/agreements", 200, json=document())
    await office.ask(AGENCY, "POST", "/v1/agreements", 201, json=document(title="Anders"))


async def test_the_operator_drafts_and_the_agency_requests(office: Office) -> None:
    await office.ask("operator", "POST", "/v1/agreements", 403, json=document())
    await office.ask("operator", "POST", "/v1/agreements/drafts", 201, json=document())
    await office.ask("operator", "POST", f"{AT}/request", 403)
    asked = await office.ask(AGENCY, "POST", f"{AT}/request", 201)
    assert (asked["version"], asked["state"]) == (1, "requested")


async def test_an_amendment_is_negotiated_beside_the_version_in_force(office: Office) -> None:
    await office.in_force(document())
    await office.ask(AGENCY, "POST", "/v1/agreements", 201, json=document(version=2, title="Ruimer"))
    shown = await office.ask(SOURCE, "GET", AT)
    assert (shown["version"], shown["state"]) == (1, "active")
    assert (shown["amendment"]["version"], shown["amendment"]["state"]) == (2, "requested")
    await office.in_force(document(version=2, title="Nog ruimer"))
    now, before = await office.ask(AGENCY, "GET", AT), await office.ask(AGENCY, "GET", f"{AT}?version=1")
    assert (now["version"], now["title"], now["versions"]) == (2, "Nog ruimer", [1, 2])
    assert (before["state"], before["title"]) == ("ended", document()["title"])
    assert before["history"][-1]["type"] == "amended"
    await office.ask(AGENCY, "GET", f"{AT}?version=3", 404)
    await office.ask("statistiek-vlaanderen", "GET", f"{AT}?version=1", 404)


async def test_a_signed_document_is_the_body_of_a_signature(office: Office) -> None:
    office.room.agreements.verify = lambda pdf, _rendered: SignedDocument(pdf.decode(), NOW)
    await office.ask(AGENCY, "POST", "/v1/agreements", 201, json=document())
    text = await office.digest()
    await office.ask(SOURCE, "POST", f"{AT}/approve")
    await office.ask(AGENCY, "POST", f"{AT}/advice", 201,
                     json={"verdict": "unfavourable", "reference": "DPO-1", "textSha256": text, "departure": "Taak."})  # fmt: skip
    stated = {"function": "burgemeester", "mandate": "besluit 1", "textSha256": text}
    pdf = {"Content-Type": "application/pdf"}
    await office.ask(AGENCY, "POST", f"{AT}/signatures", 400, content=b"digest", headers=pdf)
    made = await office.ask(AGENCY, "POST", f"{AT}/signatures", 201, params=stated, content=b"digest", headers=pdf)
    (held,) = made["signatures"]
    assert (held["method"], held["documentSha256"], held["signedAt"]) == ("qes-document", "digest", NOW.isoformat())
    assert made["advice"][0]["departure"] == "Taak."


@pytest.mark.parametrize("size", [300 << 10, (4 << 20) + 1])
async def test_a_signed_document_is_larger_than_other_bodies_and_bounded(office: Office, size: int) -> None:
    await office.ask(AGENCY, "POST", "/v1/agreements", 201, json=document())
    refused = await office.ask(
        AGENCY, "POST", f"{AT}/signatures", 413 if size > 4 << 20 else 400,
        content=b"x" * size, headers={"Content-Type": "application/pdf"},
    )  # fmt: skip
    assert refused["code"] == ("TOO_LARGE" if size > 4 << 20 else "INVALID")


BAD = [b"", b"{", b"[]", b"{}", b'{"function": "f", "mandate": "m", "textSha256": "zz"}', b'{"insz": "84621512345"}']


@pytest.mark.parametrize("body", BAD)
async def test_a_malformed_signature_names_places_and_never_values(office: Office, body: bytes) -> None:
    await office.ask(AGENCY, "POST", "/v1/agreements", 201, json=document())
    refused = await office.ask(AGENCY, "POST", f"{AT}/signatures", 400, content=body)
    assert "84621512345" not in str(refused)


async def test_events_tell_each_party_every_step_once_and_in_order(office: Office) -> None:
    await office.in_force(document())
    await office.ask(SOURCE, "POST", f"{AT}/suspend", json={"why": "Onderzoek loopt."})
    seen: list[dict[str, Any]] = []
    after = -1
    while page := await office.ask(AGENCY, "GET", f"/v1/agreements/events?after={after}&limit=2"):
        if not page["items"]:
            break
        assert len(page["items"]) <= 2
        seen += page["items"]
        after = page["next"]
    assert page["next"] == after
    epochs = [event["epoch"] for event in seen]
    assert epochs == sorted(set(epochs))
    assert [event["type"] for event in seen][-3:] == ["published", "activated", "suspended"]
    assert (seen[-1]["state"], seen[-1]["why"], seen[-1]["by"]) == ("suspended", "Onderzoek loopt.", SOURCE)
    for other in (SOURCE, "operator"):
        assert (await office.ask(other, "GET", "/v1/agreements/events"))["items"] == seen
    assert (await office.ask("statistiek-vlaanderen", "GET", "/v1/agreements/events"))["items"] == []
    await office.ask(SOURCE, "POST", f"{AT}/revoke")
    later = await office.ask(AGENCY, "GET", f"/v1/agreements/events?after={after}")
    assert [event["type"] for event in later["items"]] == ["revoked"]


async def test_each_party_can_show_later_what_it_was_told(office: Office) -> None:
    await office.in_force(document())
    await office.ask(SOURCE, "POST", f"{AT}/revoke", json={"why": "Ingetrokken na klacht."})
    told = await office.ask(AGENCY, "GET", "/v1/agreements/events")
    for event in told["items"]:
        verify_event(event, told["sealKey"])
    revoked = told["items"][-1]
    assert revoked["type"] == "revoked"
    for changed in ({"why": ""}, {"at": revoked["at"].replace("20", "19", 1)}, {"seal": "00" * 64}, {"extra": 1}):
        with pytest.raises(Invalid):
            verify_event(revoked | changed, told["sealKey"])
    with pytest.raises(Invalid):
        verify_event(revoked, "ab" * 32)


@pytest.mark.parametrize("word", ["events", "drafts"])
async def test_no_agreement_is_called_as_a_word_of_the_interface(office: Office, word: str) -> None:
    refused = await office.ask(AGENCY, "POST", "/v1/agreements", 400, json=document(id=word))
    assert "choose another" in refused["detail"]


async def test_a_version_that_is_given_up_leaves_the_one_in_force(office: Office) -> None:
    await office.in_force(document())
    await office.ask(AGENCY, "POST", "/v1/agreements", 201, json=document(version=2, title="Ruimer"))
    gone = await office.ask(SOURCE, "POST", f"{AT}/withdraw")
    assert (gone["version"], gone["state"]) == (2, "revoked")
    assert (await office.ask(AGENCY, "GET", AT))["state"] == "active"
