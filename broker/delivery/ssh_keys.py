"""Keys of SSH as OpenSSH writes them: the broker's own, and those by which agencies' servers are known."""

import asyncssh
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from broker.errors import Invalid

LONGEST_LINE = 2000

_KINDS = frozenset(
    {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}
)  # an RSA key signs with SHA-2 only, see `drop_server`
_LEAST_RSA_BITS = 2048


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


def _imported(line: str) -> asyncssh.SSHKey | None:
    try:
        return asyncssh.import_public_key(line)
    except (ValueError, asyncssh.KeyImportError):
        return None
