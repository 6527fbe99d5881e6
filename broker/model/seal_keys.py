"""Public keys with which sources seal their records, and the fold of their facts: by epoch, and from when one is distrusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from broker.model.instants import stated_instant

_PUBLIC_BYTES = 32


@dataclass(frozen=True, slots=True)
class SealKey:
    """One Ed25519 key of an organisation; `public` are its 32 bytes, `since` is when it was made known.

    Seals of `distrusted` or later are not believed: somebody else may have made them. None: all are.
    """

    organisation: str
    epoch: int
    public: bytes
    since: datetime
    distrusted: datetime | None = None
    why: str = ""

    @property
    def id(self) -> str:
        """As seals name it."""
        return f"{self.organisation}/{self.epoch}"


@dataclass(slots=True)
class SealKeyBook:
    """All keys by id; of each organisation the one with the highest epoch seals."""

    held: dict[str, SealKey] = field(default_factory=dict)
    _present: dict[str, SealKey] = field(default_factory=dict)

    def present(self, organisation: str) -> SealKey | None:
        """The key that the organisation seals with now; None before its first."""
        return self._present.get(organisation)

    def of(self, organisation: str) -> list[SealKey]:
        """Keys of an organisation, the first one first."""
        return [key for key in self.held.values() if key.organisation == organisation]

    def introduce(self, data: Mapping[str, Any], at: datetime) -> bool:
        """Seal with another key from now on; False where it is not the next one. Raises `KeyError` and `ValueError`."""
        organisation, epoch = str(data["organisation"]), data["epoch"]
        public, before = bytes.fromhex(data["public"]), self._present.get(organisation)
        if len(public) != _PUBLIC_BYTES or epoch != (before.epoch if before else 0) + 1:
            return False
        self._hold(SealKey(organisation, epoch, public, at))
        return True

    def distrust(self, data: Mapping[str, Any]) -> bool:
        """Believe no seal of a key from an instant on; False for the present key, and where that would believe more again."""
        key, since = self.held.get(f"{data['organisation']}/{data['epoch']}"), stated_instant(data["since"])
        if key is None or key == self._present[key.organisation]:
            return False
        if key.distrusted is not None and since >= key.distrusted:
            return False
        self.held[key.id] = replace(key, distrusted=since, why=str(data.get("why", "")))
        return True

    def _hold(self, key: SealKey) -> None:
        self.held[key.id] = self._present[key.organisation] = key
