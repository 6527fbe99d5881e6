"""The text of an agreement over HTTP: the one that anybody renders from the document, as Markdown and as PDF."""

from typing import Any

from broker.model.facts import FactType
from broker.policy import documents
from broker.policy.protocol_pdf import pdf
from broker.policy.protocol_text import render, stated_at, text_hash
from tests.unit.api.conftest import World, bearer, document


async def asked(world: World, path: str, who: str = "agency") -> Any:
    answer = await world.http.get(f"/v1/agreements/{path}", headers=bearer(who))
    assert answer.status_code == 200, answer.text
    return answer


async def test_both_parties_get_the_text_of_the_document(world: World) -> None:
    state = world.control.state
    value = documents.agreement(state.agreements["parkeren"].document)
    for who in ("agency", "source"):
        shown = (await asked(world, "parkeren/text", who)).json()
        assert shown["text"] == render(value, state)
        assert (shown["sha256"], shown["version"]) == (text_hash(shown["text"]), 1)


async def test_the_pdf_is_the_same_for_everyone_and_can_be_made_offline(world: World) -> None:
    first, second = [await asked(world, "parkeren/text.pdf", who) for who in ("agency", "source")]
    assert first.headers["content-type"] == "application/pdf"
    assert first.headers["content-disposition"] == 'inline; filename="parkeren-v1.pdf"'
    value = documents.agreement(world.control.state.agreements["parkeren"].document)
    text = render(value, world.control.state)
    assert first.content == second.content == pdf(text, title=value.title, at=stated_at(value))


async def test_two_versions_and_what_differs_between_them(world: World) -> None:
    later = document("wachtend", "gent-parkeren", dossiers=False) | {"version": 2, "retention_days": 7}
    data = {"document": later, "egress": "{}"}
    await world.control.append(FactType.AGREEMENT_REQUESTED, "agreement/wachtend", data, by="gent-parkeren")
    texts = [(await asked(world, f"wachtend/text?version={number}")).json()["text"] for number in (1, 2)]
    assert "ten hoogste 14 dagen" in texts[0]
    assert "ten hoogste 7 dagen" in texts[1]
    told = (await asked(world, "wachtend/difference?from=1&to=2")).json()
    assert told["items"] == [
        {"path": "version", "label": "changed", "before": 1, "after": 2},
        {"path": "retention_days", "label": "changed", "before": 14, "after": 7},
    ]


async def test_a_version_that_never_was_is_not_found(world: World) -> None:
    for path in ("text?version=9", "text.pdf?version=9", "difference?from=1&to=9"):
        answer = await world.http.get(f"/v1/agreements/parkeren/{path}", headers=bearer("agency"))
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
