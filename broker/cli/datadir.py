"""What `datanuts up` leaves in its data directory for other commands: where the broker listens, and credentials."""

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from broker.errors import BrokerUnavailable, ConfigError, Invalid
from broker.model import topics

DEFAULT = ".datanuts"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--data-dir`."""
    default = Path(os.environ.get("DATANUTS_DATA_DIR", DEFAULT))
    parser.add_argument("--data-dir", type=Path, default=default, metavar="D", help=f"default: {DEFAULT}")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a running stack listens; holds no secret."""

    api: str
    kafka: str
    pid: int
    lanes: int
    https: str | None = None
    kafka_tls: str | None = None
    """For clients with a certificate, where the embedded node runs."""


@dataclass(frozen=True, slots=True)
class LocalCredential:
    """One organisation's HTTP token and Kafka login, as issued for this data directory."""

    organisation: str
    roles: tuple[str, ...]
    token: str = field(repr=False)
    kafka_username: str
    kafka_password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths and small files under one data directory (0700; credentials 0600)."""

    root: Path

    @property
    def logs(self) -> Path:
        """Folder of the processes' logs."""
        return self.root / "logs"

    @property
    def tls(self) -> Path:
        """Folder of the local authority's certificate and the server's own."""
        return self.root / "tls"

    @property
    def ca(self) -> Path:
        """The local authority's certificate, which vouches for the local stack."""
        return self.tls / "ca.pem"

    @property
    def stack_file(self) -> Path:
        """Connection of the running stack; absent while none runs."""
        return self.root / "stack.json"

    def make(self) -> None:
        """Create the folders; raises `ConfigError` where that is not possible."""
        try:
            for folder in (self.root, self.root / "credentials", self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the data directory cannot be made: {error.strerror}") from error

    def save_connection(self, connection: Connection) -> None:
        """Tell other commands where to go."""
        _write(self.stack_file, asdict(connection))

    def forget_connection(self) -> None:
        """The stack stopped."""
        self.stack_file.unlink(missing_ok=True)

    def connection(self) -> Connection:
        """The running stack's; raises `BrokerUnavailable` if none runs here."""
        try:
            return Connection(**json.loads(self.stack_file.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise BrokerUnavailable(
                f"no broker runs on {self.root}: start it with `datanuts up --data-dir {self.root}`, or name another "
                "with --data-dir"
            ) from error

    def save_credential(self, credential: LocalCredential) -> None:
        """Keep a credential whose secrets were shown once; also as a file for `curl -K`, so that no token is an argument."""
        path = self._credential_file(credential.organisation)
        _write(path, asdict(credential))
        _write_text(path.with_suffix(".curl"), f'header = "Authorization: Bearer {credential.token}"\n')

    def credential(self, organisation: str) -> LocalCredential | None:
        """The organisation's, or None if none was issued here; raises `ConfigError` if others may read the file."""
        path = self._credential_file(organisation)
        try:
            if path.stat().st_mode & 0o077:
                raise ConfigError(f"{path} may be read by others: chmod 600 it, and revoke the credential if it was")
            held = json.loads(path.read_text())
            return LocalCredential(**held | {"roles": tuple(held["roles"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path} is damaged: delete it and start the broker again for a new one") from error

    def credential_of(self, organisation: str) -> LocalCredential:
        """As `credential`; raises `Invalid` naming the organisations there are."""
        if (held := self.credential(organisation)) is not None:
            return held
        known = ", ".join(sorted(path.stem for path in (self.root / "credentials").glob("*.json"))) or "none"
        raise Invalid(f"no credential of {organisation} in {self.root} (there are: {known})")

    def _credential_file(self, organisation: str) -> Path:
        return self.root / "credentials" / f"{topics.slug(organisation, 'organisation')}.json"


def _write(path: Path, content: Mapping[str, Any]) -> None:
    _write_text(path, json.dumps(content, indent=1) + "\n")


def _write_text(path: Path, text: str) -> None:
    """Replace a file at once; never readable by others, not even for a moment."""
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
