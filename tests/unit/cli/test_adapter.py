"""`datanuts adapter` as far as it needs no Kafka."""

import json
from pathlib import Path

import pytest

from broker.cli.main import main

SYNTHETIC = "synthetic:seed=1&people=30&enterprises=5&roadworks=5"


def test_the_adapters_are_listed_with_their_products(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapter", "list", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["name"] for line in listed] == [
        "basisregisters",
        "bestuurseenheden",
        "example",
        "ipdc",
        "ldes",
        "magda",
        "mandatarissen",
        "synthetic",
    ]
    assert listed[5]["sources"]["vestiging.v1"] == "kbo"
    assert len(listed[5]["sources"]) == 8
    assert main(["adapter", "list"]) == 0
    assert "persoon.v1 of rijksregister" in capsys.readouterr().out.replace("\n", " ")


def test_a_check_reads_everything_and_needs_no_installation(tmp_path: Path, capsys) -> None:
    command = ["adapter", "check", "synthetic", "--source", SYNTHETIC, "--data-dir", str(tmp_path / "none")]
    assert main([*command, "--json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    counts = {"read": 40, "published": 40, "duplicate": 0, "deleted": 0}
    assert json.loads(line) == {**counts, "ignored": {}, "quarantined": {}}
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[0] == "40 read"
    assert not (tmp_path / "none").exists()


def test_a_check_shows_why_items_are_not_published(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.xml").write_text("<a>")
    (tmp_path / "b.xml").write_text("<html/>")
    assert main(["adapter", "check", "magda", "--source", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for words in ("quarantined  XML_MALFORMED  1", "ignored      NOT_AN_ANSWER  1"):
        assert words in shown


def test_what_cannot_be_run_is_one_clear_line(tmp_path: Path, capsys) -> None:
    for name, source, told in (
        (
            "nergens",
            "x",
            "there are basisregisters, bestuurseenheden, example, ipdc, ldes, magda, mandatarissen, synthetic",
        ),
        ("magda", str(tmp_path / "absent"), "no folder, file or URL"),
        ("synthetic", "people=veel", "whole numbers"),
    ):
        assert main(["adapter", "check", name, "--source", source]) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert told in line


@pytest.mark.parametrize("line", ["", "run magda", "run --source x", "run magda --source x --every 0", "check magda"])
def test_wrong_usage_ends_with_64(line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["adapter", *line.split()])
    assert ended.value.code == 64
