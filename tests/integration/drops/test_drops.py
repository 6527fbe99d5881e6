"""Files of deliveries reach an agency's SFTP server: whole or not at all, each item at least once, and never after a stop."""

import asyncio
import signal
from io import BytesIO
from pathlib import Path

import asyncssh
import fastavro
import pytest

from broker.delivery.push_subscriptions import Start
from broker.errors import AddressRefused, Conflict, Invalid, NotFound
from broker.model.file_format import FileFormat
from broker.testing import wait_until
from tests.integration.drops.conftest import PATIENCE, Agency, dropping, ids, items, received
from tests.integration.drops.sftp import Server, Stop, listening
from tests.stage import Stage

pytestmark = pytest.mark.timeout(180)


async def test_files_come_whole_in_the_order_of_their_names(stage: Stage, agency: Agency, server: Server) -> None:
    wanted = await agency.deliver(20)
    async with dropping(stage):
        await agency.put_to(server)
        await received(server, wanted)
        wanted += await agency.deliver(5)
        await received(server, wanted)
        await agency.up_to_date()
    assert ids(server) == wanted
    assert len(server.files()) == 2, "a part was left, or a file came without anything new"
    assert items(server)[0]["data"]
    assert all(name.startswith(f"{agency.agreement}.0") for name in server.files())
    assert (server.root / "in" / server.files()[0]).stat().st_mode & 0o777 == 0o640
    health = (await agency.fares()).health
    assert (health.failures, health.failure) == (0, None)
    assert health.last_success is not None


async def test_a_drop_can_begin_now_and_a_change_brings_a_look_at_once(
    stage: Stage, agency: Agency, server: Server
) -> None:
    await agency.deliver(3)
    async with dropping(stage):
        await agency.put_to(server, Start.NOW)
        await agency.up_to_date()
        wanted = await agency.deliver(2)
        await agency.put_to(server)
        await received(server, wanted)
    assert ids(server) == wanted


async def test_what_waits_comes_in_files_of_bounded_length(stage: Stage, agency: Agency, server: Server) -> None:
    wanted = await agency.deliver(1203)
    async with dropping(stage, most=600):
        await agency.put_to(server)
        await received(server, wanted)
    assert ids(server) == wanted
    assert [server.read(name).count(b"\n") for name in server.files()] == [600, 600, 3]


async def test_an_avro_file_holds_one_egress_schema(stage: Stage, agency: Agency, server: Server) -> None:
    document = dict(stage.stack.site.control.state.agreements[agency.agreement].document)
    fewer = [each for each in document["fields"] if each["path"] != "naam.voornamen"]
    await stage.in_force(document | {"version": 2, "fields": fewer})
    wanted = await agency.deliver(3, version=2)
    await stage.in_force(document | {"version": 3})
    wanted += await agency.deliver(3, version=3)
    async with dropping(stage):
        await agency.put_to(server, format=FileFormat.AVRO)
        await wait_until(lambda: len(server.files(".avro")) > 1, timeout=PATIENCE)
        await agency.up_to_date()
    rows = [list(fastavro.reader(BytesIO(server.read(name)))) for name in server.files(".avro")]
    assert [row["id"] for file in rows for row in file if row["kind"] == "changed"] == wanted
    names = [{"voornamen" in row["data"]["naam"] for row in file if row["data"]} for file in rows]
    assert [each for each in names if each] == [{False}, {True}]


async def test_killed_between_the_name_and_the_commit_the_file_is_there_once(
    stage: Stage, agency: Agency, server: Server
) -> None:
    wanted = await agency.deliver(30)
    server.hook = stop = Stop("renamed")
    async with stage.router(command="drops") as worker:
        await agency.put_to(server)
        await asyncio.wait_for(stop.reached.wait(), PATIENCE)
        worker.send(signal.SIGKILL)
        await worker.ended()
    (name,) = server.files()
    place = server.root / "in" / name
    before = (place.read_bytes(), place.stat().st_ino)
    stop.released.set()
    async with stage.router(command="drops"):
        await agency.up_to_date()
        wanted += await agency.deliver(2)
        await received(server, wanted)
    assert ids(server) == wanted, "items came twice"
    assert (place.read_bytes(), place.stat().st_ino) == before, "the file was written again"
    assert len(server.files()) == 2


async def test_killed_before_the_name_the_same_file_is_written_though_more_has_come(
    stage: Stage, agency: Agency, server: Server
) -> None:
    wanted = await agency.deliver(30)
    server.hook = stop = Stop("rename")
    async with stage.router(command="drops") as worker:
        await agency.put_to(server)
        await asyncio.wait_for(stop.reached.wait(), PATIENCE)
        worker.send(signal.SIGKILL)
        await worker.ended()
    (part,) = server.files()
    written = server.read(part)
    wanted += await agency.deliver(10)
    async with stage.router(command="drops"):
        await received(server, wanted)
    assert server.read(server.files()[0]) == written
    assert ids(server) == wanted
    assert server.files(".part") == []


async def test_a_file_of_that_name_that_is_not_whole_is_replaced(stage: Stage, agency: Agency, server: Server) -> None:
    wanted = await agency.deliver(30)
    server.hook = stop = Stop("renamed")
    async with stage.router(command="drops") as worker:
        await agency.put_to(server)
        await asyncio.wait_for(stop.reached.wait(), PATIENCE)
        worker.send(signal.SIGKILL)
        await worker.ended()
    (name,) = server.files()
    whole = server.read(name)
    (server.root / "in" / name).write_bytes(whole[:100])
    async with dropping(stage):
        await wait_until(lambda: server.read(name) == whole, timeout=PATIENCE)
        await agency.up_to_date()
    assert ids(server) == wanted


async def test_killed_in_the_middle_nothing_is_lost_and_no_part_stays(
    stage: Stage, agency: Agency, server: Server
) -> None:
    wanted = await agency.deliver(1200)
    server.hook = stop = Stop("write", nth=2)
    async with stage.router(command="drops") as worker:
        await agency.put_to(server)
        await asyncio.wait_for(stop.reached.wait(), PATIENCE)
        worker.send(signal.SIGKILL)
        await worker.ended()
    assert server.files(".part") == server.files(), "a reader could see half a file"
    stop.released.set()
    async with stage.router(command="drops"):
        await received(server, wanted)
        await agency.up_to_date()
    assert ids(server) == wanted
    assert server.files(".part") == []


async def test_no_file_about_a_subject_appears_once_a_revocation_has_returned(
    stage: Stage, agency: Agency, server: Server
) -> None:
    await agency.deliver(1200)
    server.hook = stop = Stop("write", nth=2)
    async with dropping(stage, drop_timeout_s=60):
        await agency.put_to(server)
        await asyncio.wait_for(stop.reached.wait(), PATIENCE)
        await stage.stack.services.agreements.revoke(agency.agreement, "rijksregister")
        assert server.files(".ndjson") == []
        stop.released.set()
        await agency.up_to_date()
        await wait_until(lambda: server.files(".part") == [], timeout=PATIENCE)
    found = items(server)
    assert {(item["kind"], item["reason"]) for item in found} == {("life-cycle", "REVOKED")}


async def test_a_file_that_is_written_but_has_no_name_yet_gets_none_after_a_revocation(
    stage: Stage, agency: Agency, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = await agency.deliver(3)
    drops, written, revoked = agency.drops, asyncio.Event(), asyncio.Event()
    positions = drops.positions.__class__
    save = positions.save

    async def slow(self: object, group: str, topic: str, offset: int, note: str) -> None:
        await save(self, group, topic, offset, note)  # type: ignore[arg-type]
        if '"written"' in note:
            written.set()
            await revoked.wait()

    monkeypatch.setattr(positions, "save", slow)
    async with dropping(stage):
        await agency.put_to(server)
        await asyncio.wait_for(written.wait(), PATIENCE)
        assert len(server.files(".part")) == 1, "there is nothing to hold back"
        await stage.stack.services.agreements.revoke(agency.agreement, "rijksregister")
        revoked.set()
        await agency.up_to_date()
        await wait_until(lambda: server.files(".part") == [], timeout=PATIENCE)
    assert wanted
    assert ids(server) == []


async def test_a_suspension_holds_what_waits_and_it_comes_after_the_resumption(
    stage: Stage, agency: Agency, server: Server
) -> None:
    agreements = stage.stack.services.agreements
    async with dropping(stage):
        await agency.put_to(server)
        wanted = await agency.deliver(3)
        await received(server, wanted)
        await agreements.suspend(agency.agreement, "rijksregister")
        files = server.files()
        wanted += await agency.deliver(3)
        await agency.put_to(server)  # would bring a look at once
        await stage.stack.site.control.read_to_head()
        connections = server.connections
        await asyncio.sleep(0)
        assert server.files() == files
        await agreements.resume(agency.agreement, "rijksregister")
        await received(server, wanted)
        assert server.connections > connections
    assert ids(server) == wanted
    assert {item["reason"] for item in items(server) if item["kind"] == "life-cycle"} == {"SUSPENDED"}


async def test_a_hung_server_delays_nobody_else(stage: Stage, agency: Agency, other: Agency, server: Server) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    connected = asyncio.Event()
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as hung, dropping(stage):
        await agency.deliver(3)
        await agency.put_to(server, port=hung.sockets[0].getsockname()[1])
        await asyncio.wait_for(connected.wait(), PATIENCE)
        wanted = await other.deliver(3)
        await other.put_to(server)
        await received(server, wanted)
        await agency.failed_as("TIMED_OUT")
    assert ids(server) == wanted


async def test_a_server_that_hangs_in_a_file_is_given_up_and_the_file_comes_later(
    stage: Stage, agency: Agency, server: Server
) -> None:
    wanted = await agency.deliver(3)
    server.hook = stop = Stop("write")
    async with dropping(stage):
        await agency.put_to(server)
        await agency.failed_as("TIMED_OUT")
        assert server.files(".ndjson") == []
        stop.released.set()
        await received(server, wanted)
        await agency.up_to_date()
    assert ids(server) == wanted
    assert server.files(".part") == []


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_another_host_key_is_refused_before_anything_is_sent(
    stage: Stage, agency: Agency, server: Server, kind: str
) -> None:
    await agency.deliver(1)
    foreign = asyncssh.generate_private_key(kind).export_public_key().decode()
    async with dropping(stage):
        await agency.put_to(server, host_key=foreign)
        await agency.failed_as("HOST_KEY_MISMATCH")
        assert await agency.drops.test(agency.agreement, agency.name) == "HOST_KEY_MISMATCH"
    assert server.files() == []


async def test_a_server_that_does_not_admit_the_key_or_lacks_the_folder_says_so(agency: Agency, server: Server) -> None:
    test = agency.drops.test
    await agency.put_to(server)
    admitted, server.admitted = server.admitted, set()
    assert await test(agency.agreement, agency.name) == "LOGIN_REFUSED"
    server.admitted = admitted
    assert await test(agency.agreement, agency.name) is None
    assert server.files() == [], "the test file was left"
    await agency.put_to(server, directory="elders")
    assert await test(agency.agreement, agency.name) == "NO_SUCH_DIRECTORY"
    (server.root / "in").rename(server.root / "weg")
    await server.down()
    try:
        assert await test(agency.agreement, agency.name) == "CONNECT_FAILED"
    finally:
        await server.up()


async def test_a_full_disk_leaves_nothing_behind_and_the_file_comes_when_there_is_room(
    stage: Stage, agency: Agency, server: Server
) -> None:
    async def full(step: str) -> None:
        if step == "write":
            raise asyncssh.SFTPFailure("No space left on device, says a server whose words nobody keeps")

    wanted = await agency.deliver(3)
    server.hook = full
    async with dropping(stage):
        await agency.put_to(server)
        await agency.failed_as("WRITE_REFUSED")
        assert server.files(".ndjson") == []
        assert "No space" not in repr(await agency.fares())

        async def fine(_step: str) -> None:
            return

        server.hook = fine
        await received(server, wanted)
        await agency.up_to_date()
    assert ids(server) == wanted
    assert server.files(".part") == []


async def test_a_server_without_atomic_replacement_gets_whole_files_too(
    stage: Stage, agency: Agency, tmp_path: Path
) -> None:
    wanted = await agency.deliver(3)
    async with listening(tmp_path / "plain", atomic=False) as plain, dropping(stage):
        await agency.put_to(plain)
        await received(plain, wanted)
        assert plain.files(".part") == []


async def test_an_address_inside_is_refused_when_set_and_at_every_connection(
    stage: Stage, agency: Agency, server: Server
) -> None:
    await agency.put_to(server)
    await agency.deliver(1)
    async with dropping(stage, drop_allow=""):
        await agency.failed_as("ADDRESS_REFUSED")
    assert server.connections == 0
    for host in ("10.0.0.1", "169.254.169.254", "localhost", "[::1]"):
        with pytest.raises(AddressRefused, match="host"):
            await agency.put_to(server, host=host)
    with pytest.raises(AddressRefused, match="port"):
        await agency.put_to(server, host="8.8.8.8", port=25)
    with pytest.raises(Invalid, match="hostKey"):
        await agency.put_to(server, host_key="ssh-ed25519 AAAA")


async def test_failing_too_long_suspends_and_resuming_goes_on_where_it_was(
    stage: Stage, agency: Agency, server: Server
) -> None:
    wanted = await agency.deliver(3)
    await agency.put_to(server)
    admitted, server.admitted = server.admitted, set()
    async with dropping(stage, drop_give_up_s=1):
        await wait_until(agency.stopped, timeout=PATIENCE)
        assert await agency.stopped() == "FAILING"
        server.admitted = admitted
        await agency.drops.resume(agency.agreement, agency.name, accept_loss=False)
        await received(server, wanted)
        assert ids(server) == wanted
        with pytest.raises(Conflict):
            await agency.drops.resume(agency.agreement, agency.name, accept_loss=False)


async def test_an_expired_position_is_for_the_agency_to_decide(stage: Stage, agency: Agency, server: Server) -> None:
    await agency.deliver(3)
    await agency.put_to(server)
    await agency.empty()
    wanted = await agency.deliver(2)
    async with dropping(stage):
        await wait_until(agency.stopped, timeout=PATIENCE)
        assert await agency.stopped() == "POSITION_EXPIRED"
        assert server.files() == []
        await agency.drops.resume(agency.agreement, agency.name, accept_loss=True)
        await received(server, wanted)


async def test_what_is_removed_gets_nothing_more(stage: Stage, agency: Agency, server: Server) -> None:
    async with dropping(stage):
        await agency.put_to(server)
        wanted = await agency.deliver(2)
        await received(server, wanted)
        await agency.drops.remove(agency.agreement, agency.name)
        with pytest.raises(NotFound):
            await agency.fares()
        more = await agency.deliver(2)
        await agency.put_to(server)
        await received(server, more)
    assert set(ids(server)) == {*wanted, *more}
