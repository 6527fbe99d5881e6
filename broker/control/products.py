"""Products: a source declares a record type once; from then on every lane consumes its topic from offset 0."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from broker.control.log import ControlLog
from broker.errors import Conflict, NotFound
from broker.model import topics, topology
from broker.model.control_state import ControlState
from broker.model.facts import FactType
from broker.model.registered import Product
from broker.model.topology import TopicSpec
from broker.schema.avro import Schema, load_schema
from broker.schema.compatibility import changes, next_version, refused, same_schema, version_of


def changed_in_place(organisation: str, product: str) -> str:
    """What to tell whoever would change a declared product: its schema never does, its next version may."""
    after = next_version(product)
    return (
        f"the schema of {product} never changes: state `product` {after} in the text, and declare it beside the other with "
        f"`datanuts product declare FILE.avsc --as {organisation}`; agreements ask for {after} when they are ready"
    )


def predecessor(state: ControlState, organisation: str, product: str) -> Schema | None:
    """The latest earlier version of a source's record type; None for its first."""
    stem, number = version_of(product)
    earlier = [
        (version, known.schema_id)
        for known in state.products.values()
        if known.source == organisation
        for name, version in [version_of(known.id)]
        if name == stem and version < number
    ]
    return load_schema(state.schemas[max(earlier)[1]].text) if earlier else None


class Topics(Protocol):
    """Topics of Kafka; `broker.kafka.admin` behind it."""

    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> Any:
        """Create the topics that do not exist yet."""


class Positions(Protocol):
    """Committed positions of Kafka; `broker.kafka.clients` behind it."""

    async def commit_offsets(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set the committed positions of a group."""


class Products:
    """Declares products on the control log."""

    def __init__(self, control: ControlLog, kafka: Topics, positions: Positions, lanes: int) -> None:
        self._control = control
        self._kafka = kafka
        self._positions = positions
        self._lanes = lanes
        self._turn = asyncio.Lock()

    async def declare(self, organisation: str, schema: str, *, by: str, planned: bool = False) -> Product:
        """The product of `organisation` with this Avro JSON; the same declaration again changes nothing.

        `planned`: agreements on it are negotiated, and published once it is launched (`broker.control.product_lives`).

        Raises `SchemaRefused`, `NotFound` for an unknown organisation, and `Conflict` where the product has another schema
        or this is no compatible successor of the version before it.
        """
        parsed = load_schema(schema)
        async with self._turn:
            await self._control.read_to_head()
            state = self._control.state
            if organisation not in state.organisations:
                raise NotFound(f"no organisation {organisation}: register it first")
            known = state.products.get((organisation, parsed.product))
            if known is not None:
                if not same_schema(state.schemas[known.schema_id].text, parsed.text):
                    raise Conflict(changed_in_place(organisation, parsed.product))
                return known
            before = predecessor(state, organisation, parsed.product)
            if before is not None and (broken := refused(changes(before, parsed))):
                lines = "; ".join(map(str, broken))
                raise Conflict(f"{parsed.product} is no compatible successor of {before.product}: {lines}")
            source = topology.source(organisation, parsed.product, self._lanes)
            await self._kafka.ensure_topics([source, topology.quarantine(organisation, parsed.product)])
            # No committed offset must always mean loss (design §5), so every lane has one before it hears of the topic.
            beginnings = {(source.name, lane): 0 for lane in range(self._lanes)}
            await self._positions.commit_offsets(topics.ROUTER_GROUP, beginnings)
            data: dict[str, Any] = {"id": parsed.product, "source": organisation, "schema": parsed.text}
            data |= {"planned": True} if planned else {}
            await self._control.append(FactType.PRODUCT, f"product/{organisation}/{parsed.product}", data, by=by)
            return state.products[organisation, parsed.product]

    async def register_receipts(self, schema: str, *, by: str) -> None:
        """Give the receipts' schema its id, once."""
        await self._control.read_to_head()
        if schema not in self._control.state.schema_ids:
            data = {"subject": topics.RECEIPTS, "text": schema}
            await self._control.append(FactType.SCHEMA, f"schema/{topics.RECEIPTS}", data, by=by)
