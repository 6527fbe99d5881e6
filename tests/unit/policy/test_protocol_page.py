"""Public protocol pages: what was published and nothing else, accessible, escaped, without persons, scripts or foreign things."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from broker.cli.documents import PolicyFolder
from broker.model.facts import Fact, FactType
from broker.model.lifecycle import AgreementEntry
from broker.policy import documents
from broker.policy.page_frame import STYLE
from broker.policy.protocol_page import list_page, notice_page, protocol_page, published, shown
from broker.policy.protocol_text import render, text_hash

FOLDER = PolicyFolder.of()
NOW = datetime(2026, 11, 26, tzinfo=UTC)
ID = "parkeerboetes-gent"
SIDES = ("gent-parkeren", "rijksregister")


def reviewed(**changes: Any) -> dict[str, Any]:
    text = (FOLDER.policies / "agreements" / f"{ID}.yaml").read_text()
    return documents.agreement_document(documents.agreement(text)) | changes


class Log:
    """A control log that takes a protocol through its life."""

    def __init__(self) -> None:
        self.state = FOLDER.state()

    def take(self, kind: FactType, by: str, data: Mapping[str, Any], version: int = 1) -> None:
        offset, name = self.state.epoch + 1, f"agreement/{ID}"
        said = {"id": ID, "version": version, "why": "canary-waarom"} | data
        fact = Fact(f"f{offset}", kind, name, self.state.version(name), NOW, by, said)
        assert self.state.apply(offset, fact), kind

    def negotiate(self, version: int = 1, **changes: Any) -> None:
        """To the last signature."""
        document = reviewed(version=version, **changes)
        text = text_hash(render(documents.agreement(document), self.state))
        agency, source = SIDES
        asked = {"document": document, "egress": "{}", "text_sha256": text}
        self.take(FactType.AGREEMENT_REQUESTED, agency, asked, version)
        self.take(FactType.AGREEMENT_APPROVED, source, {"text_sha256": text}, version)
        for side, verdict in ((agency, "favourable"), (source, "unfavourable")):
            advice = {"organisation": side, "verdict": verdict, "reference": "canary-advies", "text_sha256": text}
            departure = "canary-motivering" if verdict == "unfavourable" else None
            self.take(FactType.AGREEMENT_ADVISED, side, {"advice": advice | {"departure": departure}}, version)
        for side in SIDES:
            signature = {
                "organisation": side,
                "function": f"hoofd van {side}",
                "mandate": "canary-mandaat",
                "method": "dev",
                "text_sha256": text,
                "document_sha256": None,
                "signed_at": NOW.isoformat(),
            }
            self.take(FactType.AGREEMENT_SIGNED, side, {"signature": signature}, version)

    def publish(self, version: int = 1) -> None:
        text = self.entry(version).text_sha256
        self.take(FactType.AGREEMENT_PUBLISHED, SIDES[1], {"text_sha256": text}, version)

    def activate(self, version: int = 1) -> None:
        self.publish(version)
        self.take(FactType.AGREEMENT_ACTIVE, SIDES[1], {}, version)

    def entry(self, version: int = 1) -> AgreementEntry:
        return self.state.versions_of(ID)[version]


@pytest.fixture
def log() -> Log:
    return Log()


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "hr"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(log: Log, version: int = 1) -> Page:
    return Page(protocol_page(log.entry(version), log.state))


def test_nothing_is_shown_before_it_is_published(log: Log) -> None:
    assert (published(ID, log.state), shown(ID, log.state), shown("onbekend", log.state)) == ((), None, None)
    log.negotiate()
    assert (published(ID, log.state), shown(ID, log.state)) == ((), None)
    log.publish()
    assert shown(ID, log.state) is log.entry()


def test_what_was_withdrawn_before_its_publication_is_never_shown(log: Log) -> None:
    log.negotiate()
    log.take(FactType.AGREEMENT_REVOKED, SIDES[1], {})
    assert shown(ID, log.state) is None


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (None, "In werking, sinds 26 november 2026"),
        (FactType.AGREEMENT_SUSPENDED, "Geschorst: er wordt niets meegedeeld"),
        (FactType.AGREEMENT_ENDED, "Beëindigd"),
        (FactType.AGREEMENT_REVOKED, "Ingetrokken"),
    ],
)
def test_it_stays_shown_whatever_becomes_of_it(log: Log, kind: FactType | None, said: str) -> None:
    log.negotiate()
    log.activate()
    if kind is not None:
        log.take(kind, SIDES[1], {})
    assert shown(ID, log.state) is log.entry()
    assert said in page(log).text


def test_the_page_holds_the_whole_text_with_its_fingerprint(log: Log) -> None:
    log.negotiate()
    log.activate()
    found = page(log)
    assert log.entry().text_sha256 in found.text
    for article in ("Rechtsgrond", "Meegedeelde gegevens", "Rechten van de betrokkenen", "Bekendmaking"):
        assert article in found.text
    assert "De aanmaning noemt de schuldenaar bij naam." in found.text


def test_who_signed_is_an_organisation_and_a_function(log: Log) -> None:
    log.negotiate()
    log.activate()
    found = page(log).text
    assert "hoofd van gent-parkeren" in found
    assert "Rijksregister van de natuurlijke personen: ongunstig; de partij week er gemotiveerd van af" in found
    assert "canary" not in found  # mandates, references and reasons are free text between the parties


def test_a_text_that_is_worded_otherwise_since_is_told(log: Log) -> None:
    log.negotiate()
    log.activate()
    assert "anders verwoord" not in page(log).text
    log.state.organisations[SIDES[0]] = log.state.organisations["stad-gent"]
    assert "anders verwoord" in page(log).text


def test_a_text_that_can_no_longer_be_made_is_told(log: Log) -> None:
    log.negotiate()
    log.activate()
    log.state.products.clear()
    assert "kan niet meer worden opgemaakt" in page(log).text


def test_versions_lead_to_each_other(log: Log) -> None:
    log.negotiate()
    log.activate()
    log.negotiate(2, title="Tweede versie")
    assert [entry.version for entry in published(ID, log.state)] == [1]
    log.publish(2)
    first = page(log)
    assert "er is een versie 2" in first.text
    assert shown(ID, log.state) is log.entry(1)
    log.take(FactType.AGREEMENT_ACTIVE, SIDES[1], {}, 2)
    assert shown(ID, log.state) is log.entry(2)
    assert [entry.version for entry in published(ID, log.state)] == [1, 2]
    links = {link["href"] for link in page(log, 1).all("a")}
    assert {f"/protocollen/{ID}?versie=1", f"/protocollen/{ID}?versie=2"} <= links
    assert "Beëindigd" in page(log, 1).text
    assert "vervangen door de volgende versie" in page(log, 1).text
    assert "in de plaats van de vorige versie" in page(log, 2).text


HOSTILE = '<script>alert(1)</script> [klik](https://vals.example) ![](https://vals.example/x.png) <b onclick="x">'


def hostile(log: Log) -> str:
    """A page in which every text that someone writes is hostile."""
    document = reviewed()
    document["title"] = HOSTILE
    document["fields"][0]["why"] = HOSTILE
    document["conditions"]["necessity"] = HOSTILE
    document["conditions"]["security"] = [HOSTILE]
    log.negotiate(title=HOSTILE, fields=document["fields"], conditions=document["conditions"])
    log.activate()
    return protocol_page(log.entry(), log.state)


def test_no_text_becomes_markup(log: Log) -> None:
    html = hostile(log)
    found = Page(html)
    for tag in ("script", "img", "b"):
        assert found.all(tag) == []
    assert all(
        link["href"].startswith(("/protocollen", "/catalogus", "/v1/agreements/", "#")) for link in found.all("a")
    )
    assert "<script>alert(1)</script>" in found.text


def test_no_text_of_the_list_becomes_markup(log: Log) -> None:
    hostile(log)
    found = Page(list_page([log.entry()], log.state, after="", following="zz"))
    assert found.all("script") == []
    assert "<script>" in found.text
    assert {"href": "/protocollen?na=zz"} in found.all("a")


@pytest.mark.parametrize("kind", ["protocol", "list", "empty", "notice"])
def test_pages_are_accessible_and_load_nothing(log: Log, kind: str) -> None:
    log.negotiate()
    log.activate()
    html = {
        "protocol": lambda: protocol_page(log.entry(), log.state),
        "list": lambda: list_page([log.entry()], log.state, after="", following=None),
        "empty": lambda: list_page([], log.state, after="z", following=None),
        "notice": lambda: notice_page("Dit protocol bestaat niet."),
    }[kind]()
    found = Page(html)
    assert found.all("html") == [{"lang": "nl-BE"}]
    assert len(found.all("title")) == len(found.all("main")) == len(found.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in found.tags if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all("scope" in head for head in found.all("th"))
    assert len(found.all("caption")) == len(found.all("table"))
    assert not {tag for tag, _ in found.tags} & {"script", "img", "iframe", "link", "form", "object", "svg"}
    assert not any(
        "style" in attributes or any(name.startswith("on") for name in attributes) for _, attributes in found.tags
    )
    assert f"<style>{STYLE}</style>" in html


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", ["ink", "muted", "accent"])
def test_text_has_the_contrast_that_wcag_asks(name: str) -> None:
    colour = STYLE.split(f"--{name}: ")[1][:7]
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_the_same_state_gives_the_same_page(log: Log) -> None:
    log.negotiate()
    log.activate()
    assert protocol_page(log.entry(), log.state) == protocol_page(log.entry(), log.state)
