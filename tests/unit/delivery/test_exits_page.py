"""What docs/exits.md promises names a test that exists, and shows commands that the command line takes."""

import re
import shlex
from pathlib import Path

import pytest

from broker.cli.main import parser

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "exits.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:unit|integration|faults|contract|security)/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 30
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (file := ROOT / "tests" / path).exists() or (name and f"def {name}(" not in file.read_text())
    ]
    assert missing == []


@pytest.mark.parametrize("line", re.findall(r"^\$ datanuts (.*)$", PAGE, flags=re.MULTILINE))
def test_every_command_that_the_page_shows_is_one(line: str) -> None:
    words = shlex.split(line)
    assert parser(words[0]).parse_args(words).command == words[0]
