"""Replays: an agency is told again of the subjects that its agreement has it know now, and sees where that ends."""

from dataclasses import dataclass
from datetime import datetime

from broker.control.views import Control
from broker.errors import Conflict, Invalid, NotFound
from broker.model.agreement import State
from broker.model.facts import FactType
from broker.model.registered import Replay


@dataclass(frozen=True, slots=True)
class Replays:
    """Asks the lanes for replays; they tell them between live records, and say where each begins and ends."""

    control: Control
    lanes: int
    """Of the installation: so many say that they begin, and that they end."""

    async def request(self, agreement: str, *, since: datetime | None, now: datetime, by: str) -> Replay:
        """Have an active agreement told again of every subject whose last record is of `since` or later (None: of all).

        One that is under way makes place for it. Raises `NotFound`, `Conflict` unless the agreement is active, and
        `Invalid` for an instant that has not come.
        """
        if since is not None and since > now:
            raise Invalid("since: this instant has not come yet")
        await self.control.read_to_head()
        entry = self.control.state.agreements.get(agreement)
        if entry is None:
            raise NotFound("no such agreement")
        if entry.state is not State.ACTIVE:
            raise Conflict(f"{agreement} is {entry.state.value}: there is nothing to tell again until it is active")
        data = {"agreement": agreement, "since": None if since is None else since.isoformat()}
        await self.control.append(FactType.REPLAY_REQUESTED, f"replay/{agreement}", data, by=by)
        return self.control.state.replays[agreement]
