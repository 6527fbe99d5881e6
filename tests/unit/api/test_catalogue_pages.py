"""The catalogue in a browser: for everyone, at a pace, under headers that forbid a page everything but its own style."""

import hashlib
import re
from base64 import b64encode

import pytest

from broker.api.limits import Pace
from tests.unit.api.conftest import World, opened
from tests.unit.api.stand_ins import QualityFigures

PRODUCT = "/catalogus/rijksregister/persoon.v1"


@pytest.mark.parametrize("path", ["/catalogus", PRODUCT])
async def test_a_page_needs_no_credential_and_may_do_nothing_but_show_its_own_style(world: World, path: str) -> None:
    answer = await world.http.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert answer.headers["Content-Security-Policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    assert "gent-parkeren" not in answer.text, "who receives something"


async def test_figures_are_on_the_page_of_a_product_and_in_the_list() -> None:
    async with opened(quality=QualityFigures()) as world:
        product, listed = [(await world.http.get(path)).text for path in (PRODUCT, "/catalogus")]
    assert "45 seconden" in product
    assert "ongeveer 12.000" in product
    assert "ongeveer 12.000" in listed


@pytest.mark.parametrize(
    "path", ["/catalogus/rijksregister/niets.v1", "/catalogus/niemand/persoon.v1", "/catalogus/%3Cb%3E/x"]
)
async def test_a_product_that_is_not_there_is_a_page_that_repeats_nothing(world: World, path: str) -> None:
    answer = await world.http.get(path)
    assert answer.status_code == 404
    assert "Dit dataproduct bestaat niet." in answer.text
    assert "<b>" not in answer.text
    assert "niemand" not in answer.text


async def test_the_list_goes_on_behind_the_last_one_seen(world: World) -> None:
    assert "Persoon" in (await world.http.get("/catalogus?na=a/zz.v1")).text
    assert "Er zijn geen dataproducten meer" in (await world.http.get("/catalogus?na=rijksregister/persoon.v1")).text


async def test_pages_share_the_pace_of_what_is_public(world: World) -> None:
    world.http._transport.app.state.public_pace = Pace(rate=0, burst=1)
    assert [(await world.http.get("/catalogus")).status_code for _ in range(2)] == [200, 429]
