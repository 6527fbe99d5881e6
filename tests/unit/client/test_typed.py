"""Data as the agency's own values: validated, told apart from what does not fit, and never skipped."""

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from broker.errors import Invalid
from tests.unit.client.conftest import AGREEMENT, Broker


class Person(BaseModel):
    naam: str
    huisnummer: str | None


@dataclass
class Named:
    naam: str


class Numbered(BaseModel):
    naam: str
    huisnummer: int


@pytest.mark.parametrize("model", [Person, Named])
async def test_data_is_made_into_the_model(broker: Broker, model: type[Any]) -> None:
    broker.deliver("Peeters")
    broker.leave("d2")
    first, left = await broker.read(model=model)
    assert isinstance(first.data, model)
    assert first.data.naam == "Peeters"
    assert left.data is None


async def test_what_does_not_fit_is_named_by_place_and_comes_again(broker: Broker) -> None:
    broker.deliver("Peeters")
    with pytest.raises(Invalid, match=r"huisnummer \[int_type\].*datanuts client generate inwoners-gent") as refused:
        await broker.read(model=Numbered)
    assert "Peeters" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None
    assert AGREEMENT not in broker.positions.kept
    assert [item.data.naam for item in await broker.read(model=Person)] == ["Peeters"]
