"""Keys of SSH as OpenSSH writes them: the broker's own, and those by which the servers of others are known."""

from typing import Any

import asyncssh
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from broker.errors import Invalid

LONGEST_LINE = 2000

_KINDS = frozenset(
    {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}
)  # an RSA key signs with SHA-2 only, see `options`
_LEAST_RSA_BITS = 2048
_RSA = ("rsa-sha2-512", "rsa-sha2-256")


def private_key(seed: bytes) -> asyncssh.SSHKey:
    """The Ed25519 key (RFC 8709) of a seed of 32 bytes."""
    made = Ed25519PrivateKey.from_private_bytes(seed)
    return asyncssh.import_private_key(made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def public_line(seed: bytes, comment: str) -> str:
    """Its public half as a line of `authorized_keys`."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return f"{public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {comment}"


def host_key(line: str) -> str:
    """A server's public key in its one spelling, without comment; raises `Invalid` saying what is expected."""
    line = line.strip()
    kind, _, rest = line.partition(" ")
    plain = f"{kind} {rest.strip().partition(' ')[0]}"
    key = _imported(plain) if kind in _KINDS and len(line) <= LONGEST_LINE and line.isprintable() else None
    if key is None or key.get_algorithm() != kind:
        raise Invalid(
            "hostKey: must be the server's public key as one line of OpenSSH, `ssh-ed25519 AAAA…` (or ecdsa, rsa): "
            "`ssh-keyscan HOST` shows it behind the host's name, its administrator tells whether it is right"
        )
    if isinstance(key.pyca_key, RSAPublicKey) and key.pyca_key.key_size < _LEAST_RSA_BITS:
        raise Invalid(f"hostKey: an RSA key has at least {_LEAST_RSA_BITS} bits")
    return plain


def options(server: str, own: asyncssh.SSHKey) -> dict[str, Any]:
    """Of `asyncssh.connect`: log in with `own`, on a server that has the host key `server` (one line) and no other.

    Nothing of this machine's own settings, agents or keys takes part.
    """
    pinned = asyncssh.import_public_key(server)
    algorithm = pinned.get_algorithm()
    return {
        "client_keys": [own],
        "known_hosts": ([pinned], [], []),
        "server_host_key_algs": _RSA if algorithm == "ssh-rsa" else (algorithm,),
        "preferred_auth": "publickey",
        "config": None,
        "agent_path": None,
        "client_host_keys": None,
        "gss_kex": False,
        "gss_auth": False,
        "x509_trusted_certs": None,
        "x509_trusted_cert_paths": None,
    }


def is_another(error: Exception) -> bool:
    """Whether a connection failed because the server has another host key than was pinned."""
    # The library's words for a server that has no key of the pinned kind, so that it is not that server.
    exchange = isinstance(error, asyncssh.KeyExchangeFailed) and "host key" in error.reason
    return exchange or isinstance(error, asyncssh.HostKeyNotVerifiable)


def _imported(line: str) -> asyncssh.SSHKey | None:
    try:
        return asyncssh.import_public_key(line)
    except (ValueError, asyncssh.KeyImportError):
        return None
