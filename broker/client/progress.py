"""How far a subscriber came: what was handed to it, what it is done with, and what it would recognise as seen before."""

from broker.client.positions import Position


class Window:
    """The last `size` ids, in the order in which they came."""

    def __init__(self, size: int, ids: tuple[str, ...] = ()) -> None:
        self._size = size
        self._ids = dict.fromkeys(ids[-size:])

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._ids

    def add(self, identifier: str) -> None:
        """Remember one more, and forget the oldest if there are too many."""
        self._ids[identifier] = None
        if len(self._ids) > self._size:
            del self._ids[next(iter(self._ids))]

    def ids(self) -> tuple[str, ...]:
        """The oldest first."""
        return tuple(self._ids)


class Progress:
    """Positions in one stream, from what was `kept`; `window` is how many ids are remembered.

    `at` is the cursor after the last item that was handed over or passed over: where to read on. Only what is settled
    counts in `position`.
    """

    def __init__(self, kept: Position | None, window: int) -> None:
        self.at = self._done = None if kept is None else kept.cursor
        self._size = window
        self._recent = Window(window, () if kept is None else kept.recent)
        self._given = Window(window)

    def knows(self, identifier: str) -> bool:
        """Whether an item with this id was handed over before, as far back as is remembered."""
        return identifier in self._given or identifier in self._recent

    def give(self, identifier: str, after: str | None) -> None:
        """An item was handed over; `after` is the cursor behind it."""
        self._given.add(identifier)
        self.at = after

    def pass_over(self, after: str | None) -> None:
        """There is nothing to hand over up to here; that settles nothing."""
        self.at = after

    def settle(self) -> None:
        """The consumer is done with everything that was handed over."""
        for identifier in self._given.ids():
            self._recent.add(identifier)
        self._given = Window(self._size)
        self._done = self.at

    def restart(self) -> None:
        """Go on at the oldest retained item; ids stay remembered."""
        self.at = self._done = None

    def position(self) -> Position | None:
        """What to keep; None at the very start."""
        return None if self._done is None else Position(self._done, self._recent.ids())
