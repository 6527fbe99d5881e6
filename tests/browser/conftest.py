"""One demo that has played, and a real browser that looks at it: nothing may leave the machine, no complaint may occur."""

import asyncio
import re
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from playwright.async_api import Browser, Page, async_playwright

from broker.cli.datadir import DataDir

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


@dataclass(frozen=True, slots=True)
class Played:
    """Addresses, each with a slash at its end: of the demo's page and of the HTTP interface."""

    page: str
    api: str


@pytest.fixture(scope="session")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    """A demo that has played, until the last test."""
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
        yield Played(found[0], f"{DataDir(home).connection().api}/")
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()


@pytest.fixture(scope="session")
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


async def readable(page: Page) -> None:
    """Dutch, contrast of WCAG AA, headings in order, and the keyboard's first stop leads past what is the same everywhere."""
    assert await page.evaluate("document.documentElement.lang.slice(0, 2)") == "nl"
    assert await page.evaluate(_CONTRAST) == []
    levels = await page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(node => Number(node.tagName[1]))")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Naar de inhoud"
