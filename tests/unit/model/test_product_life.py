"""Life cycle of a product version as the fold leaves it: what its owner may say when, and what may begin on it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.lifecycle import Step
from broker.model.product_life import ProductState

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SUNSET = NOW + 200 * DAY
ON = {"source": "rijksregister", "product": "persoon.v1"}


class Log:
    """A control log in memory at an instant that a test moves."""

    def __init__(self) -> None:
        self.state, self.at = ControlState(), NOW

    def say(self, kind: FactType, aggregate: str, **data: Any) -> bool:
        folded = self.state
        fact = Fact(f"f{folded.epoch}", kind, aggregate, folded.version(aggregate), self.at, "rijksregister", data)
        return folded.apply(folded.epoch + 1, fact)

    def declare(self, product: str = "persoon.v1", **more: Any) -> bool:
        data = {"id": product, "source": "rijksregister", "schema": f'"{product}"', **more}
        return self.say(FactType.PRODUCT, f"product/rijksregister/{product}", **data)

    def live(self, kind: FactType, **more: Any) -> bool:
        return self.say(kind, "product/rijksregister/persoon.v1", **ON, **more)

    def deprecate(self, **more: Any) -> bool:
        told = {
            "successor": "persoon.v2",
            "sunset": SUNSET.isoformat(),
            "reason": "Nieuw",
            "notice_days": 90,
            "text": "t",
        }
        return self.live(FactType.PRODUCT_DEPRECATED, **told | more)

    def request(self, agreement: str, product: str = "persoon.v1") -> bool:
        return self.say(FactType.AGREEMENT_REQUESTED, f"agreement/{agreement}", document=document(agreement, product))

    def step(self, kind: FactType, agreement: str) -> bool:
        return self.say(kind, f"agreement/{agreement}", id=agreement)

    @property
    def stands(self) -> ProductState:
        return self.state.lives.of("rijksregister", "persoon.v1").state


def document(agreement: str, product: str) -> Mapping[str, Any]:
    return {"id": agreement, "source": "rijksregister", "product": product, "agency": "stad-gent", "version": 1}


@pytest.fixture
def log() -> Log:
    made = Log()
    assert made.declare()
    return made


def test_a_version_goes_from_planned_to_ended_and_never_back() -> None:
    log = Log()
    assert log.declare(planned=True)
    assert (log.stands, log.deprecate()) == (ProductState.PLANNED, False)
    assert log.live(FactType.PRODUCT_LAUNCHED)
    assert (log.stands, log.live(FactType.PRODUCT_LAUNCHED)) == (ProductState.LIVE, False)
    assert log.deprecate()
    assert (log.stands, log.live(FactType.PRODUCT_LAUNCHED)) == (ProductState.DEPRECATED, False)
    assert not log.live(FactType.PRODUCT_ENDED)
    log.at = SUNSET
    assert log.live(FactType.PRODUCT_ENDED)
    assert (log.stands, log.deprecate(sunset=(SUNSET + DAY).isoformat())) == (ProductState.ENDED, False)


def test_a_version_that_nothing_was_said_of_is_live(log) -> None:
    assert log.stands is ProductState.LIVE
    assert not log.say(FactType.PRODUCT_DEPRECATED, "product/kbo/persoon.v1", source="kbo", product="persoon.v1")


def test_a_sunset_is_postponed_but_never_brought_forward(log) -> None:
    assert not log.deprecate(sunset=NOW.isoformat())
    assert log.deprecate()
    assert not log.deprecate(sunset=(SUNSET - DAY).isoformat())
    log.at = NOW + DAY
    assert log.deprecate(sunset=(SUNSET + DAY).isoformat(), reason="Later")
    told = log.state.lives.of("rijksregister", "persoon.v1").deprecation
    assert told is not None
    assert (told.since, told.sunset, told.reason) == (NOW, SUNSET + DAY, "Later")
    log.at = SUNSET + DAY
    assert not log.deprecate(sunset=(SUNSET + 9 * DAY).isoformat())


def test_a_deprecation_is_announced_and_is_an_event_of_every_agreement_that_is_not_over(log) -> None:
    for agreement in ("actief", "wacht", "over", "elders"):
        log.request(agreement, "persoon.v2" if agreement == "elders" else "persoon.v1")
    for agreement in ("actief", "over"):
        assert log.step(FactType.AGREEMENT_ACTIVE, agreement)
    assert log.step(FactType.AGREEMENT_ENDED, "over")
    before, decided = len(log.state.events), log.state.policy_epoch
    assert log.deprecate()
    assert log.state.policy_epoch == decided
    told = log.state.events[before:]
    assert [(each.agreement, each.agency, each.transition.type) for each in told] == [
        ("actief", "stad-gent", Step.DEPRECATED),
        ("wacht", "stad-gent", Step.DEPRECATED),
    ]
    made = log.state.announcements.made[-1]
    assert (made.epoch, made.product, made.ends) == (log.state.epoch, "persoon.v1", SUNSET.isoformat())
    assert [entry.id for entry in log.state.left_on("rijksregister", "persoon.v1")] == ["actief"]


def test_nothing_begins_after_the_sunset_and_what_is_in_force_goes_on(log) -> None:
    for agreement in ("actief", "wacht"):
        assert log.request(agreement)
    assert log.step(FactType.AGREEMENT_ACTIVE, "actief")
    assert log.deprecate()
    assert log.request("nog")
    log.at = SUNSET
    assert not log.request("nieuw")
    assert not log.step(FactType.AGREEMENT_ACTIVE, "wacht")
    assert log.step(FactType.AGREEMENT_SUSPENDED, "actief")
    assert log.step(FactType.AGREEMENT_ACTIVE, "actief")
    assert log.state.agreements["actief"].state is State.ACTIVE
    assert not log.live(FactType.PRODUCT_ENDED)
    assert log.step(FactType.AGREEMENT_ENDED, "actief")
    assert log.live(FactType.PRODUCT_ENDED)
    assert not log.request("nog later")


def test_on_a_planned_version_agreements_are_negotiated_and_none_begins() -> None:
    log = Log()
    assert log.declare(planned=True)
    assert log.request("vroeg")
    assert not log.step(FactType.AGREEMENT_ACTIVE, "vroeg")
    assert log.live(FactType.PRODUCT_LAUNCHED)
    assert log.step(FactType.AGREEMENT_ACTIVE, "vroeg")


@pytest.mark.parametrize("damaged", [{"sunset": "morgen"}, {"sunset": None}, {"notice_days": "x"}])
def test_a_damaged_fact_is_passed_over(log, damaged) -> None:
    assert not log.deprecate(**damaged)
    assert log.stands is ProductState.LIVE
