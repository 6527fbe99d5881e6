"""`datanuts raw push`: what a source's engineer sees of a file, and how one goes on after a failure."""

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from broker.cli import line_file
from broker.cli.raw_push import Part, parts
from broker.errors import Invalid, KafkaUnavailable
from tests.unit.api import stand_ins
from tests.unit.api.conftest import World
from tests.unit.cli.conftest import Run

CANARY = "84621512345"


@pytest.fixture
def topic(world: World) -> stand_ins.RawIntake:
    made, app = stand_ins.RawIntake(), world.http._transport.app
    app.state.services = replace(app.state.services, raw_intake=made)
    return made


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(parts, "__defaults__", (10, 1 << 20))
    path = tmp_path / "wijzigingen.ndjson"
    path.write_text("".join(f'{{"n": {number}}}\n' for number in range(25)))
    return path


def push(run: Run, file: object, *more: str) -> int:
    return run("raw", "push", "rijksregister", "personen", str(file), *more)


def lines(topic: stand_ins.RawIntake) -> list[bytes]:
    return [line for _, piece in topic.written for line in piece.taken]


def test_a_file_is_pushed_in_parts_with_a_key_each(
    run: Run, topic: stand_ins.RawIntake, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(run, file) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("25 accepted in ")
    assert lines(topic) == file.read_bytes().splitlines()
    keys = [pushed.key for pushed, _ in topic.written]
    (key,) = {each.rpartition("-")[0] for each in keys if each}
    assert keys == [f"{key}-0", f"{key}-1", f"{key}-2"]
    assert f"--key {key}" in shown.err
    topic.written.clear()
    assert push(run, file, "--key", "sleutel") == 0
    assert [pushed.key for pushed, _ in topic.written] == ["sleutel-0", "sleutel-1", "sleutel-2"]


def test_lines_that_are_not_taken_are_told_by_their_number(
    run: Run, topic: stand_ins.RawIntake, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text() + f"{CANARY}\n{{}}\n")
    assert push(run, file) == 1
    first, total = capsys.readouterr().out.splitlines()
    assert first == "line 26: invalid: this is JSON, but not one object [VALUE_NOT_OBJECT]"
    assert total.startswith("26 accepted, 1 invalid in ")
    assert CANARY.encode() not in b"".join(lines(topic))


def test_a_machine_gets_one_object_also_of_standard_input(
    run: Run, topic: stand_ins.RawIntake, file: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(file.read_bytes())))
    assert push(run, "-", "--json", "--key", "k") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["accepted"], told["invalid"], told["key"]) == (25, 0, "k")
    assert len(lines(topic)) == 25


def test_a_broker_that_is_away_for_a_moment_is_waited_for(
    run: Run, topic: stand_ins.RawIntake, file: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    topic.trouble = KafkaUnavailable("not now")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            topic.trouble = None

    monkeypatch.setattr(line_file.time, "sleep", pause)
    assert push(run, file) == 0
    assert "not now: trying again in 1 s" in capsys.readouterr().err
    topic.trouble = KafkaUnavailable("not now")
    assert push(run, file) == 2
    assert pauses == [1, 2, 1, 2, 4, 8]


def test_what_is_no_such_file_or_none_at_all_is_one_line(
    run: Run, topic: stand_ins.RawIntake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.bin").write_bytes(b"x" * (2 << 20))
    assert push(run, tmp_path / "absent", "--key", "k") == 1
    assert push(run, tmp_path / "x.bin", "--key", "k") == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert topic.written == []


def test_a_file_is_cut_alike_each_time() -> None:
    held = b"aa\nbb\nc\n\ndddd\nee"
    expected = [Part(0, b"aa\nbb\n", 0), Part(1, b"c\n\n", 2), Part(2, b"dddd\n", 4), Part(3, b"ee", 5)]
    assert list(parts(io.BytesIO(held), 2, 6)) == expected
    assert list(parts(io.BytesIO(b""))) == []
    with pytest.raises(Invalid, match="line 2 is longer"):
        list(parts(io.BytesIO(b"{}\n" + b"x" * (2 << 20))))
