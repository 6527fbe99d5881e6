"""What the demo needs of a running stack; `broker.cli.stack` behind it."""

from typing import Any, Protocol

from broker.api.services import Services
from broker.control.keys import KeyStore
from broker.control.log import ControlLog
from broker.kafka.admin import KafkaAdmin
from broker.kafka.clients import KafkaClients


class Site(Protocol):
    """What all processes of the installation share."""

    @property
    def admin(self) -> KafkaAdmin:
        """Topics and their ends."""

    @property
    def clients(self) -> KafkaClients:
        """Makes Kafka clients."""

    @property
    def keys(self) -> KeyStore:
        """Keys by role."""

    @property
    def control(self) -> ControlLog:
        """The replayed control log."""

    @property
    def lanes(self) -> int:
        """Partitions of every source topic."""


class Stage(Protocol):
    """A running stack, set up from its reviewed documents."""

    @property
    def site(self) -> Site:
        """The installation."""

    @property
    def services(self) -> Services:
        """The use-cases behind the HTTP interface."""

    def counts(self) -> dict[str, Any]:
        """What the routers did since the stack started, as `broker.routing.counts.Counts.as_json`."""
