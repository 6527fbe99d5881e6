"""Every topic's partitions and settings in one place (design §4); what differs from a broker's defaults, as pure values.

Fixed by docs/adr/2026-11-24-envelope-receipt-keys-and-topics.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from broker.model import topics

_HOUR_MS = 3600 * 1000
_DAY_MS = 24 * _HOUR_MS
_LARGEST_DELIVERY = 2 << 20
_LARGEST_RAW = 4 << 20
_SMALL_INDEX = MappingProxyType({"segment.index.bytes": "131072"})
"""The default of 10 MB per segment maps 200 GB at 10,000 partitions (design §7)."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic that must exist; `config` is what differs from the broker's defaults."""

    name: str
    partitions: int = 1
    config: Mapping[str, str] = field(default_factory=dict)


def installation(lanes: int) -> tuple[TopicSpec, ...]:
    """Topics that every installation has, before any product or agreement."""
    return (
        # Compaction trims the heartbeats (one key per worker); a fact's key is unique, so that none is ever compacted.
        TopicSpec(
            topics.CONTROL_LOG,
            config=_SMALL_INDEX
            | {
                "cleanup.policy": "compact",
                "segment.ms": str(_HOUR_MS),
                "delete.retention.ms": str(_HOUR_MS),
                "message.timestamp.type": "LogAppendTime",
            },
        ),
        TopicSpec(topics.LANES, lanes, _SMALL_INDEX),
        TopicSpec(
            topics.RECEIPTS, lanes, _SMALL_INDEX | {"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}
        ),
        TopicSpec(
            topics.DOSSIERS,
            lanes,
            _SMALL_INDEX
            | {
                "cleanup.policy": "compact",
                # A lane that starts again compares what it had told with what came since: both must still be there.
                "min.compaction.lag.ms": str(_DAY_MS),
                "segment.ms": str(_DAY_MS),
                "message.timestamp.type": "LogAppendTime",
            },
        ),
        # Twice as long as an idempotency key counts: what is deleted goes by whole segments.
        TopicSpec(
            topics.INTAKE,
            topics.INTAKE_SLOTS,
            _SMALL_INDEX | {"retention.ms": str(2 * _DAY_MS), "segment.ms": str(_DAY_MS // 2)},
        ),
    )


def source(organisation: str, product: str, lanes: int) -> TopicSpec:
    """Source topic of a product: compacted, so that the present state of every subject stays."""
    config = {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(7 * _DAY_MS),
        "max.compaction.lag.ms": str(10 * _DAY_MS),
        "segment.ms": str(_DAY_MS),
        "delete.retention.ms": str(7 * _DAY_MS),
        "message.timestamp.type": "LogAppendTime",
    }
    return TopicSpec(topics.source(organisation, product), lanes, _SMALL_INDEX | config)


def raw(organisation: str, name: str) -> TopicSpec:
    """Raw topic of a source: one partition, so that what its system did stays in its order; kept 7 days, and not compacted.

    LogAppendTime: how long personal data is kept is for our clock, not for the writer's. It takes larger records than a
    source topic: a change states a row before and after. See docs/adr/2026-11-26-raw-topics.md.
    """
    config = {
        "cleanup.policy": "delete",
        "retention.ms": str(7 * _DAY_MS),
        "segment.ms": str(_DAY_MS),
        "max.message.bytes": str(_LARGEST_RAW),
        "message.timestamp.type": "LogAppendTime",
    }
    return TopicSpec(topics.raw(organisation, name), config=_SMALL_INDEX | config)


def quarantine(organisation: str, product: str) -> TopicSpec:
    """Quarantine of a product: coordinates and reasons, kept 30 days."""
    name = topics.quarantine(organisation, product)
    return TopicSpec(name, config=_SMALL_INDEX | {"retention.ms": str(30 * _DAY_MS), "segment.ms": str(_DAY_MS)})


def seals(organisation: str, product: str) -> TopicSpec:
    """Seals on a product's records: kept for ever, as the last record of a subject is.

    LogAppendTime: whoever stole a source's key cannot date a seal back. See docs/adr/2026-11-26-source-seals.md.
    """
    config = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
    }
    return TopicSpec(topics.seals(organisation, product), config=_SMALL_INDEX | config)


def delivery(agency: str, agreement: str, retention_days: int) -> TopicSpec:
    """Delivery topic of an agreement: one partition, one cursor. CreateTime: see the ADR.

    It takes larger records than Kafka does by default: the largest that a source can write must fit in the envelope of
    its delivery, or it would stop its lane.
    """
    config = {
        "retention.ms": str(retention_days * _DAY_MS),
        "segment.ms": str(_DAY_MS),
        "max.message.bytes": str(_LARGEST_DELIVERY),
    }
    return TopicSpec(topics.delivery(agency, agreement), config=_SMALL_INDEX | config)


def cursors(adapter: str) -> TopicSpec:
    """Cursor and content hashes of an adapter's runner (R9)."""
    return TopicSpec(
        topics.cursors(adapter), config=_SMALL_INDEX | {"cleanup.policy": "compact", "segment.ms": str(_DAY_MS)}
    )
