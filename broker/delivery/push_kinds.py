"""The exits that bring deliveries to an agency: what each calls its facts, its positions and its log lines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic

from broker.model import topics
from broker.model.control_state import ControlState
from broker.model.drop_book import Drop
from broker.model.facts import FactType
from broker.model.push_book import Book, Change, R
from broker.model.webhook_book import Subscription
from broker.telemetry import Event


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """One of them. `group` names the consumer group of an agreement's position, `workers` the one that shares agreements out."""

    name: str
    workers: str
    group: Callable[[str], str]
    book: Callable[[ControlState], Book[R]]
    facts: Mapping[Change, FactType]
    suspended: Event
    trouble: Event
    unexpected: Event

    def aggregate(self, agreement: str) -> str:
        """What a fact about an agreement's registration is a fact about."""
        return f"{self.name}/{agreement}"


WEBHOOKS: Kind[Subscription] = Kind(
    "webhook",
    topics.WEBHOOK_GROUP,
    topics.webhook_group,
    lambda state: state.webhooks,
    {
        Change.SET: FactType.WEBHOOK_SET,
        Change.REMOVED: FactType.WEBHOOK_REMOVED,
        Change.SUSPENDED: FactType.WEBHOOK_SUSPENDED,
        Change.RESUMED: FactType.WEBHOOK_RESUMED,
    },
    suspended=Event.WEBHOOK_SUSPENDED,
    trouble=Event.WEBHOOK_TROUBLE,
    unexpected=Event.WEBHOOK_UNEXPECTED,
)

DROPS: Kind[Drop] = Kind(
    "drop",
    topics.DROP_GROUP,
    topics.drop_group,
    lambda state: state.drops,
    {
        Change.SET: FactType.DROP_SET,
        Change.REMOVED: FactType.DROP_REMOVED,
        Change.SUSPENDED: FactType.DROP_SUSPENDED,
        Change.RESUMED: FactType.DROP_RESUMED,
    },
    suspended=Event.DROP_SUSPENDED,
    trouble=Event.DROP_TROUBLE,
    unexpected=Event.DROP_UNEXPECTED,
)
