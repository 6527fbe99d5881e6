"""Which lanes move when routers come and go: as few as a fair share allows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.protocol.metadata import MetadataResponse_v1

from broker.kafka.clients import keeping_assignor

TOPIC, LANES = "lanes", 8
Owners = Mapping[int, str]


def cluster() -> ClusterMetadata:
    made = ClusterMetadata()
    partitions = [(0, lane, 1, [1], [1]) for lane in range(LANES)]
    made.update_metadata(MetadataResponse_v1([(1, "127.0.0.1", 9092, None)], 1, [(0, TOPIC, False, partitions)]))
    return made


@dataclass
class Group:
    """Members with what each remembers; `share` is one rebalance."""

    assignors: dict[str, Any] = field(default_factory=dict)

    def share(self, members: Collection[str]) -> Owners:
        self.assignors = {name: self.assignors.get(name) or keeping_assignor() for name in members}
        told = {name: assignor.metadata([TOPIC]) for name, assignor in self.assignors.items()}
        leader = next(iter(self.assignors.values()))
        owners: dict[int, str] = {}
        for name, given in leader.assign(cluster(), told).items():
            self.assignors[name].on_assignment(given)
            owners |= {target.partition: name for target in given.partitions()}
        assert len(owners) == LANES
        return owners


def moved(before: Owners, after: Owners) -> set[int]:
    return {lane for lane in after if before[lane] != after[lane]}


@pytest.mark.parametrize("joining", ["a", "m", "z"])
def test_who_joins_takes_its_share_and_no_other_lane_moves(joining: str) -> None:
    group = Group()
    two = group.share(["b", "y"])
    three = group.share(["b", "y", joining])
    assert moved(two, three) == {lane for lane, owner in three.items() if owner == joining}
    assert sorted(list(three.values()).count(name) for name in ("b", "y", joining)) == [2, 3, 3]


@pytest.mark.parametrize("leaving", ["b", "m", "y"])
def test_only_the_lanes_of_who_leaves_or_dies_move(leaving: str) -> None:
    group = Group()
    group.share(["b", "y"])
    three = group.share(["b", "m", "y"])
    two = group.share([name for name in ("b", "m", "y") if name != leaving])
    assert moved(three, two) == {lane for lane, owner in three.items() if owner == leaving}
