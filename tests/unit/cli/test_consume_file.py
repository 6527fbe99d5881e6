"""`datanuts consume --output`: a file is whole or not there, an interrupted one goes on, and a later run adds the next."""

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest

from broker.cli import client
from broker.cli.consume_file import held_blocks, held_lines
from tests.unit.api.conftest import World
from tests.unit.cli.conftest import Run

Save = Callable[..., dict[str, Any]]


@pytest.fixture
def save(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Save:
    """Save to `name`; the summary, or the problem, as an object."""

    def saved(name: str, *options: str, code: int = 0) -> dict[str, Any]:
        kind = "avro" if name.endswith(".avro") else "ndjson"
        command = ("consume", "parkeren", "--as", "gent-parkeren", "--output", str(tmp_path / name), "--format", kind)
        assert run(*command, "--json", *options) == code
        return json.loads(capsys.readouterr().out)

    return saved


def names(path: Path) -> list[str]:
    if path.suffix == ".avro":
        with path.open("rb") as file:
            return [next(iter(row["data"].values())) for row in fastavro.reader(file)]
    return [json.loads(line)["data"]["achternaam"] for line in path.read_bytes().splitlines()]


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Break off every download after so many bytes, until told otherwise."""
    given, sizes = client.Client.download, [None]

    def broken(pieces: bytes) -> Iterator[bytes]:
        yield pieces
        raise httpx.RemoteProtocolError("peer closed connection")

    @contextmanager
    def download(self: client.Client, path: str, **query: int | str) -> Iterator[httpx.Response]:
        with given(self, path, **query) as response:
            if sizes[0] is not None:
                came = response.read()[: sizes[0]]
                response.iter_bytes = lambda: broken(came)  # type: ignore[method-assign]
            yield response

    monkeypatch.setattr(client.Client, "download", download)
    return lambda size: sizes.__setitem__(0, size)


@pytest.mark.parametrize("suffix", ["ndjson", "avro"])
def test_a_run_writes_what_is_there_and_the_next_one_what_came_since(
    world: World, save: Save, tmp_path: Path, suffix: str
) -> None:
    world.deliver(*"abc")
    told = save(f"a.{suffix}")
    assert told["files"] == [
        {"file": str(tmp_path / f"a.{suffix}"), "items": 3, "bytes": (tmp_path / f"a.{suffix}").stat().st_size}
    ]
    assert names(tmp_path / f"a.{suffix}") == list("abc")
    assert (tmp_path / f"a.{suffix}.cursor").read_text() == f"{told['next']}\n"
    assert save(f"a.{suffix}", "--resume")["files"] == []
    world.deliver("d")
    (file,) = save(f"a.{suffix}", "--resume")["files"]
    assert names(tmp_path / f"a-2.{suffix}") == ["d"]
    assert file["items"] == 1
    assert sorted(path.name for path in tmp_path.glob("a*")) == [
        f"a-2.{suffix}", f"a-2.{suffix}.cursor", f"a.{suffix}", f"a.{suffix}.cursor",
    ]  # fmt: skip
    for path in tmp_path.glob("a*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("suffix", ["ndjson", "avro"])
@pytest.mark.parametrize("size", [10, 700, 1200, 1650])
def test_an_interrupted_run_leaves_no_file_and_is_gone_on_with(
    world: World, save: Save, tmp_path: Path, cut: Callable[[Any], None], suffix: str, size: int
) -> None:
    world.deliver(*"abcd")
    cut(size)
    whole = tmp_path / f"a.{suffix}"
    assert save(whole.name, code=2)["code"] == "BROKER_UNAVAILABLE"
    assert not whole.exists()
    assert save(whole.name, code=1)["code"] == "INVALID"
    cut(None)
    (file,) = save(whole.name, "--resume")["files"]
    assert (names(whole), file["items"]) == (list("abcd"), 4)


def test_another_schema_begins_another_avro_file(world: World, save: Save, tmp_path: Path) -> None:
    world.deliver(*"abc")
    message = world.deliveries.messages.pop()
    value = message.value[:4] + bytes([world.entry("jeugd").egress_schema_id or 0]) + message.value[5:]
    world.deliveries.messages.append(type(message)(message.offset, message.key, value, message.headers))
    assert [file["items"] for file in save("a.avro")["files"]] == [2, 1]
    assert (names(tmp_path / "a.avro"), names(tmp_path / "a-2.avro")) == (["a", "b"], ["c"])


def test_an_empty_stream_gives_an_empty_file(save: Save, tmp_path: Path) -> None:
    for name in ("a.ndjson", "a.avro"):
        assert [file["items"] for file in save(name)["files"]] == [0]
        assert names(tmp_path / name) == []


def test_an_expired_place_is_told_and_nothing_is_written(world: World, save: Save, tmp_path: Path) -> None:
    world.deliver(*"abc")
    save("a.ndjson")
    world.deliveries.messages.clear()
    world.deliveries.first = 20
    assert save("a.ndjson", "--resume", code=1)["code"] == "POSITION_EXPIRED"
    assert list(tmp_path.glob("a-2*")) == []


@pytest.mark.parametrize(
    "options", ["--max 3", "--follow", "--after x --since 2026-11-26T06:00:00Z", "--since 2026-11-26T06:00:00"]
)
def test_options_that_contradict_a_file(run: Run, tmp_path: Path, options: str) -> None:
    command = ("consume", "parkeren", "--as", "gent-parkeren", "--output", str(tmp_path / "a"))
    try:
        code = run(*command, *options.split())
    except SystemExit as wrong:
        code = wrong.code
    assert code in {1, 64}
    assert list(tmp_path.glob("a*")) == []


def test_a_place_that_cannot_be_written_is_told(world: World, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    assert save("absent/a.ndjson", code=2)["code"] == "CONFIG"
    world.deliver("a")

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in save("a.ndjson", code=2)["detail"]


def test_options_of_a_file_need_one(run: Run) -> None:
    assert run("consume", "parkeren", "--as", "gent-parkeren", "--format", "avro") == 1
    assert run("consume", "parkeren", "--as", "gent-parkeren", "--resume") == 1


@pytest.mark.parametrize("kind", ["ndjson", "avro"])
def test_whatever_is_cut_the_whole_part_is_found(world: World, save: Save, tmp_path: Path, kind: str) -> None:
    world.deliver(*"abc")
    save(f"a.{kind}")
    whole = (tmp_path / f"a.{kind}").read_bytes()
    held_of = held_lines if kind == "ndjson" else held_blocks
    part = tmp_path / "part"
    found = []
    for size in range(0, len(whole) + 1, 7):
        part.write_bytes(whole[:size])
        with part.open("rb") as file:
            held = held_of(file)
        assert held.size <= size
        found.append(held.items)
    assert found == sorted(found)
    with (tmp_path / f"a.{kind}").open("rb") as file:
        assert held_of(file).size == len(whole)
