"""The status page as a person meets it, in a real browser: what it says, by keyboard, on a phone, and after a revocation."""

import asyncio
import re
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from playwright.async_api import Browser, Page, async_playwright

_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_CONTRAST = """() => {
  const channel = c => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
  const light = rgb => .2126 * channel(rgb[0]) + .7152 * channel(rgb[1]) + .0722 * channel(rgb[2]);
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = node => { for (; node; node = node.parentElement) {
    const rgb = parse(getComputedStyle(node).backgroundColor); if (rgb.length < 4 || rgb[3] > 0) return rgb; }
    return [255, 255, 255]; };
  const poor = [];
  for (const node of document.querySelectorAll('body *')) {
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) poor.push(node.outerHTML.slice(0, 80));
  }
  return poor;
}"""


@pytest.fixture(scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Address of the page of a demo that has played."""
    home = tmp_path_factory.mktemp("demo")
    command = (sys.executable, "-m", "broker.cli.main", "demo", "--data-dir", str(home))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL)
    assert process.stdout is not None
    found = None
    try:
        async for line in process.stdout:
            found = found or re.search(r"http://127\.0\.0\.1:\d+/", line.decode())
            if b"Ctrl-C" in line:
                break
        assert found, "the demo ended before it was up"
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    installed = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert installed, "a Chromium is needed: install it, or leave these tests out with SKIP=browser"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=installed, headless=True, args=_FLAGS)
        yield started
        await started.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page whose every request and complaint is kept: none may leave the machine, none may occur."""
    opened = await browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    await opened.close()
    assert asked
    assert all(address.startswith(("http://127.0.0.1:", "data:")) for address in asked)
    assert said == []


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
    assert await page.evaluate("document.documentElement.lang") == "nl"
    assert await page.evaluate(_CONTRAST) == []
    levels = await page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(node => Number(node.tagName[1]))")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Naar de inhoud"
