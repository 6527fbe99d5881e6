"""What is signed verifies with the public library of Standard Webhooks, under every secret that is valid, and nothing else does."""

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from broker.delivery.webhook_signature import shown, signed

KEY, NEXT = bytes(range(32)), bytes(range(32, 64))
BODY = json.dumps({"a": "café"}, ensure_ascii=False).encode()


def now() -> int:
    """The verifier has a clock of its own, and five minutes of patience: less than a run of all tests takes."""
    return int(time.time())


def test_a_receiver_with_either_secret_of_an_overlap_verifies() -> None:
    headers = signed([NEXT, KEY], "d1", now(), BODY)
    assert len(headers["webhook-signature"].split()) == 2
    for key in (KEY, NEXT):
        assert Webhook(shown(key)).verify(BODY, headers) == {"a": "café"}
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(bytes(32))).verify(BODY, headers)


@given(key=st.binary(min_size=32, max_size=32), body=st.dictionaries(st.text(max_size=9), st.text(max_size=9)))
def test_any_body_verifies_under_any_secret(key: bytes, body: dict[str, str]) -> None:
    raw = json.dumps(body).encode()
    assert Webhook(shown(key)).verify(raw, signed([key], "d1", now(), raw)) == body


CHANGES: dict[str, Callable[[int], dict[str, str]]] = {
    "another id": lambda _: {"webhook-id": "d2"},
    "later": lambda at: {"webhook-timestamp": str(at + 1)},
    "replayed after the window": lambda at: {"webhook-timestamp": str(at - 301)},
    "from the future": lambda at: {"webhook-timestamp": str(at + 301)},
    "no signature": lambda _: {"webhook-signature": ""},
    "another version": lambda at: {
        "webhook-signature": signed([KEY], "d1", at, BODY)["webhook-signature"].replace("v1,", "v2,")
    },
    "parts moved": lambda at: {"webhook-id": f"d1.{at}", "webhook-timestamp": ""},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_changed_on_the_way_does_not_verify(change: Callable[[int], dict[str, str]]) -> None:
    at = now()
    headers = signed([KEY], "d1", at, BODY)
    Webhook(shown(KEY)).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(KEY)).verify(BODY, headers | change(at))


def test_another_body_does_not_verify_and_an_old_call_is_too_old_even_if_signed() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(KEY)).verify(BODY + b" ", signed([KEY], "d1", now(), BODY))
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(KEY)).verify(BODY, signed([KEY], "d1", now() - 301, BODY))


def test_an_id_cannot_pass_for_an_id_and_an_instant() -> None:
    with pytest.raises(ValueError, match="full stop"):
        signed([KEY], "d1.1", now(), BODY)
