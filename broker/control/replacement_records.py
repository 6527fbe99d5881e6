"""How replaced identities stand in the compacted topic `subjects.dossiers`; subjects are there as lane keys only.

In the lane of the old one
    key    <lane key>/replaced-<product, 16 hex>
    value  {"product": "<source>/<product>", "by": "<lane key of the new one>"}
In the lane of the new one
    key    <lane key>/replaces-<product, 16 hex>
    value  {"product", "of": "<lane key of the old one>", "root": the first identifier of the chain, sealed under k_lane}

The root is what pseudonyms are made from, so that they follow the chain.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.control.dossier_records import Place
from broker.model.keyed import digest

_KEY = re.compile(rb"([0-9a-f]{32})/(replaced|replaces)-([0-9a-f]{16})")
_LANE_KEY = re.compile(r"[0-9a-f]{32}")
_PRODUCT = re.compile(r"[a-z0-9-]+/[a-z0-9]+\.v[0-9]+")
NONCE_BYTES = 12
_ID_BYTES = 8
_NONE: Mapping[str, bytes] = MappingProxyType({})


@dataclass(slots=True)
class ReplacementBook:
    """Chains of identities, by subject and product ("<source>/<product>"); a damaged record is none. `k_lane` opens roots."""

    k_lane: bytes = field(repr=False)
    _replaced: dict[bytes, dict[str, bytes]] = field(default_factory=dict)
    _roots: dict[bytes, dict[str, bytes]] = field(default_factory=dict)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record, in the order of the log; raises nothing."""
        found = _KEY.fullmatch(key or b"")
        held = None if found is None or value is None else _read(value)
        if found is None or held is None:
            return
        subject, product = found[1], held["product"]
        if found[2] == b"replaced":
            self._replaced.setdefault(subject, {})[product] = held["by"].encode()
        elif (root := _opened(self.k_lane, subject, held["root"])) is not None:
            self._roots.setdefault(subject, {})[product] = root

    def successors(self, subject: bytes) -> Mapping[str, bytes]:
        """Lane key of who replaced this subject, by product."""
        return self._replaced.get(subject, _NONE)

    def among(self, subjects: set[bytes]) -> set[bytes]:
        """Those of `subjects` that were replaced, or that continue a chain."""
        return (subjects & self._replaced.keys()) | (subjects & self._roots.keys())

    def root(self, subject: bytes, product: str) -> bytes | None:
        """First identifier of the chain that this subject continues; None if it is a first one itself."""
        return self._roots.get(subject, _NONE).get(product) if self._roots else None


def replaced_place(key: bytes | None, value: bytes | None) -> Place | None:
    """Who is replaced by such a record, with the product in the place of an agreement; None if it is none."""
    found = _KEY.fullmatch(key or b"")
    if found is None or found[2] != b"replaced" or value is None:
        return None
    held = _read(value)
    return None if held is None else Place(found[1], held["product"])


def replaced_record(old: bytes, product: str, new: bytes, k_lane: bytes) -> tuple[bytes, bytes]:
    """Key and value for the lane of the old one."""
    return _key(old, b"replaced", product, k_lane), _written({"product": product, "by": new.decode()})


def replaces_record(
    new: bytes, product: str, old: bytes, root: bytes, k_lane: bytes, nonce: bytes
) -> tuple[bytes, bytes]:
    """Key and value for the lane of the new one; `nonce` is 12 random bytes."""
    sealed = (nonce + AESGCM(_sealing(k_lane)).encrypt(nonce, root, new)).hex()
    value = {"product": product, "of": old.decode(), "root": sealed}
    return _key(new, b"replaces", product, k_lane), _written(value)


def _key(subject: bytes, what: bytes, product: str, k_lane: bytes) -> bytes:
    identifier = digest(k_lane, b"replacement", product.encode())[:_ID_BYTES].hex().encode()
    return b"%b/%b-%b" % (subject, what, identifier)


def _written(value: Mapping[str, str]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _read(value: bytes) -> dict[str, str] | None:
    try:
        held = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(held, dict) or not all(isinstance(each, str) for each in held.values()):
        return None
    named = _PRODUCT.fullmatch(held.get("product", "")) is not None
    return held if named and ("root" in held or _LANE_KEY.fullmatch(held.get("by", ""))) else None


def _sealing(k_lane: bytes) -> bytes:
    return digest(k_lane, b"replacement-seal")


def _opened(k_lane: bytes, subject: bytes, sealed: str) -> bytes | None:
    try:
        raw = bytes.fromhex(sealed)
        return AESGCM(_sealing(k_lane)).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], subject)
    except (ValueError, InvalidTag):
        return None
