"""Keys to seal with, as all readers of the control log see them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType

AT = datetime(2026, 7, 1, 12, tzinfo=UTC)
PUBLIC = "ab" * 32


class Log:
    def __init__(self) -> None:
        self.state, self.offset = ControlState(), 0
        self.fact(FactType.ORGANISATION, "organisation/gipod", id="gipod", name="GIPOD")

    def fact(self, kind: FactType, aggregate: str = "seal-key/gipod", **data: Any) -> bool:
        self.offset += 1
        expects = self.state.version(aggregate)
        return self.state.apply(self.offset, Fact(str(self.offset), kind, aggregate, expects, AT, "operator", data))

    def key(self, epoch: Any, **more: Any) -> bool:
        return self.fact(FactType.SEAL_KEY, **{"organisation": "gipod", "epoch": epoch, "public": PUBLIC} | more)

    def distrust(self, epoch: int, since: datetime) -> bool:
        return self.fact(FactType.SEAL_KEY_DISTRUSTED, organisation="gipod", epoch=epoch, since=since.isoformat())


def test_keys_follow_one_another() -> None:
    log = Log()
    assert log.state.seal_keys.present("gipod") is None
    assert not log.key(2)
    assert log.key(1)
    assert not log.key(1)
    assert log.key(2)
    assert [key.id for key in log.state.seal_keys.of("gipod")] == ["gipod/1", "gipod/2"]
    present = log.state.seal_keys.present("gipod")
    assert present is not None
    assert (present.epoch, present.public.hex(), present.since) == (2, PUBLIC, AT)


@pytest.mark.parametrize(
    "wrong", [{"organisation": "niemand"}, {"public": "ab"}, {"public": "zz" * 32}, {"public": None}]
)
def test_what_is_no_key_of_a_known_organisation_is_passed_over(wrong: dict[str, Any]) -> None:
    log = Log()
    assert not log.key(1, **wrong)
    assert not log.key("1")
    assert log.state.seal_keys.held == {}


def test_distrust_moves_back_only_and_never_meets_the_present_key() -> None:
    log = Log()
    log.key(1)
    assert not log.distrust(1, AT), "first there is another one to seal with"
    log.key(2)
    assert log.distrust(1, AT)
    assert not log.distrust(1, AT + timedelta(hours=1))
    assert log.distrust(1, AT - timedelta(hours=1))
    assert not log.distrust(3, AT)
    assert log.state.seal_keys.held["gipod/1"].distrusted == AT - timedelta(hours=1)
    assert log.state.seal_keys.held["gipod/2"].distrusted is None


def test_no_decision_changes_with_a_key() -> None:
    log = Log()
    before = log.state.policy_epoch
    log.key(1)
    assert log.state.policy_epoch == before
