"""Seals of an adapter's own records: one per transaction and product, counted over all its runs.

The runner writes a seal in the transaction of the records that it is about, and the count beside the cursor: after any
doubt both are what was committed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from adapters.publication import Publication
from broker.batches import Row
from broker.model import topics
from broker.model.record import header
from broker.model.source_seal import SourceSeal, leaves_of

STATE = b"seals"
"""Key of the row beside the cursor: JSON {series, numbers: {product: number of its last seal}}."""


class Signer(Protocol):
    """Holds the sources' keys; `broker.control.source_seals` behind it."""

    def signed(self, seal: SourceSeal) -> SourceSeal:
        """The seal with the key of its organisation, the adapter's certificate and a signature; raises `Retriable`."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """How far an adapter's seals are counted."""

    series: str
    numbers: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def restored(cls, stored: bytes | None, series: str) -> Self:
        """What the state's row says; a new `series` (hex) where there is none."""
        if stored is None:
            return cls(series)
        noted = json.loads(stored)
        return cls(noted["series"], noted["numbers"])

    def rows(self) -> list[Row]:
        """The state's row, once there is a seal."""
        noted = {"series": self.series, "numbers": self.numbers}
        return [(STATE, json.dumps(noted, separators=(",", ":")).encode(), [])] if self.numbers else []

    def seal(
        self,
        outputs: Mapping[tuple[str, int], Sequence[Row]],
        publications: Iterable[Publication],
        signer: Signer,
        *,
        adapter: str,
        at: str,
    ) -> tuple["Sealed", dict[tuple[str, int], list[Row]]]:
        """Seals on the source records among `outputs`, by topic and partition, and the count with them.

        Leaves stand in the order of the rows: within a lane that of its records.
        """
        numbers, rows = dict(self.numbers), dict[tuple[str, int], list[Row]]()
        for publication in publications:
            leaf = leaves_of(publication.topic)
            leaves = [
                leaf(header(headers, "ce_id") or b"", key or b"", value)
                for (topic, _), written in outputs.items()
                if topic == publication.topic
                for key, value, headers in written
            ]
            if not leaves:
                continue
            product, organisation = publication.product, publication.organisation
            numbers[product] = numbers.get(product, 0) + 1
            seal = SourceSeal.over(
                leaves,
                adapter=adapter,
                organisation=organisation,
                product=product,
                at=at,
                series=self.series,
                number=numbers[product],
            )
            target = topics.seals(organisation, product), 0
            rows[target] = [(None, signer.signed(seal).encode(), [])]
        return Sealed(self.series, numbers), rows
