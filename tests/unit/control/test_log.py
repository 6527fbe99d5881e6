"""Who asks for the head of the log gets one that was there when they asked, or an error: never an older one."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from broker.control.log import ControlLog
from broker.errors import Stale
from broker.testing import wait_until


class Probe:
    """Answers each question when the test says so, with what it says."""

    def __init__(self) -> None:
        self.questions: list[asyncio.Future[int]] = []
        self.about: list[set[Any]] = []

    async def end_offsets(self, targets: list[Any]) -> dict[Any, int]:
        self.about.append(set(targets))
        question = asyncio.get_running_loop().create_future()
        self.questions.append(question)
        return dict.fromkeys(targets, await question)


class Clients:
    def __init__(self) -> None:
        self.probe = Probe()

    def consumer(self, group: str | None) -> Any:
        assert group is None
        return self.probe

    def producer(self) -> Any:
        return None


async def asked(probe: Probe, number: int) -> asyncio.Future[int]:
    await wait_until(lambda: len(probe.questions) >= number, every=0)
    return probe.questions[number - 1]


async def test_a_question_under_way_does_not_answer_who_asks_later() -> None:
    clients = Clients()
    log, probe = ControlLog(clients), clients.probe
    first = asyncio.create_task(log._head())
    await asked(probe, 1)
    second, third = asyncio.create_task(log._head()), asyncio.create_task(log._head())
    await asyncio.sleep(0)
    probe.questions[0].set_result(5)
    (await asked(probe, 2)).set_result(8)
    assert [await first, await second, await third] == [5, 8, 8]
    assert len(probe.questions) == 2


async def test_a_question_that_failed_answers_nobody_and_holds_nobody_up() -> None:
    clients = Clients()
    log, probe = ControlLog(clients), clients.probe
    first = asyncio.create_task(log._head())
    await asked(probe, 1)
    second, third = asyncio.create_task(log._head()), asyncio.create_task(log._head())
    await asyncio.sleep(0)
    probe.questions[0].set_result(5)
    (await asked(probe, 2)).set_exception(KafkaConnectionError())
    assert await first == 5
    for sharing in (second, third):
        with pytest.raises(Stale):
            await sharing
    fourth = asyncio.create_task(log._head())
    (await asked(probe, 3)).set_result(9)
    assert await fourth == 9


async def test_who_asks_beside_the_log_shares_its_question() -> None:
    clients = Clients()
    log, probe = ControlLog(clients), clients.probe
    papers = [TopicPartition("subjects.dossiers", lane) for lane in range(2)]
    first = asyncio.create_task(log._head())
    await asked(probe, 1)
    beside = [asyncio.create_task(log.read_beside(target)) for target in papers]
    await asyncio.sleep(0)
    probe.questions[0].set_result(0)
    (await asked(probe, 2)).set_result(0)
    assert await first == 0
    assert [end for end, _ in await asyncio.gather(*beside)] == [0, 0]
    assert probe.about == [{log._target}, {log._target, *papers}]


async def test_who_gives_up_takes_the_question_from_nobody() -> None:
    clients = Clients()
    log, probe = ControlLog(clients), clients.probe
    first, second = (asyncio.create_task(log._head()) for _ in range(2))
    await asked(probe, 1)
    first.cancel()
    probe.questions[0].set_result(7)
    assert await second == 7
    assert len(probe.questions) == 1
