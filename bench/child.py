"""Parts of a measurement in processes of their own: `python -m bench.NAME`, told what to do on standard input.

Nothing secret is an argument. A part says `ready` on standard output, works until it is told to stop, and cannot
outlive the process that started it (Linux).
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from broker.cli.processes import stopping
from broker.kafka import leash
from broker.kafka.clients import KafkaAccess, KafkaClients

_READY_S = 120.0
_STOP_S = 15.0
_READY = b"ready\n"


@asynccontextmanager
async def part(name: str, access: KafkaAccess, told: Mapping[str, Any], log: Path) -> AsyncIterator[int]:
    """Run `bench.NAME` during the block, once it is ready; yields its process id. Raises `RuntimeError` if it failed."""
    held = {**asdict(access), "ca": None if access.ca is None else str(access.ca)}
    command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), sys.executable, "-m", f"bench.{name}"]
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    try:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a part of the measurement has no pipes")
        process.stdin.write(json.dumps({"access": held, **told}).encode())
        process.stdin.close()
        said = await asyncio.wait_for(process.stdout.readline(), _READY_S)
        if said != _READY:
            raise RuntimeError(f"bench.{name} did not start: see {log}")
        yield process.pid
        if process.returncode is not None:
            raise RuntimeError(f"bench.{name} ended with {process.returncode}: see {log}")
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()


def become(
    work: Callable[[KafkaClients, Mapping[str, Any], Callable[[], None], asyncio.Event], Coroutine[Any, Any, None]],
) -> None:
    """Be a part: `work` gets Kafka, what it was told, what it calls once it is ready, and the event that stops it."""
    told = json.load(sys.stdin)
    access = told.pop("access")
    clients = KafkaClients(KafkaAccess(**{**access, "ca": access["ca"] and Path(access["ca"])}))

    def ready() -> None:
        sys.stdout.buffer.write(_READY)
        sys.stdout.flush()

    async def run() -> None:
        async with stopping() as stop:
            await work(clients, told, ready, stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
