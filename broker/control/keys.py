"""Keys by role (design §4): random, 32 bytes, wrapped by one master key, made once and never changed.

`FileKeyStore` keeps two files in a folder of its own (0700), both 0600:

    keys.json    {name: hex of nonce (12) + AES-256-GCM of the key, with the name as associated data}
    master.key   hex of the 32 bytes that wrap them; absent where the master key comes from elsewhere

A backup is both. `keys.json` is made first, so that a master key without it means loss, never an interrupted start.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.errors import ConfigError, NotYetKnown
from broker.model.keyed import KEY_BYTES
from broker.model.topics import slug

LANE = "lane"
"""Makes the Kafka key of a subject on source and subjects topics."""

LEDGER = "ledger"
"""Makes the one subject reference in receipts."""

INTAKE = "intake"
"""Makes what is kept of an idempotency key, and of the request that came with it."""

SEAL = "seal"
"""Signs what outsiders must be able to check: the seed of an Ed25519 key (RFC 8032)."""

_NONCE_BYTES = 12
_OTHERS = 0o077


def agreement_key(agreement: str) -> str:
    """Name of the key behind one agreement's envelope; raises `Invalid` where `agreement` is no identifier."""
    return f"agreement/{slug(agreement, 'agreement')}"


def source_seal_key(organisation: str, epoch: int) -> str:
    """Name of the seed of the Ed25519 key with which a source seals its records in an epoch, from 1 on; raises `Invalid` likewise."""
    return f"source-seal/{slug(organisation, 'organisation')}/{epoch}"


def pseudonym_key(agency: str, purpose: str, epoch: int = 1) -> str:
    """Name of the key behind one agency's pseudonyms for one purpose in a key epoch; raises `Invalid` likewise."""
    return f"pseudonym/{slug(agency, 'agency')}/{slug(purpose, 'purpose')}/{epoch}"


def issuer_key(epoch: int) -> str:
    """Name of the seed of the local issuer's Ed25519 key in an epoch, from 1 on."""
    return f"issuer/{epoch}"


def webhook_key(agreement: str, number: int) -> str:
    """Name of a key that signs an agreement's webhook calls; raises `Invalid` likewise."""
    return f"webhook/{slug(agreement, 'agreement')}/{number}"


def drop_key(agency: str) -> str:
    """Name of the seed of the Ed25519 key with which the broker logs in on an agency's SFTP servers; raises `Invalid` likewise."""
    return f"drop/{slug(agency, 'agency')}"


class KeyStore(Protocol):
    """Keys by name."""

    def get(self, name: str) -> bytes:
        """The 32 bytes; raises `NotYetKnown` while nobody made this key."""

    def ensure(self, name: str) -> bytes:
        """As `get`, but makes an absent key; everybody who asks, at whatever moment, gets the same one."""


class FileKeyStore:
    """Keys in a folder that several processes share; a key that another process made is found.

    Both methods raise `ConfigError` where going on could hand out another key than before, or one that others saw:
    folder or files open to others, a damaged file, wrapped keys without the master key that opens them, or the reverse.
    """

    def __init__(
        self, folder: Path, *, master: bytes | None = None, random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        if master is not None and len(master) != KEY_BYTES:
            raise ConfigError(f"a master key has {KEY_BYTES} bytes")
        self._folder = folder
        self._given = master
        self._random = random
        self._known: Mapping[str, bytes] = {}

    def get(self, name: str) -> bytes:
        """See `KeyStore`."""
        if name not in self._known and self._folder.exists():
            with self._locked():
                self._known = self._unwrapped(*self._stored())
        if name not in self._known:
            raise NotYetKnown(f"there is no key {name} yet")
        return self._known[name]

    def ensure(self, name: str) -> bytes:
        """See `KeyStore`."""
        if name not in self._known:
            with self._locked():
                self._known = self._unwrapped(*self._stored())
                if name not in self._known:
                    self._add(name)
        return self._known[name]

    def _add(self, name: str) -> None:
        wrapped, master = self._stored()
        if master is None:
            self._write("keys.json", "{}")
            master = self._random(KEY_BYTES)
            self._write("master.key", master.hex())
        key, nonce = self._random(KEY_BYTES), self._random(_NONCE_BYTES)
        sealed = nonce + AESGCM(master).encrypt(nonce, key, name.encode())
        self._write("keys.json", json.dumps({**wrapped, name: sealed.hex()}, indent=1))
        self._known = {**self._known, name: key}

    def _stored(self) -> tuple[dict[str, str], bytes | None]:
        """Wrapped keys and the master key; without a master key nothing was made yet."""
        text, master = self._read("keys.json"), self._given or self._master()
        if text is None:
            if self._given is None and master is not None:
                raise ConfigError(
                    f"{self._folder} holds a master key but not its keys: restore keys.json from the backup"
                )
            return {}, master
        try:
            wrapped = {str(name): str(sealed) for name, sealed in json.loads(text).items()}
        except (ValueError, AttributeError, RecursionError):
            raise _damaged(self._folder / "keys.json") from None
        if wrapped and master is None:
            raise ConfigError(f"the master key of {self._folder} is gone: restore it, new keys would change every lane")
        return wrapped, master

    def _master(self) -> bytes | None:
        text = self._read("master.key")
        try:
            master = None if text is None else bytes.fromhex(text)
        except ValueError:
            master = b""
        if master is not None and len(master) != KEY_BYTES:
            raise _damaged(self._folder / "master.key")
        return master

    def _unwrapped(self, wrapped: Mapping[str, str], master: bytes | None) -> dict[str, bytes]:
        """All of them, so that a wrong master key shows before it wraps anything."""
        keys = {}
        for name, sealed in wrapped.items():
            try:
                raw = bytes.fromhex(sealed)
                key = AESGCM(master or b"").decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], name.encode())
            except (ValueError, InvalidTag):
                key = b""
            if len(key) != KEY_BYTES:
                raise ConfigError(
                    f"the key {name} in {self._folder} is damaged, or of another master key: restore both"
                )
            keys[name] = key
        return keys

    def _read(self, name: str) -> str | None:
        path = self._folder / name
        try:
            with path.open(encoding="ascii") as file:
                _closed_to_others(path, file.fileno())
                return file.read()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise _damaged(path) from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error

    def _write(self, name: str, text: str) -> None:
        """Replace a file at once and for good; never readable by others, not even for a moment."""
        fresh = self._folder / f"{name}.new"
        try:
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(f"{text}\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._folder / name)
            with _opened(self._folder) as folder:
                os.fsync(folder)
        except OSError as error:
            raise ConfigError(f"{self._folder / name} cannot be written: {error.strerror}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The folder, made if absent, to ourselves among all processes."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _opened(self._folder) as opened:
                _closed_to_others(self._folder, opened)
                fcntl.flock(opened, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise ConfigError(f"{self._folder} cannot hold keys: {error.strerror}") from error


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield opened
    finally:
        os.close(opened)


def _closed_to_others(path: Path, opened: int) -> None:
    if os.fstat(opened).st_mode & _OTHERS:
        raise ConfigError(f"{path} is open to others: chmod go= it, and treat its keys as seen by them")


def _damaged(path: Path) -> ConfigError:
    return ConfigError(f"{path} is damaged: restore it from the backup")
