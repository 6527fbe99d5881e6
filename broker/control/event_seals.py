"""Seals on what parties are told of an agreement's life: both can show later what they were told, and that nobody changed it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from broker.control.keys import SEAL, KeyStore
from broker.control.pseudonym_map import public_key
from broker.errors import Invalid

_ROLE = b"datanuts agreement event\n"


@dataclass(frozen=True, slots=True)
class EventSeals:
    """Seals events with the installation's key (Ed25519, RFC 8032), over JSON with sorted keys and no spaces, in UTF-8."""

    keys: KeyStore

    def key(self) -> str:
        """Public key, in hexadecimal."""
        return public_key(self.keys.ensure(SEAL))

    def sealed(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The event with its `seal`."""
        signature = Ed25519PrivateKey.from_private_bytes(self.keys.ensure(SEAL)).sign(_signed(event))
        return {**event, "seal": signature.hex()}


def verify_event(event: Mapping[str, Any], key: str) -> None:
    """Raise `Invalid` unless `key` sealed this event as it is."""
    stated = {name: value for name, value in event.items() if name != "seal"}
    try:
        signature = bytes.fromhex(str(event.get("seal")))
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, _signed(stated))
    except (InvalidSignature, ValueError):
        raise Invalid("this event is not as the broker sealed it") from None


def _signed(event: Mapping[str, Any]) -> bytes:
    return _ROLE + json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
