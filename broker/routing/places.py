"""Places of papers as 20 bytes: what a lane keeps for a million of them has no object for each."""

from binascii import hexlify, unhexlify
from dataclasses import dataclass, field

from broker.control.dossier_records import Place
from broker.model.keyed import DIGEST_BYTES

_NUMBER_BYTES = 4
PLACE_BYTES = DIGEST_BYTES + _NUMBER_BYTES


@dataclass(frozen=True, slots=True)
class Places:
    """Numbers for the agreements and products that places name: they are few beside the subjects."""

    _names: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def packed(self, place: Place) -> bytes:
        """The same bytes for the same place, others for another one; its subject is a lane key."""
        subject, name = place
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._names)
            self._names.append(name)
        return unhexlify(subject) + number.to_bytes(_NUMBER_BYTES, "little")

    def place(self, packed: bytes) -> Place:
        """The place that was packed."""
        return Place(hexlify(packed[:DIGEST_BYTES]), self._names[int.from_bytes(packed[DIGEST_BYTES:], "little")])
