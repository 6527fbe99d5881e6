"""What an installation needs to speak TLS: its authority for client certificates, and the certificates it shows itself."""

import ssl
from datetime import UTC, datetime

from broker.cli.datadir import DataDir
from broker.control.client_authority import ClientAuthority, external_authority, local_authority, pem
from broker.control.keys import KeyStore
from broker.control.server_certificate import ensure_server_certificate
from broker.errors import ConfigError
from broker.kafka.node_files import TlsFiles
from broker.settings import Settings

_SERVER, _CLIENTS = "server.pem", "clients.pem"
"""The local server's key and chain; the clients' authority alone."""

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which `ssl` has no name for."""


def client_authority(home: DataDir, settings: Settings, keys: KeyStore) -> ClientAuthority:
    """Who signs client certificates: the settings' authority, else the installation's own, made at first use."""
    if settings.client_ca_certificate is not None and settings.client_ca_key is not None:
        return external_authority(settings.client_ca_certificate, settings.client_ca_key)
    return _local(home, keys)


def node_files(home: DataDir, settings: Settings, keys: KeyStore) -> TlsFiles:
    """Files for the embedded node's listener for client certificates, current now."""
    _ensure_server(home, keys)
    clients = home.tls / _CLIENTS
    try:
        # Only the one that signs: of a chain, whatever its upper authorities signed would be let in, too.
        clients.write_text(pem(client_authority(home, settings, keys).certificates[0]), encoding="ascii")
    except OSError as error:
        raise ConfigError(f"{clients} cannot be written: {error.strerror}") from error
    return TlsFiles(home.tls / _SERVER, clients)


def server_context(home: DataDir, settings: Settings, keys: KeyStore, *, own: bool) -> ssl.SSLContext | None:
    """For HTTPS with the certificate of the settings, else with an own one for this machine, else (not `own`) None.

    A client may show a certificate of the clients' authority; any other ends the connection. Whether it is a credential's,
    and still holds, is for the application to say.
    """
    stated, key = settings.tls_certificate, settings.tls_key
    if stated is None and not own:
        return None
    if stated is None:
        _ensure_server(home, keys)
        stated = home.tls / _SERVER
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(stated, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise ConfigError(
            "DATANUTS_TLS_CERTIFICATE and DATANUTS_TLS_KEY: expected PEM files of a certificate and its key, "
            "without password",
            operator=type(error).__name__,
        ) from None
    context.load_verify_locations(cadata=pem(client_authority(home, settings, keys).certificates[0]))
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # the authority itself, not who vouches for it
    # An expired one is refused by its credential's end, with an answer: TLS would only hang up.
    context.verify_flags |= _NO_CHECK_TIME
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _local(home: DataDir, keys: KeyStore) -> ClientAuthority:
    return local_authority(keys, home.ca, datetime.now(UTC))


def _ensure_server(home: DataDir, keys: KeyStore) -> None:
    ensure_server_certificate(home.tls / _SERVER, _local(home, keys), datetime.now(UTC))
