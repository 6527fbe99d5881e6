"""A client certificate in place of a token, and what it means where TLS itself refuses one side to the other."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from broker.errors import BrokerError, ConfigError, Unauthenticated

_NOT_VOUCHED_FOR = "nobody that is trusted here vouches for the server's certificate: name its authority (ca)"
_NOT_ACCEPTED = "the client certificate is not accepted: it has expired, or is not of this broker's authority"


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of the certificate, as the broker gave it, and of its private key, which needs no password.

    `ca`: who vouches for the broker and its Kafka; default: who the system trusts.
    """

    certificate: Path
    key: Path
    ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """For connections that show it. Raises `ConfigError`, which quotes nothing of the files."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            raise ConfigError(
                "the client certificate, its key or the authority's file cannot be used: each must be PEM, the key without "
                "password and of this certificate",
                operator=type(error).__name__,
            ) from None
        return context


def tls_refusal(error: BaseException) -> BrokerError | None:
    """What to raise instead of an error below which TLS refused one side to the other: trying again would not help."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConfigError(_NOT_VOUCHED_FOR)
        if isinstance(cause, ssl.SSLError) and "ALERT" in str(getattr(cause, "reason", "")):
            return Unauthenticated(_NOT_ACCEPTED)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
