"""The parts a local stack is made of: a real server on loopback, and children that live as long as it does."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from broker.cli.processes import Supervised, served
from broker.errors import ConfigError
from broker.testing import wait_until

SLEEPER = [sys.executable, "-c", "import os,time; print(os.getpid(), flush=True); time.sleep(600)"]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().splitlines()] if log.exists() else []


async def test_a_server_answers_while_the_block_lasts() -> None:
    app = FastAPI()
    app.add_api_route("/hello", lambda: {"hello": "there"})
    async with served(app) as url, httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/hello")).json() == {"hello": "there"}
        with pytest.raises(ConfigError):
            async with served(app, int(url.rsplit(":", 1)[1])):
                pass
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{url}/hello")


async def test_a_child_that_dies_is_started_again_and_ends_with_the_block(tmp_path: Path) -> None:
    log, ends = tmp_path / "child.log", []
    async with Supervised(SLEEPER, log, report=ends.append) as child:
        first = (await wait_until(lambda: pids(log)))[0]
        os.kill(first, signal.SIGKILL)
        second = (await wait_until(lambda: pids(log)[1:]))[0]
        assert ends == [-signal.SIGKILL]
        assert child.pid == second
    assert not alive(second)


async def test_a_stopped_child_ends_with_the_block_too(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    async with Supervised(SLEEPER, log):
        pid = (await wait_until(lambda: pids(log)))[0]
        os.kill(pid, signal.SIGSTOP)
    assert not alive(pid)


async def test_no_child_outlives_a_killed_parent(tmp_path: Path, unique: Callable[[str], str]) -> None:
    log = tmp_path / f"{unique('child')}.log"
    program = (
        "import asyncio,sys; from pathlib import Path; from broker.cli.processes import Supervised\n"
        "async def main():\n"
        "    async with Supervised([sys.executable, '-c', sys.argv[2]], Path(sys.argv[1])):\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(log), SLEEPER[2])
    pid = (await wait_until(lambda: pids(log)))[0]
    parent.kill()
    await parent.wait()
    await wait_until(lambda: not alive(pid))
