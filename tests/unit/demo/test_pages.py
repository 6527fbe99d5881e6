"""The status page: what it shows, that nothing foreign gets in or is loaded, and that only its own form revokes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import httpx
import pytest

from broker.demo.pages import create_pages
from broker.demo.protocol import Asked, Protocol
from broker.demo.story import Card, Dropped, Event, Line, Row
from broker.demo.teller import Stop, Story
from broker.errors import KafkaUnavailable, NotFound

HOSTILE = "<script>alert(1)</script>"
HERE = "http://127.0.0.1:4000"
LINES = (Line("achternaam", "naam.achternaam", HOSTILE), Line("land (landcode)", "verblijfplaats.land.iso", "BEL"))
DROPPED = (
    Dropped("nationaliteit", "nationaliteiten.omschrijving", "boven het plafond", "boven het plafond: aan niemand"),
)
CARD = Card("inwoners-leuven", "Stad Leuven", "Inwoners aanschrijven", "Protocol 1", "Daarom.", LINES, "", DROPPED)
ROW = Row("Stad Leuven", "Inwoners aanschrijven", "FICTIEF-1", "Gewijzigde gegevens", "ab" * 16)
STORY = Story(
    name="Jan Test",
    source="Rijksregister",
    lines=LINES,
    cards=(CARD,),
    events=tuple(Event(f"dag {number}", (ROW,)) for number in range(4)),
    revocable="Het protocol",
    in_force=True,
    stop=None,
)
TEXT = Protocol(
    id="inwoners-leuven",
    version=1,
    title="Titel",
    state="van kracht",
    source="Rijksregister",
    agency="Stad Leuven",
    purpose="Doel",
    purpose_text="Waarom dan.",
    bases=(("Protocol 1", "Daarom."),),
    fields=(Asked("straat", "verblijfplaats.straatnaam", "zoals het is", "Voor de brief."),),
    population="Over personen.",
    term="Een jaar.",
    retention_days=14,
)


@dataclass
class Teller:
    told: Story = STORY
    failure: Exception | None = None
    revoked: int = 0
    asked: list[str] = field(default_factory=list)

    async def story(self) -> Story:
        if self.failure:
            raise self.failure
        return self.told

    async def protocol(self, identifier: str) -> Protocol:
        self.asked.append(identifier)
        if identifier != TEXT.id:
            raise NotFound("no such agreement")
        return TEXT

    async def revoke(self) -> None:
        self.revoked += 1
        self.told = replace(self.told, in_force=False, stop=Stop("vandaag", 12, 1, 0, 1))


@pytest.fixture
def teller() -> Teller:
    return Teller()


@pytest.fixture
async def http(teller: Teller) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_pages(teller))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
        yield client


async def test_the_story_is_shown_and_what_it_holds_is_never_markup(http: httpx.AsyncClient) -> None:
    page = (await http.get("/")).text
    assert '<html lang="nl">' in page
    assert "Fictieve gegevens" in page
    assert "Het verhaal van Jan Test" in page
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert page.count("<summary>") == 3  # codes of the source, dropped fields, earlier receipts


async def test_nothing_is_loaded_from_elsewhere_nor_kept(http: httpx.AsyncClient) -> None:
    for path in ("/", "/protocol/inwoners-leuven", "/nergens"):
        answer = await http.get(path)
        assert "://" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
    assert "url(" not in (await http.get("/stijl.css")).text


async def test_a_protocol_is_a_page_and_an_unknown_one_is_not(http: httpx.AsyncClient) -> None:
    page = (await http.get("/protocol/inwoners-leuven")).text
    assert "Voor de brief." in page
    assert "14 dagen" in page
    missing = await http.get("/protocol/anders")
    assert (missing.status_code, "bestaat niet" in missing.text) == (404, True)


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "same-origin"}, {"origin": HERE}, {"sec-fetch-site": "same-origin", "origin": HERE}]
)
async def test_its_own_form_revokes_and_the_button_is_gone(
    http: httpx.AsyncClient, teller: Teller, headers: dict[str, str]
) -> None:
    assert "<button" in (await http.get("/")).text
    answer = await http.post("/intrekken", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/#intrekken")
    page = (await http.get("/")).text
    assert teller.revoked == 1
    assert "Na deze lijn: 0 records" in page
    assert "<button" not in page


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:4001"},
        {"sec-fetch-site": "cross-site", "origin": HERE},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
async def test_nobody_elses_form_revokes(http: httpx.AsyncClient, teller: Teller, headers: dict[str, str]) -> None:
    assert (await http.post("/intrekken", headers=headers)).status_code == 403
    assert teller.revoked == 0


async def test_revoking_is_never_a_link(http: httpx.AsyncClient, teller: Teller) -> None:
    assert (await http.get("/intrekken")).status_code == 405
    assert teller.revoked == 0


async def test_another_name_for_this_machine_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.get("/", headers={"host": "evil.example"})).status_code == 400


async def test_trouble_is_told_in_words_and_without_details(http: httpx.AsyncClient, teller: Teller) -> None:
    teller.failure = KafkaUnavailable("a topic cannot be read now", operator="secret detail")
    answer = await http.get("/")
    assert answer.status_code == 503
    assert "antwoordt nu niet" in answer.text
    assert "secret" not in answer.text


async def test_a_protocol_that_is_not_in_force_has_no_button(http: httpx.AsyncClient, teller: Teller) -> None:
    teller.told = replace(STORY, in_force=False)
    page = (await http.get("/")).text
    assert "niet van kracht" in page
    assert "<button" not in page
