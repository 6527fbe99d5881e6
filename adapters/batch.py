"""One transaction's worth of items: each is published, a duplicate, ignored or quarantined, and counted once."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from adapters.clock import Clock
from adapters.drift import Observed
from adapters.memory import NEVER, Hashes, Outcome
from adapters.publication import Publication, Statement
from adapters.sdk import Broken, Change, Ignored, Item, SnapshotBegins
from adapters.snapshots import Snapshots
from adapters.summary import Summary
from broker.batches import Row
from broker.errors import Fatal, PoisonRecord
from broker.model.intake import NOTHING, Offered
from broker.model.record import Headers, SourceEnvelope, traceparent

_TRACE, _SPAN = 16, 8
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_.]{0,200}", re.ASCII)
_JSON: Headers = [("content-type", b"application/json")]
_STATED, _SET_ASIDE = Offered(1, 0), Offered(1, 1)


class Batch:
    """Takes items in order; nothing it holds is written before `outputs` is committed."""

    def __init__(
        self,
        adapter: str,
        publications: Mapping[str, Publication],
        hashes: Hashes,
        known: Mapping[bytes, bytes],
        snapshots: Snapshots,
        clock: Clock,
    ) -> None:
        self.cursor = ""
        self.summary = Summary()
        self.items: dict[bytes, bytes | None] = {}
        self.observed: dict[str, Observed] = {}
        self.offered: dict[str, Offered] = {}
        self.size = 0
        self._adapter = adapter
        self._publications = publications
        self._default = next(iter(publications.values()))
        self._hashes = hashes
        self._known = known
        self._snapshots = snapshots
        self._clock = clock
        self._statements: list[tuple[Publication, Statement, bytes]] = []
        self._complaints: list[tuple[Publication, dict[str, Any]]] = []

    def take(self, item: Item, cursor: str) -> None:
        """Add one item, after which the source stands at `cursor`."""
        self.cursor = cursor
        if isinstance(item, SnapshotBegins):
            self._publication(item.product)
            self._snapshots.begin(item.product)
            return
        self.summary.read += 1
        match item:
            case Ignored(reason=reason):
                self.summary.ignored[_stable(reason)] += 1
            case Change():
                try:
                    self._publish(item)
                except PoisonRecord as poison:
                    self._quarantine(Broken(item.source_id, poison.reason, poison.path, item.product))
            case Broken():
                self._quarantine(item)
            case _:
                raise Fatal(f"adapter {self._adapter} yields something else than Change, Ignored or Broken")

    def leave(self, product: str, item: bytes, key: bytes | None) -> None:
        """Forget an item that a snapshot lacks, and delete its subject (by Kafka key) unless another item states it."""
        self.items[item] = None
        if key is not None:
            publication, event = self._publication(product), self._hashes.event(item, self._hashes.content())
            self._statements.append((publication, publication.departure(key), event))
            self.summary.deleted += 1

    def outputs(self, at: str, random: Callable[[int], bytes]) -> dict[tuple[str, int], list[Row]]:
        """Rows by topic and partition, in the order of the items; `at` is the instant of the commit, whole seconds."""
        rows: dict[tuple[str, int], list[Row]] = {}
        for publication, statement, event in self._statements:
            drawn = random(_TRACE + _SPAN)
            envelope = SourceEnvelope(
                event.hex(),
                publication.source,
                publication.product,
                statement.kind,
                at,
                traceparent(drawn[:_TRACE], drawn[_TRACE:]),
            )
            target = rows.setdefault((publication.topic, statement.lane), [])
            target.append((statement.key, statement.value, envelope.headers()))
        for publication, note in self._complaints:
            row = (None, json.dumps({**note, "at": at}, separators=(",", ":")).encode(), _JSON)
            rows.setdefault((publication.quarantine, 0), []).append(row)
        return rows

    def _publish(self, change: Change) -> None:
        publication = self._publication(change.product)
        statement = publication.state(change)
        if change.value is not None:
            self._clock.admit(change.value["recordedAt"])
        self._offer(change.product, _STATED)
        item = self._hashes.item(change.product, change.source_id)
        content, before = self._hashes.content(*statement.content), self._outcome(item)
        subject = b""
        if self._snapshots.saw(change.product, item):
            subject = bytes.fromhex(statement.key.decode()) + self._hashes.product(change.product)
        if before.content == content:
            self.summary.duplicate += 1
            if subject not in (b"", before.subject):
                self.items[item] = Outcome(content, before.complaint, subject).stored()
            return
        if subject and before.subject not in (b"", subject):
            self._snapshots.moved(change.product, before.subject)
        self.items[item] = Outcome(content, NEVER, subject).stored()
        self.summary.published += 1
        self.size += len(statement.value or b"")
        if change.value is not None:
            self._seen(change.product).published(change.value, publication.mask)
        self._statements.append((publication, statement, self._hashes.event(item, content)))

    def _quarantine(self, broken: Broken) -> None:
        publication = self._publication(broken.product) if broken.product else self._default
        reason = _stable(broken.reason)
        path = broken.path if _PATH.fullmatch(broken.path) else ""
        self.summary.quarantined[reason] += 1
        self._offer(publication.product, _SET_ASIDE)
        item = self._hashes.item(publication.product, broken.source_id)
        self._snapshots.saw(publication.product, item)
        complaint, before = self._hashes.complaint(reason, path), self._outcome(item)
        if before.complaint == complaint:
            return  # it lies there already
        self._seen(publication.product).quarantined(reason, path if path in publication.paths else "")
        self.items[item] = Outcome(before.content, complaint, before.subject).stored()
        self._complaints.append(
            (publication, {"adapter": self._adapter, "code": reason, "path": path, "digest": item.hex()})
        )

    def _offer(self, product: str, offered: Offered) -> None:
        self.offered[product] = self.offered.get(product, NOTHING).plus(offered)

    def _seen(self, product: str) -> Observed:
        seen = self.observed.get(product)
        if seen is None:
            seen = self.observed[product] = Observed()
        return seen

    def _outcome(self, item: bytes) -> Outcome:
        stored = self.items.get(item) or self._known.get(item)
        return Outcome() if stored is None else Outcome.of(stored)

    def _publication(self, product: str) -> Publication:
        found = self._publications.get(product)
        if found is None:
            raise Fatal(f"adapter {self._adapter} yields a product that it does not declare in `sources`")
        return found


def _stable(reason: str) -> str:
    """The reason if it is a code: other texts of an adapter could hold what must not be stored or shown."""
    return reason if _CODE.fullmatch(reason) else "REASON_NOT_STABLE"
