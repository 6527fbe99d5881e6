"""Pages of the catalogue: what is offered and how good it is, for people; escaped, accessible, without scripts or foreign things."""

import itertools
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from broker.cli.documents import PolicyFolder
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.quality import Quality
from broker.model.registered import Organisation
from broker.policy import limit_documents
from broker.policy.catalogue_page import list_page, notice_page, product_page
from broker.policy.catalogue_words import ABOUT, duration
from broker.policy.page_frame import STYLE
from tests.unit.policy.offered_products import QUALITY
from tests.unit.policy.test_protocol_page import HOSTILE, Page

NAME = ("rijksregister", "persoon.v1")
NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture(scope="module")
def in_force() -> ControlState:
    """The reviewed documents in force, as every installation begins."""
    folder = PolicyFolder.of()
    made = folder.state()
    for each in folder.ceilings().values():
        made.ceilings[each.source, each.product, each.purpose] = limit_documents.ceiling_document(each)
    return made


@pytest.fixture
def state(in_force: ControlState) -> ControlState:
    """The same, the test's own."""
    return deepcopy(in_force)


def page(state: ControlState, quality: Quality | None = QUALITY) -> Page:
    return Page(product_page(state.products[NAME], state, quality))


def listed(state: ControlState, figures: Mapping[tuple[str, str], Quality], **more: Any) -> Page:
    given = {"after": "", "following": None} | more
    return Page(list_page([state.products[NAME]], state, figures, **given))


def test_a_product_is_shown_with_its_owner_its_fields_and_what_each_purpose_may_have(state: ControlState) -> None:
    found = page(state).text
    assert f"Persoon, versie 1, van {state.organisations['rijksregister'].name}" in found
    assert ABOUT["persoon"] in found
    for told in ("naam.achternaam", "achternaam", "identificerend gegeven", "foaf:familyName"):
        assert told in found
    for told in ("Handhaving", "Hoogstens, voor Handhaving", "meerderjarig: ja of neen"):
        assert told in found
    assert "datanuts agreement check" in found


def test_who_receives_something_is_not_told(state: ControlState) -> None:
    found = page(state).text
    assert not [each for each in state.organisations.values() if each.id != "rijksregister" and each.name in found]
    assert "parkeerboetes-gent" not in found


def test_figures_are_told_with_their_day_and_say_where_there_are_none(state: ControlState) -> None:
    found = page(state).text
    for told in (
        "Cijfers van 25 november 2026, 12:00 uur (UTC)",
        "ongeveer 12.000",
        "45 seconden",
        "2 uur",
        "98 %",
        "12 %",
    ):
        assert told in found
    assert "nog niet alles is geteld" not in found
    assert "nog niet alles is geteld" in page(state, Quality(NOW, whole=False)).text
    assert "niet gekend" in page(state, Quality(NOW, whole=False)).text
    assert "Er zijn nog geen cijfers." in page(state, None).text


def test_a_version_that_ends_leads_to_what_follows(state: ControlState) -> None:
    data = {"source": NAME[0], "product": NAME[1], "sunset": "2027-03-01T00:00:00+00:00", "reason": "v2 is beter"}
    told = {"text": "v2 volgt", "successor": "persoon.v2", "notice_days": 90}
    schema = state.schemas[state.products[NAME].schema_id].text.replace("persoon.v1", "persoon.v2")
    facts = [
        (
            FactType.PRODUCT,
            "product/rijksregister/persoon.v2",
            {"id": "persoon.v2", "source": NAME[0], "schema": schema},
        ),
        (FactType.PRODUCT_DEPRECATED, "life/rijksregister/persoon.v1", data | told),
    ]
    for kind, aggregate, held in facts:
        fact = Fact(f"f{state.epoch}", kind, aggregate, state.version(aggregate), NOW, NAME[0], held)
        assert state.apply(state.epoch + 1, fact), kind
    found = page(state)
    assert "Wordt stopgezet: vanaf 1 maart 2027 begint hierop geen nieuw protocol meer" in found.text
    assert {"href": "/catalogus/rijksregister/persoon.v2"} in found.all("a")


def test_the_list_leads_to_each_product(state: ControlState) -> None:
    found = listed(state, {NAME: QUALITY}, following="z/a.v1")
    assert {"href": "/catalogus/rijksregister/persoon.v1"} in found.all("a")
    assert {"href": "/catalogus?na=z/a.v1"} in found.all("a")
    assert "ongeveer 12.000" in found.text
    assert "niet gekend" in listed(state, {}).text


def test_no_text_becomes_markup(state: ControlState) -> None:
    state.organisations["rijksregister"] = Organisation("rijksregister", HOSTILE)
    state.purposes = tuple({**each, "title": HOSTILE, "description": HOSTILE} for each in state.purposes)
    for found in (page(state), listed(state, {})):
        assert "<script>alert(1)</script>" in found.text
        for tag in ("script", "img", "b"):
            assert found.all(tag) == []
        ways = ("/catalogus", "/protocollen", "/v1/catalogue", "/v1/products/", "#")
        assert all((link["href"] or "").startswith(ways) for link in found.all("a"))


@pytest.mark.parametrize("kind", ["product", "uncounted", "list", "empty", "notice"])
def test_pages_are_accessible_and_load_nothing(state: ControlState, kind: str) -> None:
    html = {
        "product": lambda: product_page(state.products[NAME], state, QUALITY),
        "uncounted": lambda: product_page(state.products[NAME], state, None),
        "list": lambda: list_page(list(state.products.values()), state, {}, after="", following=None),
        "empty": lambda: list_page([], state, {}, after="z", following=None),
        "notice": lambda: notice_page("Dit dataproduct bestaat niet."),
    }[kind]()
    found = Page(html)
    assert found.all("html") == [{"lang": "nl-BE"}]
    assert len(found.all("title")) == len(found.all("main")) == len(found.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in found.tags if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all("scope" in head for head in found.all("th"))
    assert len(found.all("caption")) == len(found.all("table"))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    scrolled = [attributes for attributes in found.all("div") if attributes.get("class") == "wide"]
    assert all(each["tabindex"] == "0" and each["aria-labelledby"] in ids for each in scrolled)
    assert not {tag for tag, _ in found.tags} & {"script", "img", "iframe", "link", "form", "object", "svg"}
    assert not any(
        "style" in attributes or any(name.startswith("on") for name in attributes) for _, attributes in found.tags
    )
    assert f"<style>{STYLE}</style>" in html


def test_every_type_of_ours_is_described_in_dutch() -> None:
    assert {name.partition(".")[0] for name in PolicyFolder.of().product_schemas()} <= ABOUT.keys()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 seconden"),
        (1, "1 seconde"),
        (119, "119 seconden"),
        (120, "2 minuten"),
        (7200, "2 uur"),
        (172_800, "2 dagen"),
    ],
)
def test_a_duration_is_said_in_the_largest_unit_of_which_there_are_two(seconds: int, told: str) -> None:
    assert duration(seconds) == told
