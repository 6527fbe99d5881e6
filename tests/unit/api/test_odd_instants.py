"""Instants at the ends of the calendar: in another zone they lie outside of it, and are refused, never a failure of ours."""

from collections.abc import AsyncIterator
from copy import deepcopy
from typing import Any

import pytest

from broker.errors import Invalid
from broker.policy import documents
from tests.unit.api import stand_ins
from tests.unit.api.conftest import World, document, opened
from tests.unit.api.expectations import ROWS
from tests.unit.api.test_access import Gate, _gate

BEYOND = ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
_A = "/v1/agreements/{agreement}"
PLACES = [
    (f"POST {_A}/dossiers", ("begin",)),
    (f"POST {_A}/dossiers", ("end",)),
    (f"POST {_A}/dossiers/end", ("end",)),
    (f"POST {_A}/consents", ("begin",)),
    (f"POST {_A}/consents/withdraw", ("end",)),
    (f"POST {_A}/replays", ("since",)),
    ("POST /v1/policy/explain", ("at",)),
    ("POST /v1/policy/what-if", ("since",)),
    ("POST /v1/policy/what-if", ("document", "term", "start")),
    ("POST /v1/agreements", ("term", "end")),
    ("POST /v1/organisations/{organisation}/credentials/{credential}/compromised", ("lastKnownGood",)),
]


@pytest.fixture(scope="module")
async def gate() -> AsyncIterator[Gate]:
    async with opened(**stand_ins.usual()) as world:
        yield _gate(world)


@pytest.mark.parametrize("instant", BEYOND)
@pytest.mark.parametrize(("operation", "place"), PLACES, ids=str)
async def test_an_instant_beyond_the_calendar_is_refused(gate: Gate, operation: str, place: Any, instant: str) -> None:
    row = next(row for row in ROWS if row.operation == operation)
    body = inside = deepcopy(row.body or {})
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = instant
    answer = await gate.world.http.request(row.method, row.path(), json=body, headers=_as_agency())
    assert (answer.status_code, instant in answer.text) == (400, False), answer.text


def _as_agency() -> dict[str, str]:
    return {"Authorization": "Bearer dn_m-agency_geheim"}


@pytest.mark.parametrize("edge", ["start", "end"])
@pytest.mark.parametrize("instant", BEYOND)
def test_no_agreement_says_an_instant_that_a_router_cannot_compare(edge: str, instant: str) -> None:
    asked = document("nieuw", "gent-parkeren")
    with pytest.raises(Invalid, match=edge):
        documents.agreement(asked | {"term": asked["term"] | {edge: instant}})


async def test_the_usual_words_for_without_end_are_taken(world: World) -> None:
    asked = document("nieuw", "gent-parkeren")
    ends = asked["term"] | {"end": "9999-12-31T00:00:00+01:00"}
    assert documents.agreement(asked | {"term": ends}).term.end is not None
    form = {"subject": "1", "reference": "P-1", "end": "9999-12-31T00:00:00+01:00"}
    path = "/v1/agreements/parkeren/dossiers"
    assert (await world.http.post(path, json=form, headers={"Authorization": "Bearer dn_c1_geheim_agency"})).is_success
