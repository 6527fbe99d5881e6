"""What-if and redecide over HTTP: who may ask, what counts each side gets, and that a failed run is told."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from broker.api.app import create_app
from broker.api.services import Services
from broker.control.history import History
from broker.delivery.trail import TracedDecision, TracedReceipt
from broker.errors import KafkaUnavailable
from broker.model import topics
from broker.model.agreement import Agreement
from broker.model.facts import Fact, FactType
from broker.routing.rehearsal import Rehearsed, Tally
from tests.unit.api.office import Office, agreement_document, bearer
from tests.unit.api.test_policy_questions import office as office  # noqa: PLC0414 - the same fixture
from tests.unit.past import Topics

DELIVERY = "ab" * 16
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).isoformat()


@dataclass
class Rehearsals:
    """Plays what it was given."""

    steps: list[Rehearsed] = field(default_factory=list)
    fails: bool = False
    asked: list[tuple[Agreement, Agreement | None]] = field(default_factory=list)

    async def run(
        self, state: Any, draft: Agreement, current: Agreement | None, since: datetime, *, seconds: float
    ) -> AsyncGenerator[Rehearsed, None]:
        del state, since, seconds
        self.asked.append((draft, current))
        for step in self.steps:
            yield step
        if self.fails:
            raise KafkaUnavailable("the log cannot be read now", operator="KafkaError")


@dataclass
class Receipts:
    held: TracedReceipt

    async def find(self, identifier: bytes) -> Sequence[TracedReceipt]:
        return (self.held,) if identifier.hex() in {DELIVERY, self.held.trace} else ()

    async def at(self, lane: int, offset: int) -> TracedReceipt | None:
        return self.held if (lane, offset) == (3, 7) else None


@dataclass
class World:
    office: Office
    rehearsals: Rehearsals
    http: httpx.AsyncClient

    async def what_if(self, who: str, **changes: Any) -> httpx.Response:
        document = agreement_document("inwoners-gent", version=2)
        document.pop("conditions", None)
        body = {"document": document, "since": YESTERDAY} | changes
        return await self.http.post("/v1/policy/what-if", json=body, headers=bearer(who))

    async def redecide(self, who: str, **asked: Any) -> httpx.Response:
        return await self.http.post("/v1/policy/redecide", json=asked, headers=bearer(who))


@pytest.fixture
async def world(office: Office) -> AsyncIterator[World]:
    """The control log is in memory twice: folded, and as the topic that history reads."""
    kept, logs = office.log, Topics()
    replayed = type(kept.state)()
    for record in facts(office):
        logs.append(topics.CONTROL_LOG, 0, b"f", record.encode(), 0)
        replayed.apply(logs.ends[topics.CONTROL_LOG, 0] - 1, record)
    leaves = (
        TracedDecision("inwoners-gent", 1, "release", "changed", None, DELIVERY),
        TracedDecision("parkeerboetes-gent", 1, "withhold", "changed", "SUSPENDED", None),
    )
    receipt = TracedReceipt("timer", 3, 7, replayed.epoch, 1_780_000_000_000, 1, "cd" * 16, leaves, 0)
    rehearsals = Rehearsals()
    behind: dict[str, Any] = dict.fromkeys(each.name for each in fields(Services)) | {
        "control": kept,
        "receipts": Receipts(receipt),
        "history": History(logs.consumer, 4),
        "rehearsals": rehearsals,
    }
    transport = httpx.ASGITransport(create_app(Services(**behind)))
    async with httpx.AsyncClient(transport=transport, base_url="http://broker.test") as http:
        yield World(office, rehearsals, http)


def facts(office: Office) -> list[Fact]:
    """Facts that bring the agreements of the office into force."""
    found = []
    versions: Counter[str] = Counter()
    for name in ("inwoners-gent", "parkeerboetes-gent"):
        document = office.log.state.agreements[name].document
        aggregate = f"agreement/{name}"
        steps: list[tuple[FactType, dict[str, Any]]] = [
            (FactType.AGREEMENT_REQUESTED, {"document": document, "egress": "{}"}),
            (FactType.AGREEMENT_ACTIVE, {"id": name}),
        ]
        for kind, data in steps:
            at = datetime(2026, 1, 2, tzinfo=UTC)
            found.append(Fact(f"{name}{kind}", kind, aggregate, versions[aggregate], at, "t", data))
            versions[aggregate] += 1
    return found


def rehearsed(*, complete: bool = True) -> Rehearsed:
    draft = Tally(23, 3, 2300, 12, Counter({"OUTSIDE_POPULATION": 17, "NO_DOSSIER": 0}))
    return Rehearsed(draft, Tally(4, 1, 400, 4), 40, 20, gained=8, lost=2, complete=complete, read=40, total=40)


async def test_the_owner_gets_exact_counts_and_the_agency_steps_of_five(world: World) -> None:
    world.rehearsals.steps = [rehearsed()]
    exact = json.loads((await world.what_if("rijksregister")).text.splitlines()[-1])["result"]
    assert (exact["against"], exact["complete"], exact["records"], exact["gained"], exact["lost"]) == (
        1,
        True,
        40,
        8,
        2,
    )
    assert exact["draft"] == {
        "released": 23,
        "withoutValues": 3,
        "subjects": 12,
        "bytes": 2300,
        "withheld": {"NO_DOSSIER": 0, "OUTSIDE_POPULATION": 17},
    }
    coarse = json.loads((await world.what_if("stad-gent")).text.splitlines()[-1])["result"]
    assert coarse["draft"] == {
        "released": 20,
        "withoutValues": "<5",
        "subjects": 10,
        "bytes": 115 * 20,
        "withheld": {"NO_DOSSIER": "<5", "OUTSIDE_POPULATION": 15},
    }
    assert (coarse["current"]["released"], coarse["current"]["bytes"]) == ("<5", None)
    assert (coarse["gained"], coarse["lost"]) == (5, "<5")


async def test_the_run_is_against_what_is_in_force(world: World) -> None:
    world.rehearsals.steps = [rehearsed()]
    await world.what_if("stad-gent")
    ((draft, current),) = world.rehearsals.asked
    assert (draft.version, current and current.version) == (2, 1)


@pytest.mark.parametrize(("who", "status"), [("gent-parkeren", 403), ("kbo", 403), ("operator", 403)])
async def test_only_owner_and_agency_try_a_draft(world: World, who: str, status: int) -> None:
    assert (await world.what_if(who)).status_code == status
    assert world.rehearsals.asked == []


async def test_history_answers_nothing_that_no_agreement_may_ask(world: World) -> None:
    document = agreement_document("inwoners-gent", version=2)
    document["population"]["where"] = {"path": "geboorte.datum", "equals": "2001-02-03"}
    answer = await world.what_if("stad-gent", document=document)
    assert answer.status_code == 422
    assert "NOT_SELECTABLE" in {finding["code"] for finding in answer.json()["findings"]}
    assert world.rehearsals.asked == []


async def test_a_future_instant_and_an_id_of_others_are_refused(world: World) -> None:
    assert (await world.what_if("stad-gent", since="2999-01-01T00:00:00Z")).status_code == 400
    assert (await world.what_if("stad-gent", since="gisteren")).status_code == 400
    foreign = agreement_document("inwoners-gent", id="parkeerboetes-gent")
    foreign.pop("conditions", None)
    assert (await world.what_if("stad-gent", document=foreign)).status_code == 409


async def test_a_run_that_fails_says_so_on_its_last_line(world: World) -> None:
    world.rehearsals.steps, world.rehearsals.fails = [rehearsed(complete=False)], True
    last = json.loads((await world.what_if("stad-gent")).text.splitlines()[-1])
    assert last["problem"]["code"] == "KAFKA_UNAVAILABLE"
    assert "KafkaError" not in str(last)


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("operator", {"inwoners-gent", "parkeerboetes-gent"}),
        ("rijksregister", {"inwoners-gent", "parkeerboetes-gent"}),
        ("stad-gent", {"inwoners-gent"}),
        ("gent-parkeren", {"parkeerboetes-gent"}),
    ],
)
@pytest.mark.parametrize("asked", [{"delivery": DELIVERY}, {"lane": 3, "offset": 7}], ids=str)
async def test_parties_see_the_decisions_under_their_own_agreements(
    world: World, who: str, seen: set[str], asked: dict[str, Any]
) -> None:
    answer = await world.redecide(who, **asked)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert {each["agreement"] for each in body["decisions"]} == seen
    assert {each["check"] for each in body["decisions"]} == {"policy-only"}
    assert {each["why"] for each in body["decisions"]} == {"made on a timer, not on a record"}


async def test_a_receipt_that_is_not_there_and_one_of_others_look_the_same(world: World) -> None:
    foreign = await world.redecide("kbo", delivery=DELIVERY)
    absent = await world.redecide("kbo", delivery="ff" * 16)
    assert foreign.status_code == absent.status_code == 404
    assert foreign.json() == absent.json()
    assert (await world.redecide("operator", lane=3, offset=8)).status_code == 404
    trace_only = await world.redecide("operator", delivery="cd" * 16)
    assert trace_only.status_code == 404


@pytest.mark.parametrize("asked", [{}, {"lane": 3}, {"delivery": DELIVERY, "lane": 3, "offset": 7}], ids=str)
async def test_a_receipt_is_named_in_one_way(world: World, asked: dict[str, Any]) -> None:
    assert (await world.redecide("operator", **asked)).status_code == 400
