"""Raw sources: an organisation declares a name once; from then on there is a topic that its writers may be let into."""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from broker.control.log import ControlLog
from broker.errors import NotFound
from broker.model import topology
from broker.model.facts import FactType
from broker.model.raw_book import RawSource
from broker.model.topology import TopicSpec


class Topics(Protocol):
    """Topics of Kafka; `broker.kafka.admin` behind it."""

    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> Any:
        """Create the topics that do not exist yet."""


class RawSources:
    """Declares raw sources on the control log; who may is the caller's to check."""

    def __init__(self, control: ControlLog, kafka: Topics) -> None:
        self._control = control
        self._kafka = kafka
        self._turn = asyncio.Lock()

    async def declare(self, organisation: str, name: str, *, by: str) -> RawSource:
        """The raw source `name` of `organisation`, with its topic; the same again changes nothing.

        Nobody may write it yet (`Credentials.issue_writer`), and no credential ever reads it. Raises `Invalid` for what is
        no name, `NotFound` for an unknown organisation, `Conflict` where somebody else did it meanwhile.
        """
        spec = topology.raw(organisation, name)
        async with self._turn:
            await self._control.read_to_head()
            state = self._control.state
            if organisation not in state.organisations:
                raise NotFound(f"no organisation {organisation}: register it first")
            if (organisation, name) not in state.raw.declared:
                await self._kafka.ensure_topics([spec])
                data = {"organisation": organisation, "name": name}
                await self._control.append(FactType.RAW_DECLARED, f"raw/{organisation}/{name}", data, by=by)
            return state.raw.declared[organisation, name]
