"""What a raw topic holds, as an adapter reads it: messages in their order, and where some of them are no longer there."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message; `value` None is a tombstone, `received_ms` when Kafka took it in (epoch milliseconds).

    `behind` is where reading goes on after it: markers of transactions take places too, so it can be more than the next one.
    A message's key is not read: it can hold an identifier.
    """

    offset: int
    value: bytes | None = field(repr=False)
    received_ms: int
    behind: int


@dataclass(frozen=True, slots=True)
class RawGap:
    """The place that was asked for is not in the log: what was there is lost, and reading goes on from `behind`."""

    behind: int
