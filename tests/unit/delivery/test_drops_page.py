"""What docs/drops.md promises names a test that exists, and shows commands that the command line takes."""

import re
import shlex
from pathlib import Path

import pytest

from broker.cli.main import parser
from broker.delivery.push_circuit import Failure

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "drops.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:unit|integration)/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 10
    assert [name for path, name in named if f"def {name}(" not in (ROOT / "tests" / path).read_text()] == []


@pytest.mark.parametrize("line", re.findall(r"^\$ datanuts (.*)$", PAGE, flags=re.MULTILINE))
def test_every_command_that_the_page_shows_is_one(line: str) -> None:
    words = shlex.split(line, comments=True)
    assert parser(words[0]).parse_args(words).command == "drop"


def test_every_failure_that_a_server_can_cause_is_explained() -> None:
    of_http = {Failure.CLIENT, Failure.GONE, Failure.REDIRECT, Failure.SERVER, Failure.TLS}
    assert [failure for failure in Failure if failure not in of_http and f"`{failure.value}`" not in PAGE] == []
