"""Use-cases that say yes to everybody: behind them only the door decides who passes."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from broker.control.credentials import Credentials
from broker.control.intake_keys import Piece, Pushed
from broker.control.quarantine import Held as Quarantined
from broker.control.quarantine import Note
from broker.delivery.looks import Ends, Held, Progress
from broker.model.adapter_certificates import AdapterCertificate, Binding
from broker.model.control_state import ControlState
from broker.model.drop_book import Destination, Drop
from broker.model.file_format import FileFormat
from broker.model.mandates import Mandate
from broker.model.product_life import LIVE, Life
from broker.model.quality import Quality
from broker.model.quarantine_book import Place, Retry
from broker.model.raw_book import RawSource
from broker.model.webhook_book import Subscription


class History:
    """Knows the log of now, and no record."""

    def __init__(self, state: ControlState) -> None:
        self._state = state

    async def state_at(self, _epoch: int) -> ControlState:
        return self._state

    async def record_at(self, *_place: object) -> None:
        return None


class Rehearsals:
    """Finds no history."""

    async def run(self, *_asked: object, **_more: object) -> AsyncIterator[Any]:
        return
        yield


class Templates:
    """There is nobody to onboard."""

    async def preview(self, *_asked: object, **_more: object) -> list[Any]:
        return []

    standing = onboard = preview

    async def merger(self, *_asked: object, **_more: object) -> Any:
        return SimpleNamespace(template="t", to_agency="a", to_agreement="b", transfers=(), problems=())


_WELL = SimpleNamespace(
    **dict.fromkeys(("last_success", "failing_since", "last_failure", "next_attempt", "failure")), failures=0
)


class Drops:
    """One that never wrote a file."""

    _to = Destination("gent.example", 22, "u", ".", FileFormat.NDJSON, "ssh-ed25519 A", timedelta(hours=1))
    _held = Drop(agreement="parkeren", agency="gent-parkeren", series=1, to=_to)

    async def set(self, *_asked: object, **_more: object) -> tuple[Drop, bool]:
        return self._held, False

    async def resume(self, *_asked: object, **_more: object) -> Drop:
        return self._held

    remove = resume

    def public_key(self, _drop: Drop) -> str:
        return "ssh-ed25519 B"

    async def standing(self, *_asked: object) -> Any:
        return SimpleNamespace(subscription=self._held, position=0, lag=0, health=_WELL)

    async def test(self, *_asked: object) -> None:
        return None


class Webhooks:
    """One that never called anybody."""

    _held = Subscription(agreement="parkeren", agency="gent-parkeren", series=1, url="https://gent.example/", secret=1)

    async def set(self, *_asked: object, **_more: object) -> tuple[Subscription, str]:
        return self._held, "geheim"

    async def rotate(self, *_asked: object) -> tuple[Subscription, str]:
        return self._held, "geheim"

    async def resume(self, *_asked: object, **_more: object) -> Subscription:
        return self._held

    remove = resume

    async def standing(self, *_asked: object) -> Any:
        return SimpleNamespace(subscription=self._held, position=0, lag=0, health=_WELL)

    async def test(self, *_asked: object) -> Any:
        return SimpleNamespace(failure=None, status=204)


class Replays:
    """Begun at once."""

    lanes = 8

    async def request(self, _agreement: str, *, since: Any, **_more: object) -> Any:
        return SimpleNamespace(epoch=1, since=since)


class Halts:
    """Done at once."""

    async def halt(self, *_product: object, **_more: object) -> Any:
        return SimpleNamespace(barriers={}, fenced=(), duration_ms=1.0)

    async def resume(self, *_product: object, **_more: object) -> None:
        """Nothing."""

    async def announce(self, *_told: object, **_more: object) -> int:
        return 1


class Mandates:
    """Given and ended at once."""

    async def give(self, organisation: str, processor: str, **_more: object) -> Mandate:
        return Mandate(organisation, processor, "VO-1", None, datetime(2026, 1, 1, tzinfo=UTC), None, 1)

    async def end(self, organisation: str, processor: str, **_more: object) -> Mandate:
        return await self.give(organisation, processor)


class AdapterCertificates:
    """One, signed at once."""

    async def certify(self, report: Mapping[str, Any], **_more: object) -> AdapterCertificate:
        return AdapterCertificate("c", "wegen", Binding.of(report), report, datetime(2026, 1, 1, tzinfo=UTC))

    async def countersign(self, _certificate: str, **_more: object) -> AdapterCertificate:
        return await self.certify({"module": "wegen", "package": "", "source": "kbo", "product": "persoon.v1"})

    withdraw = countersign


class Products:
    """Declared at once."""

    async def declare(self, *_asked: object, **_more: object) -> Any:
        return SimpleNamespace(schema_id=1)


class RawSources:
    """Declared at once."""

    async def declare(self, organisation: str, name: str, **_more: object) -> RawSource:
        return RawSource(organisation, name, datetime(2026, 1, 1, tzinfo=UTC))


class Lives:
    """Said at once."""

    async def launch(self, *_product: object, **_more: object) -> Life:
        return LIVE

    async def deprecate(self, *_told: object, **_more: object) -> tuple[()]:
        return ()

    end = examine = deprecate


class Quarantine:
    """One record."""

    async def held(self, *_product: object) -> Quarantined:
        return Quarantined((await self.find(),), whole=True)

    async def find(self, *_place: object) -> Note:
        return Note(1, "TRUNCATED", "insz", "ab" * 16, "2026-11-26T00:00:00Z", lane=0, offset=7)

    async def open(self, *_place: object, **_more: object) -> bytes:
        return b"bytes"

    async def retry(self, place: Place, **_more: object) -> Retry:
        return Retry(place, 9)


class RawIntake:
    """Keeps the pieces it was given, in memory; a `trouble` is raised instead."""

    def __init__(self) -> None:
        self.written: list[tuple[Pushed, Piece]] = []
        self.trouble: Exception | None = None

    async def write(self, pushed: Pushed, piece: Piece) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.written.append((pushed, piece))


class Looks:
    """Empty topics."""

    async def ends(self, _topic: str) -> Ends:
        return Ends(0, 0, None, None)

    async def held(self, _topic: str, _since_ms: int) -> Held:
        return Held(0, 0, 0, 0, 0, whole=True)

    async def progress(self, _topic: str) -> Progress:
        return Progress(None, None, ())


class QualityFigures:
    """Of the one product, each figure there is."""

    async def all(self, **_more: object) -> Mapping[tuple[str, str], Quality]:
        at = datetime(2026, 11, 26, 12, 30, 15, tzinfo=UTC)
        figures = Quality(
            at=at,
            whole=True,
            subjects=12_000,
            last_record=at.replace(second=0),
            last_pass=at,
            median_s=45,
            p95_s=7200,
            completeness={"overlijden.datum": 12, "naam.voornamen": 98},
            set_aside_day=0,
            set_aside=1,
        )
        return {("rijksregister", "persoon.v1"): figures}


class Tally:
    """No days."""

    async def of(self, _agreement: str) -> Any:
        return SimpleNamespace(days=(), whole=True, until=date(2026, 11, 26))


class Logins:
    """Kafka without users."""

    async def ensure_scram_user(self, _name: str, _password: str) -> None:
        """Nothing."""

    async def allow_read_topic(self, _principal: str, _topic: str, _group: str) -> None:
        """Nothing."""

    async def allow_write_topic(self, _principal: str, _topic: str) -> None:
        """Nothing."""

    async def remove_user_access(self, _principal: str) -> None:
        """Nothing."""

    async def delete_scram_user(self, _name: str) -> None:
        """Nothing."""

    async def limit_user(self, _name: str, _quota: object) -> None:
        """Nothing."""

    async def limited_users(self) -> dict[str, dict[str, float]]:
        return {}

    async def grants(self) -> tuple[()]:
        return ()

    async def scram_users(self) -> frozenset[str]:
        return frozenset()


def credentials(control: Any) -> Credentials:
    """The use-cases themselves, over the control log of the test."""
    return Credentials(control, Logins())


def usual() -> dict[str, Any]:
    """Those that need no control log, by the name of their service."""
    return {
        "rehearsals": Rehearsals(),
        "templates": Templates(),
        "webhooks": Webhooks(),
        "drops": Drops(),
        "replays": Replays(),
        "halts": Halts(),
        "mandates": Mandates(),
        "adapter_certificates": AdapterCertificates(),
        "products": Products(),
        "lives": Lives(),
        "raw_sources": RawSources(),
        "raw_intake": RawIntake(),
        "quarantine": Quarantine(),
        "looks": Looks(),
        "tally": Tally(),
        "quality": QualityFigures(),
    }
