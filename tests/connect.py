"""A real Kafka Connect with Debezium's PostgreSQL connector, as its configuration by our command starts it; a test may kill it."""

import asyncio
import hashlib
import os
import shutil
import socket
import subprocess
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from broker.kafka import leash
from broker.kafka.runtime import find_java
from broker.testing import wait_until
from tests.conftest import ROOT

_POM = ROOT / "deploy" / "connect" / "pom.xml"
_MAIN = "org.apache.kafka.connect.cli.ConnectStandalone"


def jars() -> Path:
    """Folder of Connect's jars, with the connector in `plugins`; fetched by Maven once."""
    folder = ROOT / ".cache" / f"connect-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        maven = shutil.which("mvn")
        assert maven, "Maven is needed once, to fetch Kafka Connect"
        for goal, place, choice in (
            ("copy-dependencies", folder, "-DexcludeTypes=tar.gz"),
            ("unpack-dependencies", folder / "plugins", "-DincludeTypes=tar.gz"),
        ):
            fetch = [maven, "-B", "-q", "-f", str(_POM), f"dependency:{goal}", f"-DoutputDirectory={place}", choice]
            # Maven's markers stay beside what it unpacked.
            fetch.append(f"-DmarkersDirectory={folder / 'markers'}")
            subprocess.run(fetch, check=True, stdin=subprocess.DEVNULL, timeout=400)
        (folder / "complete").touch()
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Connect:
    """A standalone worker with one connector; `worker` are its properties by name, `connector` a file of JSON."""

    home: Path
    worker: Mapping[str, str]
    connector: Path
    name: str
    port: int = field(default_factory=_free_port)
    _process: Process | None = None

    async def start(self) -> None:
        """Start it; it is not ready yet."""
        folder = jars()
        own = {
            "listeners": f"http://127.0.0.1:{self.port}",
            "plugin.path": str(folder / "plugins"),
            "offset.storage.file.filename": str(self.home / "connect.offsets"),
        }
        file = self.home / "worker.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in {**self.worker, **own}.items()))
        java = [
            str(find_java()),
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{folder}/*",
            _MAIN,
        ]
        command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *java, str(file), str(self.connector)]
        with (self.home / "connect.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=log, stderr=log)

    async def running(self, within: float = 120.0) -> None:
        """Return once its task runs."""

        async def is_running() -> bool:
            assert self._process is not None
            assert self._process.returncode is None, (self.home / "connect.log").read_text()[-4000:]
            with suppress(httpx.HTTPError, ValueError):  # it answers before it is ready
                async with httpx.AsyncClient(trust_env=False) as client:
                    answer = await client.get(f"http://127.0.0.1:{self.port}/connectors/{self.name}/status")
                    return [task["state"] for task in answer.json().get("tasks", ())] == ["RUNNING"]
            return False

        await wait_until(is_running, timeout=within, every=0.5)

    async def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
