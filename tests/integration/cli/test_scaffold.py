"""From `adapter new` to the first delivered record, as the scaffold's own README says; prints the time with `-s`."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from adapters.scaffold_kinds import PORT
from broker.testing import wait_until

DATANUTS = Path(sys.executable).parent / "datanuts"
MOST_MINUTES = 5

pytestmark = pytest.mark.timeout(300)


def environment(here: Path) -> dict[str, str]:
    clean = {name: text for name, text in os.environ.items() if "DATANUTS" not in name and "KAFKA" not in name}
    return {**clean, "DATANUTS_DATA_DIR": str(here / ".datanuts")}


async def run(here: Path, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        DATANUTS, *arguments, cwd=here, stdout=PIPE, stderr=STDOUT, env=environment(here)
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def sample_served(here: Path, readme: str) -> AsyncIterator[None]:
    """What the README has served, at a port that is free here."""
    shown = [line.split("#")[0].split() for line in readme.splitlines() if line.startswith("    python3 ")]
    if not shown:
        yield
        return
    [command], mapping = shown, here / "mijn-bron/mapping.yaml"
    port = str(free_port())
    mapping.write_text(mapping.read_text().replace(str(PORT), port))
    arguments = [port if word == str(PORT) else word for word in command[1:]]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=here, stdout=DEVNULL, stderr=DEVNULL)
    try:
        await wait_until(partial(answers, port), timeout=30)
        yield
    finally:
        process.terminate()
        await process.wait()


async def answers(port: str) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", int(port))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@pytest.mark.parametrize(("product", "kind"), [("persoon.v1", "csv"), ("hinder.v1", "rest")])
async def test_a_new_adapter_delivers_within_minutes(product: str, kind: str, tmp_path: Path) -> None:
    began = time.monotonic()
    await run(tmp_path, "adapter", "new", "mijn-bron", "--type", product, "--from", kind)
    readme = (tmp_path / "mijn-bron/README.md").read_text()
    async with sample_served(tmp_path, readme):
        commands = await delivered_as_told(tmp_path, readme)
    minutes = (time.monotonic() - began) / 60
    told = (
        f"{kind} to {product}: first delivered record after {minutes:.1f} minutes, {commands} commands, 0 lines by hand"
    )
    print(f"\n{told}")  # noqa: T201 - shown with `-s`
    assert minutes < MOST_MINUTES


async def delivered_as_told(tmp_path: Path, readme: str) -> int:
    """Do what the README says up to the first delivered record; gives the number of commands."""
    commands = [line.split("#")[0].split()[1:] for line in readme.splitlines() if line.startswith("    datanuts")]
    assert [command[0] for command in commands] == ["adapter", "up", "adapter", "agreement", "consume"]
    up = await asyncio.create_subprocess_exec(
        DATANUTS, "up", "--json", cwd=tmp_path, stdout=PIPE, stderr=DEVNULL, env=environment(tmp_path)
    )
    try:
        assert up.stdout is not None
        ready = json.loads(await asyncio.wait_for(up.stdout.readline(), 120))
        assert ready["ready"]
        assert "20" in await run(tmp_path, *commands[0])
        told = await run(tmp_path, *commands[2], "--json")
        assert json.loads(told.splitlines()[-1])["published"] == 20
        assert re.search(r"mijn-bron-proef version 1: active", await run(tmp_path, *commands[3]))
        shown: list[str] = []

        async def delivered() -> bool:
            shown[:] = (await run(tmp_path, *commands[4])).splitlines()
            return any(" initial " in line for line in shown)

        await wait_until(delivered, timeout=60, every=0.5)
    finally:
        up.send_signal(signal.SIGINT)
        await asyncio.wait_for(up.wait(), 60)
    return len(commands) + readme.count("\n    python3 ")
