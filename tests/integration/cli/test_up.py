"""`datanuts up` as an operator runs it: ready, used, stopped, started again; nothing is left behind."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import httpx
import pytest

from broker.client import Certificate
from broker.testing import wait_until
from tests.certificates import Pair

ROOT = Path(__file__).parents[3]
DATANUTS = Path(sys.executable).parent / "datanuts"

pytestmark = pytest.mark.timeout(180)


def from_root(home: Path) -> str:
    """As a person writes it; the parts of a stack work in other directories."""
    return os.path.relpath(home, ROOT)


async def started(home: Path) -> tuple[Process, dict[str, object]]:
    with (home.parent / "up.err").open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            DATANUTS, "up", "--data-dir", from_root(home), "--json", cwd=ROOT, stdout=PIPE, stderr=errors
        )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 90)
    return process, json.loads(line)


async def stopped(process: Process, how: signal.Signals) -> int:
    process.send_signal(how)
    return await asyncio.wait_for(process.wait(), 40)


async def run(home: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        DATANUTS, *arguments, "--data-dir", home, cwd=ROOT, stdout=PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def answer(url: object, shown: Certificate) -> int:
    """What the stack says to who shows a certificate."""
    async with httpx.AsyncClient(verify=shown.context(), trust_env=False, timeout=60) as http:
        return (await http.get(f"{url}/v1/credentials")).status_code


def left_behind(home: Path) -> list[int]:
    """Processes whose command line or working directory is in this data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if str(home) in (entry / "cmdline").read_text() or str((entry / "cwd").readlink()).startswith(
                    str(home)
                ):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")
async def test_a_stack_starts_stops_and_starts_again_with_what_it_knew(tmp_path: Path) -> None:
    home = tmp_path / "data"
    process, ready = await started(home)
    try:
        assert ready["lanes"] == 8
        code, told = await run(
            home, "agreement", "apply", "policies/agreements/inwoners-gent.yaml", "--as", "stad-gent"
        )
        assert (code, told.splitlines()[0]) == (0, "agreement inwoners-gent: done, version 1 requested")
        pair, place = Pair.made(), tmp_path / "app.pem"
        (tmp_path / "app.csr").write_text(pair.csr)
        code, told = await run(
            home, "credential", "issue", "--as", "stad-gent", "--csr", str(tmp_path / "app.csr"), "--out", str(place)
        )
        assert code == 0, told
        shown = Certificate(*pair.files(tmp_path, place.read_text()), ca=home / "tls" / "ca.pem")
        assert await answer(ready["https"], shown) == 200
        code, told = await run(home, "up")
        assert code == 2
        assert "runs on" in told
    finally:
        assert await stopped(process, signal.SIGINT) == 0
    await wait_until(lambda: not left_behind(home), timeout=10)
    code, told = await run(home, "agreement", "list")
    assert (code, "no broker runs on" in told) == (2, True)
    process, again = await started(home)
    try:
        assert (again["kafka"], again["kafka_tls"]) == (ready["kafka"], ready["kafka_tls"])
        assert await answer(again["https"], shown) == 200  # the authority and its server are the same
        code, told = await run(home, "agreement", "list", "--json")
        assert (code, json.loads(told)[0]["state"]) == (0, "requested")
    finally:
        assert await stopped(process, signal.SIGTERM) == 0
    await wait_until(lambda: not left_behind(home), timeout=10)


@pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")
async def test_a_stack_whose_kafka_died_ends_and_says_so(tmp_path: Path) -> None:
    home = tmp_path / "data"
    process, _ready = await started(home)
    nodes = [pid for pid in left_behind(home) if b"kafka.Kafka" in (Path("/proc") / str(pid) / "cmdline").read_bytes()]
    assert nodes
    for pid in nodes:
        os.kill(pid, signal.SIGKILL)
    assert await asyncio.wait_for(process.wait(), 90) == 2
    assert process.stdout is not None
    assert "the embedded Kafka ended" in json.loads(await process.stdout.read())["detail"]
    await wait_until(lambda: not left_behind(home), timeout=20)


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel ends children with their parent")
async def test_a_killed_stack_takes_its_parts_along(tmp_path: Path) -> None:
    home = tmp_path / "data"
    process, _ready = await started(home)
    process.kill()
    await process.wait()
    await wait_until(lambda: not left_behind(home), timeout=20)
