"""Mappings of XML, and of files on an SFTP server, pass the kit."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import asyncssh
import pytest

from adapters import mapped
from adapters.conformance.kit import Outcome, Verdict
from tests.contract.conformance.playing import SAMPLE, outcomes, played, schema_of
from tests.integration.drops.sftp import USER, Server

MAPPING = """\
adapter: werken
product: hinder.v1
organisation: stad-gent
id: nummer
source: %s
recordedAt: gewijzigd
fields:
  identificator: {template: "https://gent.example/id/hinder/{nummer}"}
  versie: {template: "https://gent.example/id/hinder/{nummer}/1"}
  omschrijving: omschrijving
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""


def passed(verdicts: dict[str, Verdict]) -> None:
    assert outcomes(verdicts, Outcome.BROKEN) | outcomes(verdicts, Outcome.NOT_TRIED) == {}
    assert len(outcomes(verdicts, Outcome.HELD)) >= 20


@pytest.mark.parametrize("http", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_mapping_of_xml(tmp_path: Path, http: bool) -> None:  # noqa: FBT001 - a test's parameter
    (tmp_path / "mapping.yaml").write_text(MAPPING % "{kind: xml, items: werk, timeout_s: 5}")
    rows = "\n".join(
        f"<werk><nummer>W-{number}</nummer><omschrijving>werken {number}</omschrijving>"
        "<gewijzigd>2026-01-05T08:00:00Z</gewijzigd></werk>"
        for number in range(20)
    )
    (tmp_path / "werken.xml").write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n<werken>\n{rows}\n</werken>\n')
    made = mapped.load_mapping(tmp_path, schema_of)
    build = lambda source: mapped.build(made, source)  # noqa: E731 - a factory
    passed(played(build, tmp_path / "werken.xml", tmp_path / "copies", "hinder.v1", http=http))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """In a thread of its own: the kit has a loop for each reading."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "sleutel").write_bytes(key.export_private_key())
    made = Server(tmp_path / "copies")
    made.admit(key.export_public_key().decode())
    asyncio.run_coroutine_threadsafe(made.up(), loop).result(30)
    yield made
    asyncio.run_coroutine_threadsafe(made.down(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_mapping_of_files_on_a_server(tmp_path: Path, server: Server) -> None:
    words = f"{{kind: csv, encoding: utf-8-sig, key: {{file: sleutel}}, host_key: '{server.host_key}'}}"
    (tmp_path / "mapping.yaml").write_text(MAPPING % words)
    made = mapped.load_mapping(tmp_path, schema_of)

    def build(source: str) -> mapped.Mapped:
        path = Path(source).relative_to(server.root).as_posix()
        return mapped.build(made, f"sftp://{USER}@127.0.0.1:{server.port}/{path}")

    passed(played(build, SAMPLE, tmp_path / "copies", "hinder.v1"))
