"""A client certificate in the subscriber: read once, said plainly where it cannot be used, never sent in the clear."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.client import Certificate, Kafka, Subscription
from broker.client.certificate import tls_refusal
from broker.control.server_certificate import ensure_server_certificate
from broker.errors import BrokerError, ConfigError, Unauthenticated
from tests.certificates import Pair, issued_by, stranger


@pytest.fixture
def shown(tmp_path: Path) -> Certificate:
    pair = Pair.made()
    return Certificate(*pair.files(tmp_path, issued_by(stranger(tmp_path), pair, "stad-gent~0f3c12ab")))


async def test_a_certificate_is_shown_over_https_only(shown) -> None:
    with pytest.raises(ConfigError, match="https"):
        async with Subscription("inwoners-gent", url="http://broker.example", token=shown):
            pass
    async with Subscription("inwoners-gent", url="https://broker.example", token=shown):
        pass


def test_kafka_takes_it_in_place_of_a_password(shown) -> None:
    login = Kafka("kafka.example:9094", certificate=shown).login()
    assert login["security_protocol"] == "SSL"
    assert login["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert not [name for name in login if name.startswith("sasl")]


@pytest.mark.parametrize("wrong", ["certificate", "key", "ca"])
def test_what_cannot_be_used_is_said_before_anybody_is_asked(shown, tmp_path, wrong) -> None:
    broken = tmp_path / "broken.pem"
    for text in (None, "geheim", Pair.made().key):
        if text is not None:
            broken.write_text(text)
        files = {"certificate": shown.certificate, "key": shown.key} | {wrong: broken}
        with pytest.raises(ConfigError) as error:
            Certificate(**files).context()
        assert "geheim" not in str(error.value)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> BrokerError | None:
    """Two ends in memory: what the client's error means."""
    ways = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(*ways, server_hostname="localhost"), server.wrap_bio(*reversed(ways), server_side=True)
    for _ in range(9):
        for end in ends:
            try:
                end.do_handshake()
                end.read(1)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                if end is ends[0]:
                    return tls_refusal(error)
    return None


@pytest.mark.parametrize("trusted", [True, False])
def test_a_refusal_of_tls_says_whose_certificate_it_is_about(shown, tmp_path, trusted) -> None:
    ensure_server_certificate(tmp_path / "server.pem", stranger(tmp_path), datetime.now(UTC))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem")
    other = tmp_path / "other"
    other.mkdir()
    stranger(other)
    server.load_verify_locations(other / "their-ca.pem")  # it does not know the client's authority
    server.verify_mode = ssl.CERT_REQUIRED
    ca = tmp_path / "their-ca.pem" if trusted else other / "their-ca.pem"
    refusal = handshake(server, Certificate(shown.certificate, shown.key, ca).context())
    assert isinstance(refusal, Unauthenticated if trusted else ConfigError)


def test_any_other_trouble_is_none_of_tls() -> None:
    assert tls_refusal(ConnectionResetError()) is None
    assert tls_refusal(ssl.SSLEOFError()) is None
