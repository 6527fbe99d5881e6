"""A drop is taken as its fact states it, or not at all."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.model.drop_book import Destination, DropBook
from broker.model.file_format import FileFormat
from broker.model.push_book import Change, Reason

NOW = datetime(2026, 11, 26, tzinfo=UTC)
TO = Destination("sftp.gent.be", 22, "datanuts", "in", FileFormat.AVRO, "ssh-ed25519 AAAA", timedelta(minutes=5))
SET = {"agreement": "a", "agency": "gent", "series": 1} | TO.as_data()


def take(book: DropBook, change: Change, epoch: int = 1, agency: str | None = "gent", **data: Any) -> bool:
    stated = SET if change is Change.SET else {"agreement": "a", "reason": "FAILING"}
    return book.take(change, stated | data, agency, NOW, epoch)


def test_a_destination_is_read_as_it_was_written_and_only_the_agreements_agency_sets_one() -> None:
    book = DropBook()
    for refused in ({"agency": "leuven"}, {"agency": None}, {"series": 2}):
        assert not take(book, Change.SET, **refused)
    assert not take(book, Change.REMOVED)
    assert take(book, Change.SET, epoch=4)
    assert (book.live["a"].to, book.live["a"].epoch, book.live["a"].series) == (TO, 4, 1)


def test_a_change_of_server_keeps_a_suspension_and_another_registration_has_another_number() -> None:
    book = DropBook()
    take(book, Change.SET)
    assert take(book, Change.SUSPENDED, epoch=2)
    assert take(book, Change.SET, epoch=3, host="sftp2.gent.be")
    assert (book.live["a"].suspended, book.live["a"].to.host) == (Reason.FAILING, "sftp2.gent.be")
    assert take(book, Change.RESUMED, epoch=4)
    assert take(book, Change.REMOVED, epoch=5)
    assert not take(book, Change.SET, epoch=6)
    assert take(book, Change.SET, epoch=7, series=2)
    assert [event.type for event in book.live["a"].events] == [Change.SET]


@pytest.mark.parametrize("damaged", [{"format": "xml"}, {"port": "x"}, {"everyS": None}])
def test_a_damaged_fact_changes_nothing(damaged: dict[str, Any]) -> None:
    book = DropBook()
    with pytest.raises((ValueError, TypeError)):
        take(book, Change.SET, **damaged)
    assert not book.live
