"""Seals of sources: who signs them, and what of a product's topic they vouch for.

Each source organisation has an Ed25519 key of its own in the key store, by epoch; the public parts are facts. A seal is
believed if it is whole, signed by a key that was the organisation's, and not from when that key is distrusted: the later
of what it says and of when Kafka took it in, so that whoever stole a key gains nothing by an earlier date.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from broker.control import keys
from broker.control.keys import KeyStore
from broker.control.pseudonym_map import public_key
from broker.control.views import Control, Replayed
from broker.errors import Conflict, Invalid, NotFound, NotYetKnown
from broker.model.facts import FactType
from broker.model.seal_keys import SealKey, SealKeyBook
from broker.model.source_seal import SourceSeal


@dataclass(frozen=True, slots=True)
class SealSigner:
    """Signs as the organisations whose keys are in the store; `certificates` are the adapter's, by product."""

    control: Replayed
    keys: KeyStore
    certificates: Mapping[str, str] = field(default_factory=dict)

    def signed(self, seal: SourceSeal) -> SourceSeal:
        """The seal with the present key of its organisation; raises `NotYetKnown` where it has none."""
        present = self.control.state.seal_keys.present(seal.organisation)
        if present is None:
            raise NotYetKnown(f"{seal.organisation} has no key to seal with yet")
        named = replace(seal, key=present.id, certificate=self.certificates.get(seal.product, ""))
        private = Ed25519PrivateKey.from_private_bytes(
            self.keys.get(keys.source_seal_key(seal.organisation, present.epoch))
        )
        return named.with_signature(private.sign(named.signed_bytes()))


@dataclass(frozen=True, slots=True)
class SealKeys:
    """Keys of organisations as facts; who may is the caller's to check."""

    control: Control
    keys: KeyStore
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def ensure(self, organisation: str, *, by: str) -> SealKey:
        """The key that the organisation seals with, made if it has none. Raises `NotFound`."""
        await self.control.read_to_head()
        if self._book.present(organisation) is None:
            with suppress(Conflict):  # another process made the same one
                await self._introduce(organisation, by=by)
            await self.control.read_to_head()
        held = self._book.present(organisation)
        if held is None:
            raise Conflict("another process made a key meanwhile, and it cannot be read: ask again")
        return held

    async def rotate(self, organisation: str, *, by: str) -> SealKey:
        """Seal with another key from now on; seals of the ones before stay believed. Raises `NotFound` and `Conflict`."""
        await self.control.read_to_head()
        return await self._introduce(organisation, by=by)

    async def distrust(self, organisation: str, epoch: int, *, since: datetime, by: str, why: str = "") -> SealKey:
        """Believe no seal of a key from an instant on; where it is the present one, another one follows it first.

        Asked again with a later instant it changes nothing. Raises `NotFound`, `Invalid` for an instant to come, and
        `Conflict`.
        """
        await self.control.read_to_head()
        if since > self.now():
            raise Invalid("since: a key is distrusted from an instant that has come")
        held = self._held(organisation, epoch)
        if held == self._book.present(organisation):
            await self._introduce(organisation, by=by)
        if held.distrusted is None or since < held.distrusted:
            data = {"organisation": organisation, "epoch": epoch, "since": since.isoformat(), "why": why}
            await self.control.append(FactType.SEAL_KEY_DISTRUSTED, _aggregate(organisation), data, by=by)
        return self._held(organisation, epoch)

    async def _introduce(self, organisation: str, *, by: str) -> SealKey:
        if organisation not in self.control.state.organisations:
            raise NotFound(f"no organisation {organisation}: register it first")
        before = self._book.present(organisation)
        epoch = before.epoch + 1 if before is not None else 1
        # In the store before any process signs with it.
        seed = self.keys.ensure(keys.source_seal_key(organisation, epoch))
        data = {"organisation": organisation, "epoch": epoch, "public": public_key(seed)}
        await self.control.append(FactType.SEAL_KEY, _aggregate(organisation), data, by=by)
        return self._held(organisation, epoch)

    def _held(self, organisation: str, epoch: int) -> SealKey:
        held = self._book.held.get(f"{organisation}/{epoch}")
        if held is None:
            raise NotFound("no such key")
        return held

    @property
    def _book(self) -> SealKeyBook:
        return self.control.state.seal_keys


def doubt_of(seal: SourceSeal, book: SealKeyBook, *, organisation: str, product: str, appended: datetime) -> str | None:
    """Why a seal in this product's topic is not believed, as a stable code; None where it is.

    SEAL_ELSEWHERE (it is on another product), SEAL_KEY_UNKNOWN, SEAL_SIGNATURE_WRONG, SEAL_KEY_DISTRUSTED,
    SEAL_LEAVES_CHANGED (the leaves beside it are not those that were signed). `appended` is Kafka's time of it.
    """
    if (seal.organisation, seal.product) != (organisation, product):
        return "SEAL_ELSEWHERE"
    key = book.held.get(seal.key)
    if key is None or key.organisation != organisation:
        return "SEAL_KEY_UNKNOWN"
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(seal.signature, seal.signed_bytes())
    except InvalidSignature:
        return "SEAL_SIGNATURE_WRONG"
    if key.distrusted is not None and max(seal.instant(), appended) >= key.distrusted:
        return "SEAL_KEY_DISTRUSTED"
    return None if seal.whole else "SEAL_LEAVES_CHANGED"


def _aggregate(organisation: str) -> str:
    return f"seal-key/{organisation}"
