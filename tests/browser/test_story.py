"""The status page as a person meets it, in a real browser: what it says, by keyboard, on a phone, and after a revocation."""

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Played, readable


@pytest.fixture
def url(demo: Played) -> str:
    """Address of the status page."""
    return demo.page


@pytest.mark.timeout(300)
async def test_what_a_person_reads_and_what_a_revocation_leaves(url: str, page: Page) -> None:
    await page.goto(url)
    assert "Fictieve gegevens" in await page.locator("body").inner_text()
    source, cards = page.locator(".card.source"), page.locator(".card.agency")
    assert "rijksregisternummer" in await source.inner_text()
    assert "nationaliteit" in await source.inner_text()
    assert await cards.count() == 3
    town, parking, youth = [await cards.nth(number).inner_text() for number in range(3)]
    surname = await source.locator("div", has_text="naam.achternaam").first.locator("dd").inner_text()
    assert surname in town
    assert "dossiernummer" in parking
    assert surname in parking
    assert "meerderjarig" in youth
    assert surname not in youth
    assert all("Rechtsgrond." in card for card in (town, parking, youth))
    assert "rijksregisternummer" not in youth

    dropped = cards.nth(2).locator("details")
    await dropped.locator("summary").focus()
    await page.keyboard.press("Enter")
    reasons = await dropped.inner_text()
    assert "vervangen door het dossiernummer" in reasons
    assert "vervangen door ja of neen" in reasons
    assert "boven het plafond" in reasons

    receipts = page.locator("table.receipts").first
    told = await receipts.inner_text()
    assert "Melding van vertrek, zonder nieuwe gegevens" in told
    assert "Eerste levering" in told
    assert "Niets: de looptijd van het protocol is voorbij" in told
    assert "Stad Oostende" not in await page.locator("body").inner_text()

    await cards.nth(1).get_by_role("link").click()
    await page.get_by_role("heading", name="Waarom", exact=True).wait_for()
    assert "zelf een open dossier" in await page.locator("main").inner_text()
    await page.get_by_role("link", name="Terug naar het verhaal").click()

    await page.get_by_role("button", name="Trek dit protocol in").click()
    await page.get_by_role("status").wait_for()
    assert "Na deze lijn: 0 records" in await page.get_by_role("status").inner_text()
    assert "1 keer tegengehouden" in await page.get_by_role("status").inner_text()
    assert "Niets: het protocol is ingetrokken" in await page.locator("table.receipts").first.inner_text()
    assert "ingetrokken" in await page.locator(".card.agency").nth(1).inner_text()
    await page.goto(url)
    assert await page.get_by_role("status").count() == 1
    assert await page.get_by_role("button").count() == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", ["", "protocol/parkeerboetes-gent", "protocol/verkiezingen-2024"])
async def test_it_fits_a_phone(url: str, page: Page, path: str) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(url + path)
    for details in await page.locator("details").all():
        await details.evaluate("node => { node.open = true }")
    assert await page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", ["", "protocol/parkeerboetes-gent"])
async def test_everyone_can_read_it(url: str, page: Page, path: str) -> None:
    await page.goto(url + path)
    await readable(page)
