"""Every transaction of a runner holds the seals on its own records, and nothing is sealed that was not published."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from adapters import runner as running
from adapters.sdk import Broken, Change, SnapshotBegins, SnapshotEnds
from adapters.sealing import STATE as SEALS_ROW
from broker.errors import NotYetKnown
from broker.model.record import header
from broker.model.source_seal import SourceSeal, decode_seal, record_leaf
from tests.unit.adapters.wiring import STATE, Given, MemoryJournal, runner, works

SIGNATURE = bytes(64)


@dataclass
class Signer:
    """Signs with nothing; fails as often as told first."""

    fails: int = 0
    signed_for: list[str] = field(default_factory=list)

    def signed(self, seal: SourceSeal) -> SourceSeal:
        if self.fails:
            self.fails -= 1
            raise NotYetKnown("no key yet")
        self.signed_for.append(seal.organisation)
        return replace(seal, key=f"{seal.organisation}/1").with_signature(SIGNATURE)


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


async def run(adapter: Any, journal: MemoryJournal, **more: Any) -> None:
    await runner(adapter, journal, **{"signer": Signer()} | more).run(once=True)


def leaves_of(outputs: Any, product: str = "hinder.v1") -> list[bytes]:
    return [
        record_leaf(topic, header(headers, "ce_id") or b"", key, value)
        for (topic, _), rows in outputs.items()
        if topic.startswith("source.") and topic.endswith(product)
        for key, value, headers in rows
    ]


def seals_of(outputs: Any) -> list[SourceSeal]:
    return [decode_seal(row[1]) for (topic, _), rows in outputs.items() if topic.startswith("seals.") for row in rows]


async def test_every_record_is_in_the_seal_of_its_own_transaction(journal: MemoryJournal, monkeypatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 3)
    gone = Change(works(1).source_id, "hinder.v1", None, works(1).value["identificator"])
    await run(Given([*(works(number) for number in range(7)), gone, works(1)]), journal)
    found = [(seals_of(outputs), leaves_of(outputs)) for outputs in journal.outputs if leaves_of(outputs)]
    assert [len(seals) for seals, _ in found] == [1, 1, 1]
    for number, ([seal], leaves) in enumerate(found, 1):
        assert (list(seal.leaves), seal.whole, seal.number) == (leaves, True, number)
        assert (seal.adapter, seal.organisation, seal.product) == ("given", "gipod", "hinder.v1")
        assert (seal.at, seal.key) == ("2026-07-01T12:00:00Z", "gipod/1")
    assert len({seal.series for [seal], _ in found}) == 1


async def test_each_product_has_a_seal_of_its_owner(journal: MemoryJournal) -> None:
    other = Change("9", "organisatie.v1", None, "0123456749")
    await run(Given([works(1), other], sources={"hinder.v1": "gipod", "organisatie.v1": "kbo"}), journal)
    seals = {seal.product: seal for outputs in journal.outputs for seal in seals_of(outputs)}
    assert {product: seal.organisation for product, seal in seals.items()} == {
        "hinder.v1": "gipod",
        "organisatie.v1": "kbo",
    }
    assert journal.rows("seals.kbo.organisatie.v1")[0][2][0] is None


async def test_nothing_published_is_nothing_sealed(journal: MemoryJournal) -> None:
    await run(Given([Broken("1", "XML_MALFORMED")]), journal)
    assert journal.rows("seals.") == []
    assert SEALS_ROW not in journal.state
    await run(Given([works(1)]), journal)
    await run(Given([works(1)]), journal)
    assert len(journal.rows("seals.")) == 1, "a duplicate is not published again"


async def test_what_a_snapshot_deletes_is_sealed(journal: MemoryJournal) -> None:
    def taken(*numbers: int) -> Given:
        items = [works(number, kind="snapshot") for number in numbers]
        return Given([SnapshotBegins("hinder.v1"), *items, SnapshotEnds("hinder.v1")])

    await run(taken(1, 2, 3), journal)
    await run(taken(1, 2), journal)
    [seal] = seals_of(next(outputs for outputs in reversed(journal.outputs) if seals_of(outputs)))
    assert [row[1] for _, _, row in journal.rows("source.")][-1] is None
    assert len(seal.leaves) == 1


async def test_seals_are_counted_over_runs(journal: MemoryJournal) -> None:
    for number in range(3):
        await run(Given([works(number)]), journal)
    seals = [decode_seal(row[1]) for _, _, row in journal.rows("seals.")]
    assert [seal.number for seal in seals] == [1, 2, 3]
    assert len({seal.series for seal in seals}) == 1
    del journal.state[SEALS_ROW]
    await run(Given([works(9)]), journal)
    last = decode_seal(journal.rows("seals.")[-1][2][1])
    assert (last.number, last.series == seals[0].series) == (1, False), "a count that was lost begins another series"


@pytest.mark.parametrize("befalls", ["lost", "won"])
async def test_after_a_doubt_no_record_is_sealed_twice_or_not(
    journal: MemoryJournal, befalls: str, monkeypatch
) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 3)
    journal.trouble = [None, befalls]
    await run(Given([works(number) for number in range(8)]), journal)
    sealed = [leaf for outputs in journal.outputs for seal in seals_of(outputs) for leaf in seal.leaves]
    published = [leaf for outputs in journal.outputs for leaf in leaves_of(outputs)]
    assert sorted(sealed) == sorted(published)
    assert len(set(sealed)) == 8
    assert [seal.number for outputs in journal.outputs for seal in seals_of(outputs)] == [1, 2, 3]


async def test_without_a_key_nothing_is_published(journal: MemoryJournal) -> None:
    with pytest.raises(NotYetKnown):
        await run(Given([works(1)]), journal, signer=Signer(fails=99))
    assert journal.rows("source.") == []
    await run(Given([works(1)]), journal, signer=Signer(fails=2))
    assert len(journal.rows("source.")) == len(journal.rows("seals.")) == 1


async def test_the_count_lies_beside_the_cursor_and_holds_no_more(journal: MemoryJournal) -> None:
    await run(Given([works(1)]), journal)
    noted = json.loads(journal.state[SEALS_ROW])
    assert noted.keys() == {"series", "numbers"}
    assert noted["numbers"] == {"hinder.v1": 1}
    assert [key for key, _, _ in journal.outputs[0][STATE]][-1] == b"cursor"
