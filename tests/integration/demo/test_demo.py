"""The demo as a user runs it: once for its figures, then again on the same data directory, until Ctrl-C."""

import asyncio
import json
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.demo.cast import ENTERPRISES, PEOPLE, ROADWORKS

DEMO = (sys.executable, "-m", "broker.cli.main", "demo")
_URL = re.compile(r"http://127\.0\.0\.1:\d+/")


@asynccontextmanager
async def demo(home: Path, *options: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*DEMO, "--data-dir", str(home), *options, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def lines_until(process: Process, last: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or last not in lines[-1]:
        line = (await process.stdout.readline()).decode()
        assert line, f"ended before it said {last!r}"
        lines.append(line)
    return lines


def added_up(told: dict[str, Any], persons: int) -> None:
    agreements = told["agreements"]
    assert told["delivered"] == sum(own["delivered"] for own in agreements.values())
    assert told["withheld"] == sum(sum(own["withheld"].values()) for own in agreements.values())
    everyone = agreements["statistiek-vlaanderen"]
    assert (everyone["delivered"], everyone["withheld"]) == (persons, {})
    assert agreements["verkiezingen-2024"] == {"delivered": 0, "withheld": {"NOT_IN_TERM": persons}}
    assert agreements["parkeerboetes-gent"]["delivered"] + told["not_on_file"]["parkeerboetes-gent"] == persons
    assert agreements["inwoners-oostende"]["withheld"]["REVOKED"] > 0
    assert told["move"] == {"left": 1, "entered": 1, "others": 0}
    assert told["after_revocation"] == 0
    assert told["failed"] == []
    assert 0 < told["latency_ms"]["p50"] <= told["latency_ms"]["p99"]


@pytest.mark.timeout(300)
async def test_once_for_its_figures_then_again_until_it_is_stopped(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    async with demo(home, "--once", "--json") as process:
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    first = json.loads(out)
    things = ENTERPRISES + ROADWORKS
    added_up(first, first["records"] - things)
    assert first["records"] > PEOPLE + things
    assert first["duplicates"] == 0
    assert first["refused"]["nationaliteit-onderzoek"][0]["path"] == "nationaliteiten.code"
    assert not (home / "stack.json").exists()

    async with demo(home) as process:
        said = "".join(await lines_until(process, "Ctrl-C"))
        assert "fictieve gegevens" in said
        assert "FAILED" not in said
        known = re.search(r"(\d+) statements were known already", said)
        assert known
        assert int(known[1]) > PEOPLE // 2
        async with httpx.AsyncClient(trust_env=False) as http:
            page = await http.get(_URL.findall(said)[0])
        assert page.status_code == 200
        assert "Wie kreeg uw gegevens, en waarom?" in page.text
        connection = json.loads((home / "stack.json").read_text())
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    host, port = connection["kafka"].split(":")
    with pytest.raises(OSError):  # noqa: PT011 - whichever way it is closed
        await asyncio.open_connection(host, int(port))
    assert not (home / "stack.json").exists()
