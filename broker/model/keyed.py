"""Keyed hashes: lane keys, subject references, delivery ids, pseudonyms (design §4 "Keys, by role").

All are keyed BLAKE2b (RFC 7693), 16 bytes, shown as 32 lower-case hexadecimal characters, with the role as
personalisation so that equal inputs under different roles never collide. A keyed subject hash is still personal data.
"""

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


def lane_key(k_lane: bytes, subject: bytes) -> bytes:
    """Kafka key of a subject on source and subjects topics: 32 ASCII hex characters of the canonical identifier's hash."""
    return blake2b(subject, digest_size=DIGEST_BYTES, key=k_lane, person=b"lane").hexdigest().encode()


def lane_of(key: bytes, lanes: int) -> int:
    """Lane of a Kafka key: its first eight hex characters modulo the number of lanes (never a stock partitioner)."""
    return int(key[:8], 16) % lanes


def subject_reference(k_ledger: bytes, key: bytes) -> bytes:
    """The one subject reference in receipts: 16 bytes, made from the lane key so that no identifier is needed."""
    return blake2b(key, digest_size=DIGEST_BYTES, key=k_ledger, person=b"ledger").digest()


def delivery_key(k_agreement: bytes, key: bytes) -> bytes:
    """Key of a subject in one agreement's stream: 32 ASCII hex characters, unlinkable to any other stream's."""
    return blake2b(key, digest_size=DIGEST_BYTES, key=k_agreement, person=b"delivery-key").hexdigest().encode()


def delivery_id(k_agreement: bytes, topic: str, partition: int, offset: int, run: int = 0) -> bytes:
    """Delivery id of design R4: 16 bytes, deterministic over source coordinates and not invertible."""
    coordinates = b"%d/%d/%d/" % (partition, offset, run) + topic.encode()
    return blake2b(coordinates, digest_size=DIGEST_BYTES, key=k_agreement, person=b"delivery-id").digest()


def pseudonym(k_pseudonym: bytes, identifier: bytes) -> bytes:
    """Pseudonym of an identifier for one (agency, purpose, epoch): 32 ASCII hex characters."""
    return blake2b(identifier, digest_size=DIGEST_BYTES, key=k_pseudonym, person=b"pseudonym").hexdigest().encode()
