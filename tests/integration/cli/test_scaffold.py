"""From `adapter new` to the first delivered record, as the scaffold's own README says; prints the time with `-s`."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("product", ["persoon.v1", "hinder.v1"])
async def test_a_new_adapter_delivers_within_minutes(product: str, tmp_path: Path) -> None:
    began = time.monotonic()
    await run(tmp_path, "adapter", "new", "mijn-bron", "--type", product)
    readme = (tmp_path / "mijn-bron/README.md").read_text()
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
    minutes = (time.monotonic() - began) / 60
    print(f"\n{product}: first delivered record after {minutes:.1f} minutes, 5 commands, 0 lines written by hand")  # noqa: T201
    assert minutes < MOST_MINUTES
