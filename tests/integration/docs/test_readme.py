"""The README's doors, run as a newcomer would: the demo stays up, every command is typed, every shown line is compared."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.testing import wait_until

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO, USUAL = ".datanuts/demo", "http://127.0.0.1:8080"
BIN = Path(sys.executable).parent
MOST_COMMANDS = 5

pytestmark = pytest.mark.timeout(400)


def doors() -> dict[str, str]:
    """Sections of the README that are doors, by title."""
    titled = re.split(r"^## ", README, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in titled if part.startswith(("Door", "Deur"))}


def typed(section: str) -> list[tuple[str, list[str]]]:
    """Commands of a section's console block, each with the lines it shows."""
    commands: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append((line[2:], []))
            else:
                commands[-1][1].append(line)
    return commands


def matches(shown: list[str], printed: str) -> bool:
    """Whether the printed text is what the README shows; … stands for anything, blanks at line ends are not looked at."""
    pattern = "\n".join(re.escape(line.rstrip()).replace("…", ".*?") for line in shown)
    text = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    return re.fullmatch(pattern, text, flags=re.DOTALL) is not None


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, str]]:
    """The demo, up; gives what to replace in the README's text to reach it."""
    home = tmp_path_factory.mktemp("readme") / "demo"
    log = home.parent / "demo.out"
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            BIN / "datanuts", "demo", "--data-dir", home, cwd=ROOT, stdout=output, stderr=output
        )
    try:
        await wait_until(lambda: process.returncode is not None or "Ctrl-C stops" in log.read_text(), timeout=300)
        assert process.returncode is None, log.read_text()[-2000:]
        yield {DEMO: str(home), USUAL: json.loads((home / "stack.json").read_text())["api"]}
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 60)


def here(text: str, demo: dict[str, str]) -> str:
    for written, actual in demo.items():
        text = text.replace(written, actual)
    return text


def test_there_are_four_doors_of_at_most_five_commands() -> None:
    assert len(doors()) == 4
    for title, section in doors().items():
        assert 1 <= len(typed(section)) <= MOST_COMMANDS, title


@pytest.mark.parametrize("title", list(doors()))
async def test_a_door_opens_as_the_readme_shows(title: str, demo: dict[str, str]) -> None:
    environment: dict[str, Any] = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "DATANUTS_DATA_DIR": demo[DEMO],
        "COLUMNS": "200",
    }
    script, expected = ["set -u"], []
    for number, (command, shown) in enumerate(typed(doors()[title])):
        script += [f"echo; echo '=== {number}'", here(command, demo)]
        expected.append((command, shown))
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", "\n".join(script)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    printed = re.split(r"^=== \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    for (command, shown), actual in zip(expected, printed, strict=True):
        assert matches(shown, actual), f"{command}\nshows\n{actual}"


async def test_the_ten_lines_of_python_print_every_inhabitant(demo: dict[str, str]) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", here(program, demo)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) > 100
    assert all("verblijfplaats" in line or "left-population" in line for line in lines)
