"""The pseudonym of a subject whose identifier was replaced: that of the first identifier of the chain."""

from collections.abc import Callable, Collection

from broker.model.keyed import pseudonym
from broker.schema.reference import decode, encode


def follow_chain(egress: str, names: Collection[str], key: bytes) -> Callable[[bytes, bytes], bytes]:
    """Function of a delivery's Avro body and the root identifier to the same with the root's pseudonym under `names`.

    It decodes, unlike a cut: few identifiers are ever replaced.
    """

    def followed(body: bytes, root: bytes) -> bytes:
        record = decode(egress, body)
        return encode(egress, {**record, **dict.fromkeys(names, pseudonym(key, root).decode())})

    return followed
