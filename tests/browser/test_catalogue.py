"""The catalogue as officials and jurists meet it, in a real browser: from the list to how to ask, by keyboard, on a phone, on paper."""

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Played, readable

pytestmark = pytest.mark.timeout(300)

PRODUCT = "catalogus/rijksregister/persoon.v1"
_CUT_OFF = """() => [...document.querySelectorAll('main *')].filter(node =>
  node.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !node.closest('.wide')
).map(node => node.outerHTML.slice(0, 80))"""
_NAMELESS = """() => [...document.querySelectorAll('a, [role=region], nav')].filter(node => {
  const named = node.getAttribute('aria-labelledby');
  return !(node.getAttribute('aria-label') || (named && document.getElementById(named)) || node.textContent.trim());
}).length"""
_SMALL = """() => [...document.querySelectorAll('header a')].filter(node => node.getBoundingClientRect().height < 24).length"""


async def test_from_the_list_to_a_product_and_how_to_ask_for_it(demo: Played, page: Page) -> None:
    await page.goto(f"{demo.api}catalogus")
    assert "Welke gegevens bronnen aanbieden" in await page.locator("main").inner_text()
    await page.get_by_role("row").get_by_role("link", name="Persoon, versie 1").first.click()
    said = await page.locator("main").inner_text()
    assert "naam.achternaam" in said
    assert "datanuts agreement check" in said
    quality = await page.get_by_role("table").first.inner_text()
    assert "ongeveer" in quality, "the demo's people are counted"
    assert "niet gekend" not in quality.split("\n")[1]
    await page.get_by_role("link", name="Catalogus", exact=True).click()
    assert page.url.endswith("/catalogus")


@pytest.mark.parametrize("path", ["catalogus", PRODUCT])
async def test_everyone_can_read_it(demo: Played, page: Page, path: str) -> None:
    await page.goto(demo.api + path)
    await readable(page)
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "inhoud"
    assert await page.evaluate(_NAMELESS) == 0
    assert await page.locator("table").count() == await page.locator("table > caption").count() > 0
    await page.locator(".wide").first.focus()
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


@pytest.mark.parametrize("path", ["catalogus", PRODUCT])
async def test_it_fits_a_phone_and_what_is_wide_is_scrolled_by_itself(demo: Played, page: Page, path: str) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.goto(demo.api + path)
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    assert await page.evaluate(_CUT_OFF) == []
    assert await page.evaluate(_SMALL) == 0


async def test_on_paper_the_whole_table_is_there(demo: Played, page: Page) -> None:
    await page.goto(demo.api + PRODUCT)
    await page.emulate_media(media="print")
    assert not await page.locator("header").is_visible()
    assert await page.evaluate("getComputedStyle(document.querySelector('.wide')).overflowX") == "visible"


async def test_a_product_that_is_not_there_leads_back(demo: Played, page: Page) -> None:
    answer = await page.request.get(f"{demo.api}catalogus/niemand/niets.v1")
    assert answer.status == 404
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    await page.goto(f"{demo.api}catalogus")
