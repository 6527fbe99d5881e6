"""Signatures of webhook calls after the Standard Webhooks specification (v1, symmetric): any of its libraries verifies them."""

import base64
import hmac
from collections.abc import Sequence

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"

_PREFIX = "whsec_"


def shown(key: bytes) -> str:
    """The secret as its receiver configures it."""
    return _PREFIX + base64.b64encode(key).decode()


def signed(keys: Sequence[bytes], identifier: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a call: one signature per key, over id, instant (seconds since the epoch) and body.

    `identifier` holds no full stop, so that the parts cannot be read in another way.
    """
    if "." in identifier:
        raise ValueError("a full stop in the id of a webhook")
    over = b"%s.%d.%s" % (identifier.encode(), timestamp, body)
    signatures = (base64.b64encode(hmac.digest(key, over, "sha256")).decode() for key in keys)
    return {
        ID: identifier,
        TIMESTAMP: str(timestamp),
        SIGNATURE: " ".join(f"v1,{signature}" for signature in signatures),
    }
