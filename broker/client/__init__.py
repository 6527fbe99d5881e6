"""The subscriber's side: an agency's program imports this room, and nothing else of the broker. See docs/client.md."""

from broker.client.certificate import Certificate
from broker.client.delivery import Delivery, LifeCycle
from broker.client.exits import Kafka
from broker.client.patience import Patience
from broker.client.positions import FilePositions, MemoryPositions, Position, Positions
from broker.client.subscription import Subscription

__all__ = [
    "Certificate",
    "Delivery",
    "FilePositions",
    "Kafka",
    "LifeCycle",
    "MemoryPositions",
    "Patience",
    "Position",
    "Positions",
    "Subscription",
]
