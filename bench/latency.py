"""From the instant a record should have been published until an agency can read its delivery, and a raw hop beside it.

Router, hop and their readers are processes of their own; the load changes between the two in turns, so that each is
measured alone and both in one run on one node.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.awaited import SHARES, Latencies, Spread, percentile
from bench.contenders import Contender, Stage, lived, raw_hop, stage
from bench.processes import cpu_s
from broker.cli.site import Site

_WARM_S = 5.0
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Turn:
    """One contender under load once."""

    latencies: Sequence[int]
    late: Sequence[int]
    cpu_share: float
    """CPU seconds of its process per second."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All turns of both."""

    rate: float
    seconds: float
    agreements: int
    router: Sequence[Turn]
    hop: Sequence[Turn]

    def as_json(self) -> Mapping[str, Any]:
        """Milliseconds; each percentile over all samples, its spread over the turns, and router ÷ hop of the turns' medians."""
        told = {name: _told(turns) for name, turns in (("router", self.router), ("hop", self.hop))}
        medians = {who: {name: told[who]["by_turn"][name]["median"] for name in SHARES} for who in told}
        late = sorted(each for turn in (*self.router, *self.hop) for each in turn.late)
        return {
            "rate": self.rate,
            "seconds": self.seconds,
            "turns": len(self.router),
            "agreements": self.agreements,
            **told,
            "ratios": {name: round(medians["router"][name] / medians["hop"][name], 3) for name in SHARES},
            "sent_late_ms": {name: round(percentile(late, SHARES[name]) / 1e6, 3) for name in ("p50", "p99", "max")},
            "load_average": round(os.getloadavg()[0], 2),
        }


async def measure(
    here: Site, *, rate: float, seconds: float, turns: int, agreements: int, progress: Progress
) -> Figures:
    """So many turns of each contender, of so many seconds at so many records a second, after a warm-up of each."""
    async with stage(here, agreements, progress=progress) as on:
        progress("warming the router")
        await on.router.load(on.producer, on.rows, rate, _WARM_S)
        async with raw_hop(on) as hop:
            progress("warming the hop")
            await hop.load(on.producer, on.rows, rate, _WARM_S)
            await on.router.load(on.producer, on.rows, rate, _WARM_S)
            found: dict[str, list[Turn]] = {"router": [], "hop": []}
            contenders = {"router": on.router, "hop": hop}
            for number in range(turns):
                for name in sorted(contenders, reverse=number % 2 == 0):
                    progress(f"{name}, turn {number + 1}")
                    found[name].append(await _turn(on, contenders[name], rate, seconds))
        lived(here, on.ends)
    return Figures(rate, seconds, agreements, found["router"], found["hop"])


async def _turn(on: Stage, contender: Contender, rate: float, seconds: float) -> Turn:
    before = cpu_s(contender.pid())
    taken = await contender.load(on.producer, on.rows, rate, seconds)
    share = (cpu_s(contender.pid()) - before) / seconds
    return Turn([latency for _, latency in taken], list(contender.late), share)


def _told(turns: Sequence[Turn]) -> Mapping[str, Any]:
    each = [Latencies.of(turn.latencies) for turn in turns]
    together = Latencies.of([latency for turn in turns for latency in turn.latencies])
    return {
        **together.as_json(),
        "by_turn": {name: Spread.of([one.ms[name] for one in each]).as_json() for name in SHARES},
        "cpu_share": Spread.of([turn.cpu_share for turn in turns]).as_json(),
    }
