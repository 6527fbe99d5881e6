"""The application over use-cases in memory: three organisations, one active agreement, one that waits."""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest

from broker.api.app import create_app
from broker.api.services import Services
from broker.control.dossiers import FilePage, Standing
from broker.control.event_seals import EventSeals
from broker.control.limits import Policies
from broker.control.pseudonyms import Pseudonyms
from broker.control.registrations import ENDED, REGISTERED, STRANGER, Closing, Opening, Outcome
from broker.control.replacements import Replaced
from broker.delivery.pull import Slice
from broker.delivery.streams import Message
from broker.delivery.trail import TracedDecision, TracedReceipt
from broker.errors import PositionExpired, UnknownSubject
from broker.model.agreement import Consent, Dossier, State
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.lifecycle import Advice, AgreementEntry, Signature
from broker.model.record import wire_header
from broker.policy import documents, limit_documents
from broker.testing import wait_until

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EGRESS = json.dumps(
    {"type": "record", "name": "Persoon", "fields": [{"name": "achternaam", "type": "string"}]}, separators=(",", ":")
)
OTHER_EGRESS = EGRESS.replace("achternaam", "geboortejaar")
TOKENS = {
    "agency": ("c1", "gent-parkeren", ("agency",)),
    "foreign": ("c2", "jeugddienst-leuven", ("agency",)),
    "source": ("c3", "rijksregister", ("source-owner",)),
    "other-source": ("c4", "kbo", ("source-owner",)),
    "operator": ("c5", "operator", ("operator",)),
}


def token(who: str) -> str:
    return f"dn_{TOKENS[who][0]}_geheim_{who}"


def bearer(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(who)}"}


def document(agreement: str, agency: str, *, dossiers: bool = True) -> dict[str, Any]:
    reviewed = documents.agreement((ROOT / "policies" / "agreements" / "parkeerboetes-gent.yaml").read_text())
    changed = {"id": agreement, "title": "Parkeerretributies", "agency": agency, "population": {"dossiers": dossiers}}
    return documents.agreement_document(reviewed) | changed


def state() -> ControlState:
    """A control log as its fold leaves it; the caller's own."""
    return deepcopy(_folded())


@cache
def _folded() -> ControlState:
    folded, numbers = ControlState(), iter(range(1000))

    def fact(kind: FactType, aggregate: str, data: Mapping[str, Any]) -> None:
        offset = next(numbers)
        expects = folded.version(aggregate)
        assert folded.apply(offset, Fact(f"f{offset}", kind, aggregate, expects, NOW, "test", data))

    for who, (identifier, organisation, roles) in TOKENS.items():
        digest = sha256(token(who).encode()).hexdigest()
        fact(FactType.ORGANISATION, f"organisation/{organisation}", {"id": organisation, "name": organisation})
        fact(
            FactType.CREDENTIAL,
            f"credential/{identifier}",
            {"id": identifier, "organisation": organisation, "sha256": digest, "roles": list(roles)},
        )
    schema = (ROOT / "schemas" / "persoon.v1.avsc").read_text()
    fact(FactType.PRODUCT, "product/persoon.v1", {"id": "persoon.v1", "source": "rijksregister", "schema": schema})
    requests = [
        (document("parkeren", "gent-parkeren"), EGRESS),
        (document("wachtend", "gent-parkeren", dossiers=False), EGRESS),
        (document("jeugd", "jeugddienst-leuven"), OTHER_EGRESS),
    ]
    for held, egress in requests:
        name = f"agreement/{held['id']}"
        fact(FactType.AGREEMENT_REQUESTED, name, {"document": held, "egress": egress})
        if held["id"] != "wachtend":
            fact(FactType.AGREEMENT_ACTIVE, name, {"id": held["id"]})
    purposes = limit_documents.purposes((ROOT / "policies" / "purposes.yaml").read_text())
    fact(FactType.PURPOSES, "purposes", {"purposes": limit_documents.purpose_documents(purposes)})
    for ceiling in limit_documents.ceilings((ROOT / "policies" / "ceilings" / "persoon.v1.yaml").read_text()):
        held = limit_documents.ceiling_document(ceiling)
        fact(FactType.CEILING, f"ceiling/persoon.v1/{ceiling.purpose}", held)
    fact(FactType.RAW_DECLARED, "raw/rijksregister/personen", {"organisation": "rijksregister", "name": "personen"})
    report = {"adapter": "wegen", "module": "wegen", "package": "", "source": "rijksregister", "product": "persoon.v1"}
    made = {"id": "kaart", "report": report}
    offset, name = next(numbers), "adapter-certificate/kaart"
    assert folded.apply(offset, Fact(name, FactType.ADAPTER_CERTIFIED, name, 0, NOW, "rijksregister", made))
    return folded


@dataclass
class Control:
    state: ControlState = field(default_factory=state)
    is_fresh: bool = True
    reads: int = 0

    async def read_to_head(self) -> int:
        self.reads += 1
        return self.state.epoch

    def fresh(self) -> bool:
        return self.is_fresh

    async def append(self, kind: FactType, aggregate: str, data: Mapping[str, Any], *, by: str) -> int:
        folded = self.state
        fact = Fact(f"f{folded.epoch + 1}", kind, aggregate, folded.version(aggregate), NOW, by, data)
        assert folded.apply(folded.epoch + 1, fact)
        return folded.epoch


@dataclass
class Revocation:
    barriers: Mapping[int, int]
    duration_ms: float
    fenced: Sequence[int]


@dataclass
class Agreements:
    control: Control
    calls: list[tuple[str, str, str]] = field(default_factory=list)

    said: list[Mapping[str, Any]] = field(default_factory=list)
    """What came with each call beside agreement and organisation."""

    def _step(self, name: str, agreement: str, by: str, **said: Any) -> AgreementEntry:
        self.calls.append((name, agreement, by))
        self.said.append(said)
        return self.control.state.agreements[agreement]

    def _open(self, name: str, state: State, document: Mapping[str, Any], by: str) -> AgreementEntry:
        self.calls.append((name, document["id"], by))
        self.said.append({})
        return AgreementEntry(document["id"], 1, state, document, None, NOW, 99)

    async def draft(self, document: Mapping[str, Any], by: str) -> AgreementEntry:
        return self._open("draft", State.DRAFT, document, by)

    async def request(self, document: Mapping[str, Any], by: str) -> AgreementEntry:
        return self._open("request", State.REQUESTED, document, by)

    async def approve(self, agreement: str, by: str, **said: Any) -> AgreementEntry:
        return self._step("approve", agreement, by, **said)

    async def advise(self, agreement: str, advice: Advice, by: str, **said: Any) -> AgreementEntry:
        return self._step("advise", agreement, by, advice=advice, **said)

    async def sign(self, agreement: str, signature: Signature, by: str, **said: Any) -> AgreementEntry:
        return self._step("sign", agreement, by, signature=signature, **said)

    async def publish(self, agreement: str, by: str, **said: Any) -> AgreementEntry:
        return self._step("publish", agreement, by, **said)

    async def withdraw(self, agreement: str, by: str, **said: Any) -> AgreementEntry:
        return self._step("withdraw", agreement, by, **said)

    async def suspend(self, agreement: str, by: str, **said: Any) -> AgreementEntry:
        return self._step("suspend", agreement, by, **said)

    async def resume(self, agreement: str, by: str, **said: Any) -> AgreementEntry:
        return self._step("resume", agreement, by, **said)

    async def end(self, agreement: str, by: str, **said: Any) -> AgreementEntry:
        return self._step("end", agreement, by, **said)

    async def revoke(self, agreement: str, by: str, **said: Any) -> Revocation:
        self._step("revoke", agreement, by, **said)
        return Revocation({1: 12, 0: 11}, 41.26, (1,))


@dataclass
class Dossiers:
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By reference, where it is not what was asked."""
    trouble: Exception | None = None

    async def add(self, agreement: str, agency: str, *, known: Any = None, **form: Any) -> str:
        self.calls.append(("add", {"agreement": agreement, "agency": agency, **form}))
        if known is not None and not await known([form["subject"].encode()]):
            raise UnknownSubject("the source has no record of this subject now")
        return "registered"

    async def end(self, agreement: str, agency: str, **form: Any) -> str:
        self.calls.append(("end", {"agreement": agreement, "agency": agency, **form}))
        return "ended"

    def stream_key(self, agreement: str, agency: str, subject: str) -> bytes:
        return f"{agreement}/{agency}/{subject[:2]}".encode()

    async def add_many(
        self, agreement: str, agency: str, rows: Sequence[Opening], *, known: Any = None
    ) -> Sequence[Outcome]:
        self.calls.append(("add_many", {"agreement": agreement, "agency": agency, "rows": list(rows)}))
        if self.trouble is not None:
            raise self.trouble
        keys = {row.subject.encode() for row in rows}
        found = keys if known is None else await known(keys)
        return [
            self.outcomes.get(row.reference, REGISTERED if row.subject.encode() in found else STRANGER) for row in rows
        ]

    async def end_many(self, agreement: str, agency: str, rows: Sequence[Closing]) -> Sequence[Outcome]:
        self.calls.append(("end_many", {"agreement": agreement, "agency": agency, "rows": list(rows)}))
        return [self.outcomes.get(row.reference, ENDED) for row in rows]

    async def page(self, agreement: str, agency: str, after: str | None, *, limit: int) -> FilePage:
        self.calls.append(("page", {"agreement": agreement, "agency": agency, "after": after, "limit": limit}))
        files = [("P-2", None), ("P-1", NOW)] if after is None else [("P-3", None)]
        held = [Dossier(agreement, b"", "schuldeiser", reference, NOW, end, NOW) for reference, end in files]
        return FilePage(held, "00" * 16 if after is None else None)

    async def standing(self, agreement: str, agency: str) -> Standing:
        self.calls.append(("standing", {"agreement": agreement, "agency": agency}))
        return Standing(3, 2)


@dataclass
class Known:
    """Sources that have records of everybody but `strangers` (the fake register's keys are the subjects themselves)."""

    strangers: set[bytes] = field(default_factory=set)
    trouble: Exception | None = None

    async def among(self, topic: str, keys: Collection[bytes]) -> Collection[bytes]:
        assert topic == "source.rijksregister.persoon.v1"
        if self.trouble is not None:
            raise self.trouble
        return set(keys) - self.strangers


@dataclass
class Consents:
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def grant(self, agreement: str, agency: str, **form: Any) -> tuple[str, bool]:
        self.calls.append(("grant", {"agreement": agreement, "agency": agency, **form}))
        return "granted", True

    async def withdraw(self, agreement: str, agency: str, **form: Any) -> tuple[str, bool]:
        self.calls.append(("withdraw", {"agreement": agreement, "agency": agency, **form}))
        return "withdrawn", False

    async def list(self, agreement: str, _agency: str) -> Sequence[Consent]:
        return [Consent(agreement, b"k" * 32, NOW, None, NOW, frozenset({"naam"}), "T-1")]


class Replacements:
    async def replace(self, source: str, product: str, *, old: str, new: str) -> Replaced:
        assert (source, product, old, new) == ("rijksregister", "persoon.v1", "1", "2")
        return Replaced("replaced", 2, 1)


@dataclass
class Deliveries:
    """A topic in memory: records lie at even offsets, as if each had a transaction marker after it."""

    messages: list[Message] = field(default_factory=list)
    first: int = 0
    reads: list[tuple[str, int | None, int, float]] = field(default_factory=list)
    meanwhile: Any = None

    async def read(self, topic: str, position: int | None, *, limit: int, wait_s: float) -> Slice:
        self.reads.append((topic, position, limit, wait_s))
        if self.meanwhile:
            self.meanwhile()
        start = self.first if position is None else position
        if start < self.first:
            raise PositionExpired("expired")
        found = [message for message in self.messages if message.offset >= start][:limit]
        end = self.messages[-1].offset + 2 if self.messages else self.first
        return Slice(tuple(found), found[-1].offset + 1 if len(found) == limit else end)

    async def head(self, topic: str) -> int:
        del topic
        return self.messages[-1].offset + 2 if self.messages else self.first

    async def since(self, topic: str, at_ms: int) -> int:
        """As if a record were written each millisecond."""
        return min(at_ms, await self.head(topic))

    async def beyond(self, topic: str, position: int, *, wait_s: float) -> bool:
        """Looks again and again: what is in memory tells nobody."""
        with suppress(TimeoutError):
            return bool(await wait_until(lambda: self._goes_on(topic, position), timeout=wait_s))
        return False

    async def _goes_on(self, topic: str, position: int) -> bool:
        return await self.head(topic) > position

    async def find(self, topic: str, position: int, key: bytes, *, wait_s: float) -> Message | None:
        """What came since, if `meanwhile` brings it."""
        del topic, wait_s
        if self.meanwhile:
            self.meanwhile()
        found = (message for message in self.messages if message.offset >= position and message.key == key)
        return next(found, None)


class Receipts:
    async def find(self, identifier: bytes) -> Sequence[TracedReceipt]:
        if identifier not in {bytes([1]) * 16, bytes([2]) * 16}:
            return ()
        leaf = TracedDecision("parkeren", 1, "release", "changed", None, "02" * 16)
        at_ms = int(NOW.timestamp() * 1000)
        return (TracedReceipt("source.rijksregister.persoon.v1", 3, 7, 21, at_ms, at_ms + 4, "01" * 16, (leaf,)),)

    async def at(self, lane: int, offset: int) -> TracedReceipt | None:
        raise AssertionError((lane, offset))


@dataclass
class SpanRow:
    name: str
    service: str
    start_ms: float
    duration_ms: float


class Spans:
    def find(self, trace_id: str) -> Sequence[SpanRow]:
        held = {
            "01" * 16: [SpanRow("adapter.publish", "adapter", 1.0, 2.0), SpanRow("router.route", "router", 4.0, 3.5)],
            "02" * 16: [SpanRow("deliver.pull", "api", 9.0, 1.0)],
        }
        return held.get(trace_id, [])


class Keys:
    """Every key exists."""

    def get(self, name: str) -> bytes:
        return sha256(name.encode()).digest()

    ensure = get


class Population:
    """The same two people whatever the agreement."""

    async def identifiers(self, agreement: str) -> set[bytes]:
        del agreement
        return {b"08651712329", b"99610112345"}


@dataclass
class World:
    """Everything a test may look at or change."""

    control: Control
    agreements: Agreements
    dossiers: Dossiers
    known: Known
    deliveries: Deliveries
    http: httpx.AsyncClient

    def entry(self, agreement: str) -> AgreementEntry:
        return self.control.state.agreements[agreement]

    def move(self, agreement: str, kind: FactType) -> None:
        folded, name = self.control.state, f"agreement/{agreement}"
        fact = Fact("later", kind, name, folded.version(name), NOW, "test", {"id": agreement})
        assert folded.apply(folded.epoch + 1, fact)

    def deliver(self, *names: str, key: bytes | None = None) -> None:
        parsed = fastavro.parse_schema(json.loads(EGRESS))
        schema_id = self.entry("parkeren").egress_schema_id or 0
        for name in names:
            body = BytesIO()
            fastavro.schemaless_writer(body, parsed, {"achternaam": name})
            number = len(self.deliveries.messages)
            headers = (
                ("ce_id", b"%032x" % number),
                ("ce_type", b"be.vlaanderen.datanuts.persoon.v1"),
                ("ce_kind", b"changed"),
                ("ce_time", b"2026-11-24T12:00:00Z"),
                ("ce_agreementversion", b"1"),
                ("traceparent", b"00-%032x-%016x-01" % (number, number)),
            )
            value = wire_header(schema_id) + body.getvalue()
            self.deliveries.messages.append(Message(2 * number, key or b"%032x" % 7, value, headers))

    def barrier(self) -> None:
        headers = (
            ("ce_type", b"be.vlaanderen.datanuts.agreement.barrier"),
            ("ce_reason", b"REVOKED"),
            ("ce_epoch", b"40"),
        )
        self.deliveries.messages.append(Message(2 * len(self.deliveries.messages), b"barrier/0", None, headers))


@asynccontextmanager
async def opened(**others: Any) -> AsyncIterator[World]:
    """The application over fresh rooms; `others` are services by name in place of the usual ones."""
    control, dossiers, known, deliveries = Control(), Dossiers(), Known(), Deliveries()
    agreements = Agreements(control)
    rooms = (
        control,
        agreements,
        dossiers,
        known,
        Consents(),
        Replacements(),
        deliveries,
        Receipts(),
        Spans(),
        Policies(control),
    )
    nothing: Any = None  # tested over rooms of their own
    unused = dict.fromkeys(
        (
            "templates",
            "history",
            "rehearsals",
            "credentials",
            "looks",
            "tally",
            "replays",
            "halts",
            "mandates",
            "adapter_certificates",
            "products",
            "lives",
            "quarantine",
            "raw_sources",
            "raw_intake",
        ),
        nothing,
    )
    seals = {"seals": EventSeals(Keys())}
    app = create_app(Services(*rooms, Pseudonyms(control, Keys(), Population()), **unused | seals | others))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://broker.test") as http:
        yield World(control, agreements, dossiers, known, deliveries, http)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as made:
        yield made
