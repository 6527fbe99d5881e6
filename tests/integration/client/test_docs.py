"""docs/client.md, run as an agency's engineer would: its programs are copied, and only address and agreement are put in."""

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.testing import wait_until
from tests.integration.client.conftest import Office

ROOT = Path(__file__).parents[3]
PROGRAMS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs" / "client.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
)
FIRST, SQL, TYPED, KAFKA = PROGRAMS
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def running(program: str, office: Office, agreement: str, folder: Path) -> AsyncIterator[Path]:
    """The program, in a file of `folder`, until the block ends; gives where its output goes."""
    text = program.replace('"inwoners-gent"', f'"{agreement}"').replace("https://broker.example", office.url)
    text = text.replace('"kafka.broker.example:9093"', f'"{office.stage.stack.connection.kafka}"')
    own = office.credential
    text = text.replace('username="stad-gent"', f'username="{own["kafka_username"]}", protocol="SASL_PLAINTEXT"')
    (folder / "program.py").write_text(text)
    environment = {
        **os.environ,
        "DATANUTS_TOKEN": own["token"],
        "DATANUTS_KAFKA_PASSWORD": own["kafka_password"],
        "PYTHONUNBUFFERED": "1",
    }
    output = folder / "output"
    with output.open("a") as lines:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "program.py", cwd=folder, env=environment, stdout=lines, stderr=lines
        )
    try:
        yield output
        assert process.returncode is None, output.read_text()[-2000:]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def lines(output: Path) -> list[str]:
    return output.read_text().splitlines()


def test_the_first_record_takes_at_most_ten_lines() -> None:
    assert len([line for line in FIRST.splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("program", [FIRST, KAFKA], ids=["http", "kafka"])
async def test_the_program_prints_every_inhabitant(
    office: Office, agreement: str, tmp_path: Path, program: str
) -> None:
    people = await office.publish(3)
    names = {person["naam"]["achternaam"] for person in people}
    async with running(program, office, agreement, tmp_path) as output:
        await wait_until(lambda: all(name in output.read_text() for name in names), timeout=60)
        assert {line.split()[0] for line in lines(output)} == {"initial"}


async def test_a_killed_program_leaves_data_and_position_as_one(office: Office, agreement: str, tmp_path: Path) -> None:
    def held() -> tuple[int, int]:
        with sqlite3.connect(tmp_path / "people.db") as database:
            (people,) = database.execute("select count(*) from person").fetchone()
            recent = database.execute("select json_array_length(recent) from position").fetchone()
        database.close()
        return people, recent[0] if recent else 0

    await office.publish(3)
    async with running(SQL, office, agreement, tmp_path) as output:
        await wait_until(lambda: len(lines(output)) >= 3, timeout=60)
    assert held()[0] >= 3
    assert len(set(held())) == 1
    await office.publish(1)
    before = len(lines(output))
    async with running(SQL, office, agreement, tmp_path) as output:
        await wait_until(lambda: len(lines(output)) > before, timeout=60)
    assert len(set(held())) == 1


async def test_generated_models_read_what_is_delivered(office: Office, agreement: str, tmp_path: Path) -> None:
    people = await office.publish(2)
    made = await asyncio.to_thread(
        subprocess.run,
        [BIN / "datanuts", "client", "generate", agreement, "--url", office.url, "--output", "inwoners_gent.py"],
        cwd=tmp_path,
        env={**os.environ, "DATANUTS_TOKEN": office.credential["token"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    async with running(TYPED, office, agreement, tmp_path) as output:
        for person in people:
            await wait_until(lambda name=person["naam"]["achternaam"]: f"initial {name}" in lines(output), timeout=60)  # type: ignore[misc]
