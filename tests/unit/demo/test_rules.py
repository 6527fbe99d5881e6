"""Agreements come into force wherever an earlier run left them; the one above its ceiling never does."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.demo.cast import ELSEWHERE, HOME, THIRD
from broker.demo.rules import EXPIRED, PARKING, REFUSED, REVOKED, STATISTICS, YOUTH, Rules, residents
from broker.errors import AgreementRefused
from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.lifecycle import Advice, AgreementEntry, Signature
from broker.policy import documents

ROOT = Path(__file__).parents[3]
RULES = Rules(
    {
        path.stem: documents.agreement(path.read_text())
        for path in sorted((ROOT / "policies" / "agreements").glob("*.yaml"))
    }
)
NOW = datetime(2026, 11, 24, tzinfo=UTC)
REST = ["approve", "advise", "advise", "sign", "sign", "publish"]


@dataclass
class Broker:
    """Services as far as the rules use them: they keep what was asked and by whom."""

    state: ControlState = field(default_factory=ControlState)
    steps: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def control(self) -> "Broker":
        return self

    agreements = control

    async def request(self, document: Mapping[str, Any], by: str) -> AgreementEntry:
        if document["id"] == REFUSED:
            raise AgreementRefused((("ABOVE_CEILING", "nationaliteiten.code", "no"),))
        self.steps.append(("request", document["id"], by))
        known = self.state.agreements.get(document["id"])
        if known is not None and known.state is not State.ENDED:
            return known
        return self.put(document["id"], State.REQUESTED, document["version"], document)

    async def approve(self, agreement: str, by: str) -> AgreementEntry:
        return self.move("approve", agreement, by, state=State.APPROVED)

    async def advise(self, agreement: str, advice: Advice, by: str) -> AgreementEntry:
        return self.move("advise", agreement, by, advice=(*self.state.agreements[agreement].advice, advice))

    async def sign(self, agreement: str, signature: Signature, by: str) -> AgreementEntry:
        signatures = (*self.state.agreements[agreement].signatures, signature)
        state = State.SIGNED if len(signatures) > 1 else State.APPROVED
        return self.move("sign", agreement, by, signatures=signatures, state=state)

    async def publish(self, agreement: str, by: str) -> AgreementEntry:
        return self.move("publish", agreement, by, state=State.ACTIVE)

    async def end(self, agreement: str, by: str) -> AgreementEntry:
        return self.move("end", agreement, by, state=State.ENDED)

    def move(self, step: str, agreement: str, by: str, **changes: Any) -> AgreementEntry:
        self.steps.append((step, agreement, by))
        self.state.agreements[agreement] = entry = replace(self.state.agreements[agreement], **changes)
        return entry

    def put(
        self, agreement: str, state: State, version: int, document: Mapping[str, Any] | None = None
    ) -> AgreementEntry:
        held = document or documents.agreement_document(RULES.agreements[agreement])
        entry = AgreementEntry(agreement, version, state, held, None, NOW, 1, text_sha256="t")
        self.state.agreements[agreement] = entry
        return entry


def only(agreement: str) -> Rules:
    return replace(RULES, agreements={agreement: RULES.agreements[agreement]})


def test_the_policies_hold_every_agreement_of_the_story_with_six_purposes() -> None:
    named = {PARKING, YOUTH, STATISTICS, REFUSED, EXPIRED, *map(residents, (HOME, ELSEWHERE, THIRD))}
    assert named == RULES.agreements.keys()
    assert REVOKED in named
    assert len({agreement.purpose for agreement in RULES.agreements.values()}) == 6


async def test_every_step_is_taken_by_its_own_actor() -> None:
    broker = Broker()
    await RULES.in_force(broker, NOW)
    assert {name for _, name, _ in broker.steps} == RULES.agreements.keys() - {REFUSED}
    assert [(step, by) for step, name, by in broker.steps if name == PARKING] == [
        ("request", "gent-parkeren"),
        ("approve", "rijksregister"),
        ("advise", "rijksregister"),
        ("advise", "gent-parkeren"),
        ("sign", "rijksregister"),
        ("sign", "gent-parkeren"),
        ("publish", "rijksregister"),
    ]


@pytest.mark.parametrize(
    ("left", "steps", "version"),
    [
        (State.ACTIVE, [], 3),
        (State.REQUESTED, ["request", *REST], 3),
        (State.APPROVED, ["request", *REST[1:]], 3),
        (State.SIGNED, ["request", "publish"], 3),
        (State.REVOKED, ["end", "request", *REST], 4),
        (State.SUSPENDED, ["end", "request", *REST], 4),
        (State.ENDED, ["request", *REST], 4),
    ],
)
async def test_what_an_earlier_run_left_is_gone_on_from(left: State, steps: list[str], version: int) -> None:
    broker = Broker()
    broker.put(PARKING, left, 3)
    await only(PARKING).in_force(broker, NOW)
    assert [step for step, _, _ in broker.steps] == steps
    entry = broker.state.agreements[PARKING]
    assert (entry.state, entry.version) == (State.ACTIVE, version)


async def test_the_refusal_is_told_clause_by_clause() -> None:
    assert await RULES.refusal(Broker()) == (("ABOVE_CEILING", "nationaliteiten.code", "no"),)
