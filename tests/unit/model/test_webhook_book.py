"""Every reader of the log has the same subscriptions: a fact that may not be taken changes nothing."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.model.push_book import Change, Reason
from broker.model.webhook_book import WebhookBook

NOW = datetime(2026, 11, 26, tzinfo=UTC)
SET = {"agreement": "a", "agency": "gent", "url": "https://x.be/", "series": 1, "secret": 1}


def take(book: WebhookBook, change: Change, epoch: int = 1, agency: str | None = "gent", **data: Any) -> bool:
    given = SET if change is Change.SET else {"agreement": "a", "reason": "GONE"}
    return book.take(change, given | data, agency, NOW, epoch)


def test_only_the_agreements_agency_has_one_and_numbers_only_go_up() -> None:
    book = WebhookBook()
    assert not take(book, Change.SET, agency="leuven")
    assert not take(book, Change.SET, agency=None)
    assert not take(book, Change.SET, series=2)
    assert not take(book, Change.SET, secret=2)
    assert not take(book, Change.REMOVED)
    assert not book.live
    assert take(book, Change.SET)
    assert take(book, Change.SET, url="https://y.be/")
    assert not take(book, Change.SET, series=2)
    assert not take(book, Change.SET, secret=3)
    assert take(book, Change.SET, secret=2, previous=1, until="2026-11-27T00:00:00+00:00")
    assert not take(book, Change.SET, secret=1), "an old secret would count again"
    assert take(book, Change.REMOVED)
    assert (book.next_series("a"), book.next_secret("a")) == (2, 3)
    assert not take(book, Change.SET)
    assert take(book, Change.SET, series=2, secret=3)


def test_a_suspension_is_taken_once_and_stays_through_a_change_of_address() -> None:
    book = WebhookBook()
    assert not take(book, Change.SUSPENDED)
    take(book, Change.SET)
    assert not take(book, Change.RESUMED)
    assert take(book, Change.SUSPENDED, epoch=7)
    assert not take(book, Change.SUSPENDED)
    assert take(book, Change.SET, epoch=8)
    held = book.live["a"]
    assert (held.suspended, held.epoch) == (Reason.GONE, 8)
    assert [(each.type, each.epoch, each.reason) for each in held.events] == [
        (Change.SET, 1, None), (Change.SUSPENDED, 7, Reason.GONE), (Change.SET, 8, None),
    ]  # fmt: skip
    assert take(book, Change.RESUMED)
    assert book.live["a"].suspended is None


@given(st.lists(st.sampled_from(Change), max_size=60))
def test_what_is_kept_about_the_past_is_bounded(changes: list[Change]) -> None:
    book = WebhookBook()
    for number, change in enumerate(changes):
        new = "a" not in book.live
        numbers = {"series": book.next_series("a"), "secret": book.next_secret("a")} if new else {}
        if not new:
            numbers = {"series": book.live["a"].series, "secret": book.live["a"].secret}
        take(book, change, epoch=number, **numbers)
    for held in book.live.values():
        assert len(held.events) <= 20
        assert held.events[-1].epoch == held.epoch
