"""Keyed hashes: lane keys, subject references, delivery ids, pseudonyms (design §4 "Keys, by role").

All are keyed BLAKE2b (RFC 7693), 16 bytes, shown as 32 lower-case hexadecimal characters, with the role as
personalisation so that equal inputs under different roles never collide. A keyed subject hash is still personal data.
"""

from collections.abc import Callable
from hashlib import blake2b

DIGEST_BYTES = 16
KEY_BYTES = 32


def digest(key: bytes, role: bytes, *parts: bytes) -> bytes:
    """16-byte keyed hash of length-prefixed `parts` under `role` (at most 16 bytes)."""
    state = blake2b(digest_size=DIGEST_BYTES, key=key, person=role)
    for part in parts:
        state.update(len(part).to_bytes(4, "big"))
        state.update(part)
    return state.digest()


def hashing(key: bytes, role: bytes) -> Callable[[bytes], bytes]:
    """The 16-byte keyed hash under `role` as a function: the key is taken in once, for a hash per record."""
    begun = blake2b(digest_size=DIGEST_BYTES, key=key, person=role).copy

    def hashed(data: bytes) -> bytes:
        state = begun()
        state.update(data)
        return state.digest()

    return hashed


def hex_hashing(key: bytes, role: bytes) -> Callable[[bytes], bytes]:
    """As `hashing`, shown as 32 ASCII hex characters."""
    begun = blake2b(digest_size=DIGEST_BYTES, key=key, person=role).copy

    def hashed(data: bytes) -> bytes:
        state = begun()
        state.update(data)
        return state.hexdigest().encode()

    return hashed


def lane_keys(k_lane: bytes) -> Callable[[bytes], bytes]:
    """Kafka key of a subject on source and subjects topics: 32 ASCII hex characters of the canonical identifier's hash."""
    return hex_hashing(k_lane, b"lane")


def lane_key(k_lane: bytes, subject: bytes) -> bytes:
    """One subject's key, as `lane_keys`."""
    return lane_keys(k_lane)(subject)


def lane_of(key: bytes, lanes: int) -> int:
    """Lane of a Kafka key: its first eight hex characters modulo the number of lanes (never a stock partitioner)."""
    return int(key[:8], 16) % lanes


def subject_references(k_ledger: bytes) -> Callable[[bytes], bytes]:
    """The one subject reference in receipts: 16 bytes, made from the lane key so that no identifier is needed."""
    return hashing(k_ledger, b"ledger")


def subject_reference(k_ledger: bytes, key: bytes) -> bytes:
    """One subject's reference, as `subject_references`."""
    return subject_references(k_ledger)(key)


def delivery_keys(k_agreement: bytes) -> Callable[[bytes], bytes]:
    """Key of a subject in one agreement's stream: 32 ASCII hex characters, unlinkable to any other stream's."""
    return hex_hashing(k_agreement, b"delivery-key")


def delivery_key(k_agreement: bytes, key: bytes) -> bytes:
    """One subject's key in a stream, as `delivery_keys`."""
    return delivery_keys(k_agreement)(key)


def coordinates(topic: str, partition: int, offset: int, run: int = 0) -> bytes:
    """What a delivery id is made from (design R4): where the source record is, and in which run it is told."""
    return b"%d/%d/%d/" % (partition, offset, run) + topic.encode()


def delivery_ids(k_agreement: bytes) -> Callable[[bytes], bytes]:
    """Delivery ids by `coordinates`: 16 bytes, deterministic and not invertible (design R4)."""
    return hashing(k_agreement, b"delivery-id")


def delivery_id(k_agreement: bytes, topic: str, partition: int, offset: int, run: int = 0) -> bytes:
    """One delivery's id, as `delivery_ids`."""
    return delivery_ids(k_agreement)(coordinates(topic, partition, offset, run))


def pseudonyms(k_pseudonym: bytes) -> Callable[[bytes], bytes]:
    """Pseudonyms of identifiers for one (agency, purpose, epoch): 32 ASCII hex characters."""
    return hex_hashing(k_pseudonym, b"pseudonym")


def pseudonym(k_pseudonym: bytes, identifier: bytes) -> bytes:
    """One identifier's pseudonym, as `pseudonyms`."""
    return pseudonyms(k_pseudonym)(identifier)
