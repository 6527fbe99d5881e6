"""The continuity map of a rotation: old pseudonym to new, for one agency and purpose, as a file that nobody can alter.

    {"from":"5f…","to":"c1…"}            one line a subject, in the order of `from`, which says nothing about anyone
    {"seal":{"agency":…,"from":1,"key":…,"lines":…,"purpose":…,"sha256":…,"signature":…,"to":2}}

The signature (Ed25519, RFC 8032) is over the seal without `key` and `signature`, as JSON with sorted keys and no spaces;
`sha256` is of all lines before it. `key` is the public key in hexadecimal; trust the one that the broker names itself.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from broker.errors import Invalid

_ROLE = b"datanuts pseudonym map\n"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose pseudonyms a map is of, and from which key epoch to which."""

    agency: str
    purpose: str
    old: int
    new: int


def public_key(seed: bytes) -> str:
    """The public half of a seal's key, in hexadecimal."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def sealed(scope: Scope, pairs: Iterable[tuple[bytes, bytes]], seed: bytes) -> Iterator[bytes]:
    """The map of these (old, new) pairs in pieces of whole lines, the seal last."""
    shelves: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for pair in pairs:  # sorted shelf by shelf: a million at once would hold up the whole process
        shelves.setdefault(pair[0][:2], []).append(pair)
    digest, lines = sha256(), 0
    for _, shelf in sorted(shelves.items()):
        piece = b"".join(b'{"from":"%s","to":"%s"}\n' % pair for pair in sorted(shelf))
        digest.update(piece)
        lines += len(shelf)
        yield piece
    statement = _statement(scope, lines, digest.hexdigest())
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(_signed(statement)).hex()
    yield _written({"seal": statement | {"key": public_key(seed), "signature": signature}}) + b"\n"


def verify(lines: Iterable[bytes], key: str) -> tuple[Scope, int]:
    """What a map is of, and its number of pairs; raises `Invalid` unless it is whole and `key` sealed it."""
    digest, count, last = sha256(), -1, b""
    for line in lines:
        digest.update(last)
        last, count = line, count + 1
    try:
        seal = json.loads(last)["seal"]
        scope = Scope(str(seal["agency"]), str(seal["purpose"]), int(seal["from"]), int(seal["to"]))
        statement = _statement(scope, count, digest.hexdigest())
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
            bytes.fromhex(seal["signature"]), _signed(statement)
        )
    except (InvalidSignature, ValueError, KeyError, TypeError, RecursionError):
        raise Invalid("this is not a whole map that this key sealed: fetch it again") from None
    return scope, count


def _statement(scope: Scope, lines: int, digest: str) -> dict[str, Any]:
    return {
        "agency": scope.agency,
        "purpose": scope.purpose,
        "from": scope.old,
        "to": scope.new,
        "lines": lines,
        "sha256": digest,
    }


def _signed(statement: dict[str, Any]) -> bytes:
    return _ROLE + _written(statement)


def _written(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
