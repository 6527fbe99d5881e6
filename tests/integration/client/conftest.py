"""One installation of two lanes for the folder; every test has agreements and people of its own."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.synthetic import MUNICIPALITIES
from broker.client import Kafka, MemoryPositions, Subscription
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd, living_in
from tests.stage import Stage, installation

GENT = next(place for place in MUNICIPALITIES if place.name == "Gent")


class Office:
    """An agency, `stad-gent`, with what it was given; and the register that publishes people in its population."""

    agency = "stad-gent"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.crowd = Crowd()

    @property
    def credential(self) -> dict[str, Any]:
        path = self.stage.stack.home.root / "credentials" / f"{self.agency}.json"
        held: dict[str, Any] = json.loads(path.read_text())
        return held

    @property
    def url(self) -> str:
        return self.stage.stack.connection.api

    def kafka(self, **changes: str) -> Kafka:
        own = self.credential
        login = {"username": own["kafka_username"], "password": own["kafka_password"]} | changes
        return Kafka(self.stage.stack.connection.kafka, **login, protocol="SASL_PLAINTEXT")

    def subscription(self, agreement: str, **given: Any) -> Subscription[Any]:
        usual = {"url": self.url, "token": self.credential["token"], "positions": MemoryPositions()}
        return Subscription(agreement, **usual | given)

    async def publish(self, number: int) -> list[Any]:
        """State so many new inhabitants, routed to the end."""
        people = living_in(GENT, self.crowd.people(number))
        await self.publish_these(people)
        return people

    async def publish_these(self, people: list[Any]) -> None:
        async with self.stage.router():
            await self.stage.publish(SOURCE, PRODUCT, people)
            await self.stage.drained(TOPIC)


@pytest.fixture(scope="session")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    async with installation(tmp_path_factory.mktemp("client"), lanes=2) as made:
        yield Office(made)


@pytest.fixture
async def agreement(office: Office) -> str:
    """An agreement in force over the inhabitants of Gent."""
    return await office.stage.agreement("inwoners-gent")
