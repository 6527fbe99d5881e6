"""Whatever fails and whenever the program ends: nothing is lost, order is kept, and only what was not kept comes again."""

import asyncio
from contextlib import suppress
from typing import Any

import httpx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.client.conftest import AGREEMENT, Broker, problem

WINDOW = 4
FAULTS = (
    lambda: httpx.ConnectError("refused"),
    lambda: httpx.ReadTimeout("slow"),
    lambda: problem(503, "KAFKA_UNAVAILABLE", **{"retry-after": "2"}),
    lambda: problem(500, "INTERNAL"),
    lambda: httpx.Response(200, text="<html>"),
)


class Consumer(RuleBasedStateMachine):
    """A program reads, is killed or ends, and starts again, while the broker delivers, repeats itself and fails.

    `effects` is what the program did, in order; its body did one thing per item, before it asked for the next.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.broker = Broker()
        self.sent: list[str] = []
        self.effects: list[str] = []
        self.reader: Any = None
        self.explicit = False
        self.doubtful: set[str] = set()
        """What was done since the position was kept last: it may come again after the program ended."""

    def teardown(self) -> None:
        if self.reader is not None:
            self.end(clean=True)
        self.runner.close()

    @initialize(explicit=st.booleans())
    def begin(self, *, explicit: bool) -> None:
        self.explicit = explicit

    @rule(number=st.integers(1, 4), marker=st.booleans())
    def deliver(self, number: int, *, marker: bool) -> None:
        new = [f"d{len(self.sent) + each}" for each in range(number)]
        self.sent += new
        self.broker.deliver(*new, marker=marker)

    @precondition(lambda self: self.sent)
    @rule(back=st.integers(1, WINDOW))
    def repeat(self, back: int) -> None:
        self.broker.deliver(self.sent[-min(back, len(self.sent))])

    @rule(faults=st.lists(st.sampled_from(FAULTS), max_size=3))
    def fail(self, faults: list[Any]) -> None:
        self.broker.faults.extend(make() for make in faults)

    @rule(seconds=st.sampled_from([0.1, 0.7, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.broker.clock.now += seconds

    @precondition(lambda self: self.reader is None)
    @rule()
    def start(self) -> None:
        made = self.broker.subscription(follow=False, window=2 * WINDOW, autocommit=not self.explicit)
        self.reader = self.runner.run(made.__aenter__())

    @precondition(lambda self: self.reader is not None)
    @rule(number=st.integers(1, 5))
    def consume(self, number: int) -> None:
        for _ in range(number):
            before = dict(self.broker.positions.kept)
            try:
                item = self.runner.run(anext(self.reader))
            except StopAsyncIteration:
                self._kept(before)
                assert self.effects[-1:] == self.sent[-1:]
                self.end(clean=True)
                return
            self._kept(before)
            assert item.id not in self.effects or item.id in self.doubtful
            self.effects.append(item.id)
            self.doubtful.add(item.id)

    @precondition(lambda self: self.reader is not None)
    @rule()
    def fail_in_the_body(self) -> None:
        """The program ends in order, but before it did anything with the item in hand."""
        before = dict(self.broker.positions.kept)
        with suppress(StopAsyncIteration):
            item = self.runner.run(anext(self.reader))
            assert item.id not in self.effects or item.id in self.doubtful
        self._kept(before)
        self.end(clean=True)

    @precondition(lambda self: self.reader is not None and self.explicit)
    @rule()
    def commit(self) -> None:
        before = dict(self.broker.positions.kept)
        self.runner.run(self.reader.commit())
        self._kept(before)

    @precondition(lambda self: self.reader is not None)
    @rule(clean=st.booleans())
    def end(self, *, clean: bool) -> None:
        if clean:
            before = dict(self.broker.positions.kept)
            self.runner.run(self.reader.__aexit__(None, None, None))
            self._kept(before)
        self.reader = None

    def _kept(self, before: dict[str, Any]) -> None:
        """A position was kept: never ahead of what the program did, and what it covers is beyond doubt."""
        kept = self.broker.positions.kept.get(AGREEMENT)
        if kept is None or kept == before.get(AGREEMENT):
            return
        covered = {row["id"] for row in self.broker.log[: int(kept.cursor)] if row}
        assert covered <= set(self.effects)
        self.doubtful -= covered

    @invariant()
    def first_effects_are_in_order_without_a_gap(self) -> None:
        firsts = list(dict.fromkeys(self.effects))
        assert firsts == self.sent[: len(firsts)]


TestConsumer = Consumer.TestCase
TestConsumer.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
