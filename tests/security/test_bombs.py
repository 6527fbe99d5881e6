"""Hostile XML and Avro end as a reason, within a gigabyte of memory and little time, and without asking anybody."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.bombs import CPU_S, ROOT

pytestmark = pytest.mark.timeout(4 * CPU_S)

XML_S, AVRO_S = 8.0, 0.5
"""CPU seconds of one input."""


def outcomes(*arguments: str) -> dict[str, tuple[str, float]]:
    """Outcome and CPU seconds of each input, by name; the child came to its end."""
    command = [sys.executable, "-m", "tests.security.bombs", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3 * CPU_S, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len({name for name, *_ in lines}) == len(lines)
    return {name: (outcome, seconds) for name, outcome, seconds in lines}


def test_sixty_bombs_of_xml(tmp_path: Path) -> None:
    found = outcomes("xml", str(tmp_path))
    assert len(found) >= 60
    assert {name: seconds for name, (_, seconds) in found.items() if seconds > XML_S} == {}
    assert {name for name, (outcome, _) in found.items() if "PUBLISHED" in outcome or "CANARY" in outcome} == set()
    by_name = {name: outcome for name, (outcome, _) in found.items()}
    declared = {
        name for name in by_name if name.startswith(("laughs", "quadratic", "external", "parameter", "dtd", "utf-16"))
    }
    assert {name for name in declared if by_name[name] != "XML_FORBIDDEN"} <= {"dtd-unclosed"}
    for name in ("deep", "deeper", "deep-in-an-answer", "answers-in-answers", "many-elements", "too-many-attributes"):
        assert by_name[name] == "XML_TOO_LARGE", name
    assert by_name["attribute-of-100-mb"] == "DOCUMENT_TOO_LARGE"
    for name in ("utf-7", "utf-32", "encoding-unknown", "utf-8-cut", "utf-8-surrogate", "nul-bytes", "zip-bomb"):
        assert by_name[name] == "XML_MALFORMED", name


def test_four_hundred_seeds_of_avro() -> None:
    found = outcomes("avro")
    assert len(found) >= 400
    assert {name: seconds for name, (_, seconds) in found.items() if seconds > AVRO_S} == {}
    assert {name for name, (outcome, _) in found.items() if outcome == "ACCEPTED"} == set()
    refused = {name for name, (outcome, _) in found.items() if outcome != "CANONICAL"}
    assert len(refused) > 0.9 * len(found)
    certain = ("empty", "frame-only", "magic-wrong", "cut-", "trailing-", "only-", "count-2-40-first", "varint-endless")
    assert {name for name in found if name.split()[1].startswith(certain)} <= refused
