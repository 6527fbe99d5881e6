"""Fold of what is announced to agencies, and of the products that their owners halted: nothing of these is released."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.model import topics
from broker.model.agreement import State
from broker.model.barrier import HALTED, Barrier, barrier
from broker.model.lifecycle import IN_FORCE, AgreementEntry
from broker.model.notice import Notice, NoticeReason, notice

ProductName = tuple[str, str]
"""Source and id."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """Something that agencies are told in their streams; of one product, of one source, or (both None) of the broker itself.

    `epoch` is the offset of its fact; `begins` and `ends` are instants as they were stated (RFC 3339), where there are any.
    """

    epoch: int
    reason: NoticeReason
    source: str | None
    product: str | None
    text: str
    begins: str | None = None
    ends: str | None = None

    def concerns(self, entry: AgreementEntry) -> bool:
        """Whether it is about what this agreement delivers."""
        product = str(entry.document["product"])
        return self.source in {None, entry.source} and self.product in {None, product}


@dataclass(slots=True)
class AnnouncementBook:
    """`halted`: products by the epoch of their halt; `made`: announcements, oldest first."""

    halted: dict[ProductName, int] = field(default_factory=dict)
    made: list[Announcement] = field(default_factory=list)

    def halt(self, data: Mapping[str, Any], epoch: int) -> bool:
        """Halt a product; False where it is."""
        name = str(data["source"]), str(data["product"])
        if name in self.halted:
            return False
        self.halted[name] = epoch
        return True

    def resume(self, data: Mapping[str, Any], epoch: int) -> bool:
        """Let a product go on; False where it was not halted."""
        name = str(data["source"]), str(data["product"])
        if self.halted.pop(name, None) is None:
            return False
        self.made.append(Announcement(epoch, NoticeReason.PRODUCT_RESUMED, *name, str(data.get("text", ""))))
        return True

    def deprecate(self, source: str, product: str, text: str, sunset: str, epoch: int) -> None:
        """Tell the agencies of a product of its sunset, an instant (RFC 3339)."""
        self.made.append(Announcement(epoch, NoticeReason.DEPRECATION, source, product, text, ends=sunset))

    def announce(self, data: Mapping[str, Any], epoch: int) -> bool:
        """Tell the agencies concerned."""
        self.made.append(
            Announcement(
                epoch,
                NoticeReason(data["reason"]),
                data.get("source"),
                data.get("product"),
                str(data["text"]),
                data.get("begins"),
                data.get("ends"),
            )
        )
        return True

    def halts(self, entry: AgreementEntry) -> int | None:
        """Epoch (never 0) of the halt of what this agreement delivers; None where it is not halted."""
        return self.halted.get((entry.source, str(entry.document["product"])))


def halts_due(
    book: AnnouncementBook, agreements: Mapping[str, AgreementEntry], *, lane: int, since_epoch: int
) -> Iterator[Barrier]:
    """Barriers that a lane owes for halts after the epoch of its last commit."""
    if not any(epoch > since_epoch for epoch in book.halted.values()):
        return
    for entry in agreements.values():
        epoch = book.halts(entry)
        if epoch is not None and epoch > since_epoch and entry.state is State.ACTIVE:
            yield barrier(topics.delivery(entry.agency, entry.id), lane, epoch, HALTED)


def notices_due(
    book: AnnouncementBook, agreements: Mapping[str, AgreementEntry], *, lane: int, lanes: int, since_epoch: int
) -> Iterator[Notice]:
    """Announcements after the epoch of a lane's last commit: each is told by one lane, in every stream that it concerns."""
    for told in reversed(book.made):
        if told.epoch <= since_epoch:
            return
        if told.epoch % lanes != lane:
            continue
        for entry in agreements.values():
            if entry.state in IN_FORCE and told.concerns(entry):
                topic = topics.delivery(entry.agency, entry.id)
                yield notice(topic, lane, told.epoch, told.reason, text=told.text, begins=told.begins, ends=told.ends)
