"""Files of an SFTP server are read as those of a folder are; a bad server is told apart from a bad file, and nothing leaks."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from adapters.file_drop import FileDrop
from adapters.mapped import build, load_mapping
from adapters.sdk import Broken
from broker.errors import BrokerError, Fatal, Invalid, MappingRefused, Retriable
from tests.integration.drops.sftp import USER, Server, listening, nothing
from tests.unit.adapters.test_csv_drop import HEAD, told, written
from tests.unit.adapters.wiring import schema

MAPPING = """\
adapter: werken
product: hinder.v1
organisation: stad-gent
source:
  kind: csv
  path: sftp://datanuts@127.0.0.1:%d/in
  key: {file: sleutel}
  host_key: %s
%s
id: nummer
recordedAt: {const: "2026-01-01T00:00:00Z"}
fields:
  identificator: {template: "https://gent.example/id/{nummer}"}
  versie: {template: "https://gent.example/id/{nummer}/1"}
  omschrijving: {from: omschrijving, trim: false}
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""
Make = Callable[..., FileDrop]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "sleutel").write_bytes(key.export_private_key())
    async with listening(tmp_path / "server") as made:
        made.admit(key.export_public_key().decode())
        yield made


@pytest.fixture
def folder(server: Server) -> Path:
    return server.root / "in"


@pytest.fixture
def adapter(server: Server, tmp_path: Path) -> Make:
    def make(words: str = "", more: str = "", host_key: str | None = None) -> FileDrop:
        text = MAPPING % (server.port, host_key or server.host_key, f"  {words}\n{more}" if words else more)
        (tmp_path / "mapping.yaml").write_text(text)
        made = build(load_mapping(tmp_path, schema), None)
        assert isinstance(made, FileDrop)
        return made

    return make


async def test_a_server_is_read_as_a_folder_is(folder, adapter, drain) -> None:
    for name in ("b.csv", "a.CSV", "d/c.txt", ".e.csv", "~$f.xlsx", "g.csv.part", "h.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        written(folder, name, HEAD + f"1;{name}\n")
    (folder / "i.csv").symlink_to(folder / "b.csv")
    (folder / "lus").symlink_to(folder)
    items = await drain(adapter())
    assert told(items) == ["a.CSV", "b.csv", "d/c.txt"]
    for number, (_, cursor) in enumerate(items, 1):
        assert told(await drain(adapter(), cursor)) == told(items)[number:]


async def test_what_was_read_is_not_read_again_and_what_is_new_is(folder, adapter, drain) -> None:
    cursor = None

    async def new() -> list[Any]:
        nonlocal cursor
        items = await drain(adapter(), cursor)
        cursor = items[-1][1] if items else cursor
        return told(items)

    written(folder, "b.csv", HEAD + "1;a\n")
    assert await new() == ["a"]
    written(folder, "b.csv", HEAD + "1;a\n2;b\n")
    assert await new() == ["b"], "a file that grew is read on"
    written(folder, "a.csv", HEAD + "0;z\n")
    assert await new() == ["z", "a", "b"], "late under an earlier name"
    written(folder, "b.csv", HEAD + "1;a\n2;c\n")
    assert await new() == ["a", "c"], "replaced"
    (folder / "a.csv").unlink()
    assert await new() == []


async def test_one_file_can_be_named_and_a_large_one_is_not_read(server, folder, adapter, drain) -> None:
    written(folder, "a.csv", HEAD + "1;a\n")
    written(folder, "b.csv", HEAD + "2;b\n" + "3;c\n" * 100)
    source = adapter("most_bytes: 100")
    assert told(await drain(source)) == ["a", "FILE_TOO_LARGE"]
    one = build(source.mapping, f"sftp://{USER}@127.0.0.1:{server.port}/in/a.csv")
    assert told(await drain(one)) == ["a"]


async def test_memory_and_temporary_files_stay_bounded(folder, adapter, tmp_path, monkeypatch) -> None:
    import tracemalloc  # noqa: PLC0415 - for this test only

    (tmp_path / "tijdelijk").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tijdelijk"))
    with (folder / "a.csv").open("w") as out:
        out.write(HEAD)
        out.writelines(f"{number};{'x' * 1000}\n" for number in range(6_000))
    read, names = 0, set[str]()
    tracemalloc.start()
    async for item, _ in adapter().changes(None):
        read += not isinstance(item, Broken)
        if read % 2_000 == 0:
            names.update(path.name for path in (tmp_path / "tijdelijk").iterdir())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == 6_000
    assert most < 5 << 20, "the file has 6 MB, and the server is in this process"
    assert names == set(), "nothing that a killed run leaves behind"


async def test_a_file_that_changes_while_it_is_copied_is_tried_again(server, folder, adapter, drain) -> None:
    written(folder, "a.csv", HEAD + "1;a\n")

    async def shorter(step: str) -> None:
        if step == "read":
            written(folder, "a.csv", HEAD)

    server.hook = shorter
    with pytest.raises(Retriable, match="changed while it was read"):
        await drain(adapter())
    written(folder, "a.csv", HEAD + "1;a\n")

    async def longer(step: str) -> None:
        if step == "read":
            written(folder, "a.csv", HEAD + "1;a\n2;b\n")

    server.hook = longer
    items = await drain(adapter())
    assert told(items) == ["a"], "as it was when it was listed"
    server.hook = nothing
    assert told(await drain(adapter(), items[-1][1])) == ["b"]
    written(folder, "a.csv", HEAD + "1;a\n")
    server.hook = longer
    with pytest.raises(Retriable, match="changed while it was read"):
        await drain(adapter(more="snapshot: true"))


async def test_a_snapshot_of_a_server(folder, adapter, drain) -> None:
    written(folder, "a.csv", HEAD + "1;a\n2;b\n")
    assert told(await drain(adapter(more="snapshot: true"))) == ["SnapshotBegins", "a", "b", "SnapshotEnds"]


@pytest.mark.parametrize("step", ["open", "read"])
async def test_a_connection_that_is_lost_is_tried_again(server, folder, adapter, drain, step) -> None:
    written(folder, "a.csv", HEAD + "1;a\n")

    async def lost(now: str) -> None:
        if now == step:
            raise asyncssh.SFTPConnectionLost("weg")

    server.hook = lost
    with pytest.raises(Retriable):
        await drain(adapter())
    await server.down()
    with pytest.raises(Retriable, match="cannot be read now"):
        await drain(adapter())


async def test_a_server_that_says_nothing_is_given_up(server, folder, adapter, drain) -> None:
    written(folder, "a.csv", HEAD + "1;a\n")
    released = asyncio.Event()

    async def silent(_step: str) -> None:
        await released.wait()

    server.hook = silent
    with pytest.raises(Retriable, match="said nothing for 1 s"):
        await drain(adapter("timeout_s: 1"))
    released.set()


async def test_another_host_key_is_fatal_and_a_refusal_says_what_to_do(server, folder, adapter, drain) -> None:
    written(folder, "janssens.csv", HEAD + "1;a\n")
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256"):
        other = asyncssh.generate_private_key(kind).export_public_key().decode().strip()
        with pytest.raises(Fatal, match="another host key"):
            await drain(adapter(host_key=other))
    server.admitted.clear()
    with pytest.raises(Invalid, match="does not admit this user"):
        await drain(adapter())


async def test_what_is_not_there_and_what_must_not_be_read(server, folder, adapter, drain, tmp_path) -> None:
    source = adapter()
    nowhere = build(source.mapping, f"sftp://{USER}@127.0.0.1:{server.port}/nergens")
    with pytest.raises(Invalid, match="no such folder"):
        await drain(nowhere)
    with pytest.raises(Invalid, match="no file that ends in"):
        await asyncio.to_thread(source.findings)  # the server is in this loop
    written(folder, "a.csv", "nummer;omschr\n")
    [finding] = await asyncio.to_thread(source.findings)
    assert (finding.path, "it has nummer, omschr" in finding.text) == ("omschrijving", True)

    async def denied(_step: str) -> None:
        raise asyncssh.SFTPPermissionDenied("nee")

    server.hook = denied
    with pytest.raises(Invalid, match="does not let this user read"):
        await drain(source)
    for text, expected in (("geen sleutel", "no private key of SSH"), ("", "no secret in the file sleutel")):
        (tmp_path / "sleutel").write_text(text)
        with pytest.raises(Invalid, match=expected):
            await drain(source)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("  key: {file: sleutel}\n", "", "entered with a key"),
        ("  key: {file: sleutel}\n", "  key: geheim\n", "`key`"),
        ("  host_key: ", "  # ", "server's public key as one line of OpenSSH"),
        ("  host_key: ", "  host_key: SHA256:", "server's public key as one line of OpenSSH"),
    ],
)
async def test_a_server_is_known_and_entered_by_keys_only(adapter, tmp_path, before, after, expected) -> None:
    adapter()
    text = (tmp_path / "mapping.yaml").read_text()
    (tmp_path / "mapping.yaml").write_text(text.replace(before, after))
    with pytest.raises(MappingRefused) as refused:
        build(load_mapping(tmp_path, schema), None)
    assert [found for found in refused.value.findings if expected in found[2] and "geheim" not in found[2]]


@pytest.mark.parametrize(
    "place", ["sftp://host/in", "sftp://u:geheim@host/in", "sftp://u@host:x/in", "sftp://u@/in", "sftp://u@host/in?x"]
)
def test_an_address_has_a_user_and_no_password(adapter, place) -> None:
    with pytest.raises(Invalid, match="without a password") as refused:
        build(adapter().mapping, place)
    assert "geheim" not in str(refused.value)


async def test_no_error_tells_of_a_name_a_user_or_a_key(server, folder, adapter, drain, tmp_path) -> None:
    written(folder, "janssens-84621512345.csv", HEAD + "1;a\n")
    told_of: list[str] = []

    async def failing(_step: str) -> None:
        raise asyncssh.SFTPFailure("kan janssens-84621512345.csv niet openen")

    async def noted() -> None:
        with pytest.raises(BrokerError) as failed:
            await drain(adapter())
        error: BaseException | None = failed.value
        while error is not None:
            told_of.append(f"{error!r} {error}" if isinstance(error, BrokerError) else "")
            error = error.__cause__

    server.hook = failing
    await noted()
    server.admitted.clear()
    await noted()
    await server.down()
    await noted()
    secret = (tmp_path / "sleutel").read_text().splitlines()[2]
    for text in told_of:
        assert not [word for word in ("janssens", "84621512345", secret, USER, "127.0.0.1") if word in text], text
