"""What a webhook call carries: a CloudEvents 1.0 event in structured mode, with the same values as every other exit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from broker.delivery.streams import Message, Stream, item
from broker.model.record import EVENT_NAMESPACE

CONTENT_TYPE = "application/cloudevents+json"
LIFE_CYCLE_TYPE = f"{EVENT_NAMESPACE}.agreement.life-cycle"
TEST_TYPE = f"{EVENT_NAMESPACE}.webhook.test"
NOTHING_SAID: Mapping[str, str] = MappingProxyType({})
"""What a fact about the agreement says beside its reason."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its id (the same for every repetition) and its body."""

    id: str
    body: bytes


def delivery(stream: Stream, message: Message, data: Any) -> Call:
    """A delivery about a subject; its id is the delivery's."""
    shown = item(stream, message, data)
    extensions = {
        "kind": shown["kind"],
        "key": shown["key"],
        "cursor": shown["cursor"],
        "agreementversion": shown["agreementVersion"],
        "traceparent": shown["traceparent"],
        "reason": shown.get("reason"),
        "pseudonymepoch": shown.get("pseudonymEpoch"),
    }
    return _call(str(shown["id"]), shown["type"], stream.agreement, shown["time"], data, extensions)


def life_cycle(agreement: str, reason: str, epoch: int, at: str | None, told: Mapping[str, str] = NOTHING_SAID) -> Call:
    """What happened to the agreement by the fact at `epoch` (`SUSPENDED`, …), or what a notice says (`text`, `begins`, `ends`)."""
    identifier = f"{agreement}-{reason.lower()}-{epoch}"
    stated = {"kind": "life-cycle", "reason": reason, "epoch": epoch, **told}
    return _call(identifier, LIFE_CYCLE_TYPE, agreement, at, None, stated)


def test(agreement: str, identifier: str, at: str) -> Call:
    """A call about nobody, for whoever sets a receiver up."""
    return _call(identifier, TEST_TYPE, agreement, at, None, {"kind": "test"})


def _call(
    identifier: str, kind: str, agreement: str, time: str | None, data: Any, extensions: Mapping[str, Any]
) -> Call:
    """Extension names are lower-case letters and digits, as CloudEvents asks; what is absent is left out."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": identifier,
        "source": f"urn:datanuts:agreement:{agreement}",
        "type": kind,
        "agreement": agreement,
        **{name: value for name, value in extensions.items() if value not in {None, ""}},
    }
    if time is not None:
        event["time"] = time
    if data is not None:
        event |= {"datacontenttype": "application/json", "data": data}
    return Call(identifier, json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())
