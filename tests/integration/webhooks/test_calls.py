"""One call to servers of every kind, over real sockets: bounded in time and bytes, and private to the name it was meant for."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.delivery.egress_guard import AllowList, EgressGuard
from broker.delivery.push_circuit import Failure
from broker.delivery.webhook_calls import MOST_ANSWERED, Limits, Outcome, Receiver
from broker.delivery.webhook_event import Call
from broker.errors import Stale

NAME = "hook.agentschap.be"
CALL = Call("d1", b'{"specversion":"1.0"}')
QUICK = Limits(total=2.0, connect=1.0, between=1.0, rest=0.3)
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await listening.wait_closed()


async def asked(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(len(CALL.body))


def says(answer: bytes) -> Answer:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(answer)
        await writer.drain()

    return serve


@asynccontextmanager
async def receiver(trust: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    async def resolve(_host: str) -> Sequence[str]:
        return ["127.0.0.1"]

    guard = EgressGuard(AllowList.parse(f"127.0.0.1,{NAME}"), resolve)
    made = Receiver(guard, trust or ssl.create_default_context(), QUICK, lambda: datetime.now(UTC))
    try:
        yield made
    finally:
        await made.close()


async def at_once() -> None:
    pass


async def outcome(answer: Answer, path: str = "/") -> Outcome:
    async with server(answer) as port, receiver() as made:
        return await made.call(f"http://127.0.0.1:{port}{path}", CALL, [b"k"], at_once)


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def trickle(piece: bytes, first: bytes = b"") -> Answer:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(first)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.1)

    return serve


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (hang, Failure.TIMEOUT),
        (trickle(b"x", b"HTTP/1.1 200 OK\r\nX: "), Failure.TIMEOUT),
        (trickle(b"HTTP/1.1 103 Early Hints\r\n\r\n"), Failure.TIMEOUT),
        (trickle(b"x", b"HTTP/1.1 500 X\r\nContent-Length: 100000\r\n\r\n"), Failure.SERVER),
        (says(b""), Failure.PROTOCOL),
        (says(b"SSH-2.0-OpenSSH\r\n"), Failure.PROTOCOL),
        (says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000), Failure.PROTOCOL),
        (says(b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), Failure.REDIRECT),
        (says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz"), None),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), None),
        (trickle(b"1\r\nx\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), None),
    ],
)  # fmt: skip
async def test_every_kind_of_server_ends_in_an_outcome(answer: Answer, failure: Failure | None) -> None:
    assert (await outcome(answer)).failure == failure


async def test_a_server_that_reads_a_byte_a_second_is_cut_off() -> None:
    let_go = asyncio.Event()

    async def read_slowly(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await let_go.wait()

    async with server(read_slowly) as port, receiver() as made:
        large = Call("d1", bytes(16_000_000))
        done = await made.call(f"http://127.0.0.1:{port}/", large, [b"k"], at_once)
        let_go.set()
    assert done.failure is Failure.TIMEOUT


async def test_nobody_listening_and_a_bad_address_are_told_apart() -> None:
    async with server(hang) as port:
        pass
    async with receiver() as made:
        assert (await made.call(f"http://127.0.0.1:{port}/", CALL, [b"k"], at_once)).failure is Failure.CONNECT
        assert (await made.call("http://127.0.0.2/", CALL, [b"k"], at_once)).failure is Failure.ADDRESS


async def test_an_answer_is_read_no_further_than_needed() -> None:
    written = 0
    ended = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 10_000)
                written += 10_000
                await writer.drain()
        finally:
            ended.set()

    assert (await outcome(flood)).failure is None
    await asyncio.wait_for(ended.wait(), 30)
    assert written < MOST_ANSWERED + 16_000_000, "beyond what the sockets' buffers hold, somebody read on"


async def test_no_cookie_and_no_proxy_and_one_connection_for_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    requests, connections = [], 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            requests.append((await asked(reader)).lower())
            writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()

    async with server(serve) as port, receiver() as made:
        for _ in range(3):
            assert (await made.call(f"http://127.0.0.1:{port}/", CALL, [b"k"], at_once)).failure is None
    assert (len(requests), connections) == (3, 1)
    assert all(b"cookie" not in request and b"\r\naccept-encoding: identity\r\n" in request for request in requests)


async def test_what_may_not_begin_sends_nothing_although_the_connection_stands() -> None:
    arrived: list[bytes] = []
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.read())
        closed.set()

    async def stale() -> None:
        raise Stale

    async with server(serve) as port, receiver() as made:
        with pytest.raises(Stale):
            await made.call(f"http://127.0.0.1:{port}/", CALL, [b"k"], stale)
        await asyncio.wait_for(closed.wait(), 30)
    assert arrived == [b""]


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of its own for `name`, and that certificate."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, nothing = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / f"{name}.pem"
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, nothing)
    path.write_bytes(private + certificate.public_bytes(encoding))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    public = folder / f"{name}.crt"
    public.write_bytes(certificate.public_bytes(encoding))
    return context, public


@pytest.mark.parametrize(
    ("certificate", "trusted", "failure"),
    [(NAME, True, None), ("other.agentschap.be", True, Failure.TLS), (NAME, False, Failure.TLS)],
)
async def test_the_certificate_must_be_the_names_although_the_address_is_connected_to(
    tmp_path: Path,
    certificate: str,
    trusted: object,
    failure: Failure | None,
) -> None:
    context, public = certified(tmp_path, certificate)
    named: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: named.append(name)
    hosts: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hosts.append(next(line for line in (await asked(reader)).splitlines() if line.lower().startswith(b"host:")))
        writer.write(b"HTTP/1.1 204 X\r\n\r\n")
        await writer.drain()

    trust = ssl.create_default_context(cafile=public if trusted else None)
    async with server(serve, context) as port, receiver(trust) as made:
        done = await made.call(f"https://{NAME}:{port}/in", CALL, [b"k"], at_once)
    assert done.failure == failure
    assert named == [NAME]
    assert hosts == ([] if failure else [b"Host: " + f"{NAME}:{port}".encode()])
