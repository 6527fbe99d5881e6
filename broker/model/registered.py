"""What facts of the control log register: organisations, clients, keys of the issuer, schemas, products, replays."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Organisation:
    """A public body that acts as source or agency. `id` is our slug; OVO and KBO are its official codes."""

    id: str
    name: str
    ovo: str | None = None
    kbo: str | None = None


@dataclass(frozen=True, slots=True)
class BoundClient:
    """An OAuth client of an outside issuer, and the organisation that it acts as, with the roles it has there."""

    issuer: str
    client: str
    organisation: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SigningEpoch:
    """A key of the local issuer that a later one followed: until when it signed, and whether it is trusted after that."""

    epoch: int
    until: datetime
    trusted: bool


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """An immutable schema; `id` is its place in the fold, so all processes agree; `text` is the Avro JSON."""

    id: int
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Product:
    """A source's versioned record type and the id of its schema; two sources may offer the same type.

    `issued` is when it was first declared, `modified` when it was last; None where no fact says so.
    """

    id: str
    source: str
    schema_id: int
    issued: datetime | None = None
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """A request to be told again of all subjects whose last record is of `since` or later (None: of all).

    `epoch` is the offset of its fact: the number of the run that its delivery ids are made with (design R4).
    """

    agreement: str
    since: datetime | None
    epoch: int
