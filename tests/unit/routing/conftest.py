"""One product with two agreements on it, compiled as a router does, and records for its door."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fastavro
import pytest

from adapters.publication import Publication
from adapters.sdk import Change
from adapters.synthetic import GENT, move, people
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.wall import SubjectWall
from broker.policy import documents, limit_documents
from broker.routing.plans import Plans, TopicPlan
from broker.schema.avro import load_schema
from broker.schema.projection import compile_projection

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LANES = 4
K_LANE, K_LEDGER = b"l" * 32, b"r" * 32
SOURCE, PERSON = "rijksregister", "persoon.v1"


@dataclass
class Keys:
    """Different keys by name; counts how often it was asked."""

    asked: list[str] = field(default_factory=list)

    def get(self, name: str) -> bytes:
        self.asked.append(name)
        return name.encode().ljust(32, b".")[:32]

    ensure = get


class Log:
    """A control log as its fold leaves it."""

    def __init__(self) -> None:
        self.state = ControlState()
        self._offset = 0

    def fact(self, kind: FactType, aggregate: str, data: Mapping[str, Any], *, at: datetime = NOW) -> bool:
        fact = Fact(f"f{self._offset}", kind, aggregate, self.state.version(aggregate), at, "test", data)
        accepted = self.state.apply(self._offset, fact)
        self._offset += 1
        return accepted

    def agree(self, template: str, **changes: Any) -> str:
        text = (ROOT / "policies" / "agreements" / f"{template}.yaml").read_text()
        document = documents.agreement_document(documents.agreement(text)) | changes
        value = documents.agreement(document)
        schema = load_schema((ROOT / "schemas" / f"{PERSON}.avsc").read_text())
        egress = compile_projection(schema, value.fields, pseudonym_key=None).egress
        name = f"agreement/{value.id}"
        assert self.fact(FactType.AGREEMENT_REQUESTED, name, {"document": document, "egress": egress})
        assert self.fact(FactType.AGREEMENT_ACTIVE, name, {"id": value.id})
        return value.id

    def move(self, agreement: str, kind: FactType) -> None:
        assert self.fact(kind, f"agreement/{agreement}", {"id": agreement})

    def decode(self, value: bytes) -> dict[str, Any]:
        schema = self.state.schemas[int.from_bytes(value[1:5], "big")]
        parsed = fastavro.parse_schema(json.loads(schema.text))
        return dict(fastavro.schemaless_reader(BytesIO(value[5:]), parsed, None))


def log_of_two() -> Log:
    """persoon.v1, under today's ceilings, with the agreements of Gent and of statistics."""
    made = Log()
    schema = (ROOT / "schemas" / f"{PERSON}.avsc").read_text()
    made.fact(FactType.PRODUCT, f"product/{SOURCE}", {"id": PERSON, "source": SOURCE, "schema": schema})
    purposes = limit_documents.purposes((ROOT / "policies" / "purposes.yaml").read_text())
    made.fact(FactType.PURPOSES, "purposes", {"purposes": limit_documents.purpose_documents(purposes)})
    for ceiling in limit_documents.ceilings((ROOT / "policies" / "ceilings" / f"{PERSON}.yaml").read_text()):
        document = limit_documents.ceiling_document(ceiling)
        made.fact(FactType.CEILING, f"ceiling/{ceiling.purpose}", document)
    made.agree("inwoners-gent")
    made.agree("statistiek-vlaanderen")
    return made


@pytest.fixture
def log() -> Log:
    return log_of_two()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def plans(keys: Keys) -> Plans:
    return Plans(keys, SubjectWall("synthetic"))


@pytest.fixture
def plan(log: Log, plans: Plans) -> TopicPlan:
    """Of persoon.v1."""
    return plans.at(log.state)[f"source.{SOURCE}.{PERSON}"]


@pytest.fixture(scope="session")
def person() -> dict[str, Any]:
    rng = random.Random(7)
    (made,) = people(rng, 1, on=date(2026, 11, 24))
    return move(made, GENT, rng, on=date(2026, 11, 24))


@pytest.fixture(scope="session")
def publication() -> Publication:
    schema = load_schema((ROOT / "schemas" / f"{PERSON}.avsc").read_text())
    return Publication(SOURCE, schema, 1, k_lane=K_LANE, lanes=LANES)


@pytest.fixture
def record(publication: Publication, person: dict[str, Any]) -> SimpleNamespace:
    """As a consumer hands over what an adapter wrote."""
    stated = publication.state(Change("-", PERSON, person))
    return SimpleNamespace(
        topic=publication.topic,
        partition=stated.lane,
        offset=41,
        key=stated.key,
        value=stated.value,
        headers=(),
        timestamp=1,
    )
