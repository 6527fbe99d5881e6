"""The HTTP interface dies by SIGKILL again and again below a source that pushes: each line is published once, in its order.

The source's program does what docs/adapters.md says: whatever was not answered is sent again with the same key.
"""

import asyncio
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from adapters.mapped import build, load_mapping
from broker.cli.publishing import runner_over
from broker.model import topics
from broker.model.keyed import lane_key
from broker.testing import wait_until
from tests.faults.test_api_killed import free_port, is_cut
from tests.stage import Router, Stage

pytestmark = pytest.mark.timeout(1800)

NAME = "werken"
MAPPING = """\
adapter: {organisation}
product: hinder.v1
organisation: {organisation}
source: {{kind: raw, name: werken, form: json}}
id: nummer
recordedAt: gewijzigd
fields:
  identificator: {{template: "https://gent.example/id/{{nummer}}"}}
  versie: {{template: "https://gent.example/id/{{nummer}}/1"}}
  contactorganisaties: {{const: []}}
  perioden: {{const: []}}
  zones: {{const: []}}
  oorzaken: {{const: []}}
"""
FILE = 2_500
PART = 500
_AGAIN_S = 0.05
_LONGEST_LIFE_S = 0.6


@dataclass
class Source:
    """A source with a program that pushes files of its own."""

    stage: Stage
    organisation: str
    port: int
    token: str
    origin: str = ""
    """Who is asked: whichever process listens on `port`, or this one."""
    sent: int = 0
    """Files that were answered."""
    cut: int = 0
    lines: list[bytes] = field(default_factory=list)

    def file(self) -> Sequence[bytes]:
        """The next works, which nobody told of before."""
        numbers = range(len(self.lines), len(self.lines) + FILE)
        made = [b'{"nummer": %d, "gewijzigd": "2026-01-01T10:00:00+01:00"}' % number for number in numbers]
        self.lines += made
        return made

    async def push(self, lines: Sequence[bytes], between: Callable[[int], object] = lambda _part: None) -> None:
        """Send a file until it is answered; `between` is told of each part before it goes."""

        async def body() -> AsyncIterator[bytes]:
            for number, start in enumerate(range(0, len(lines), PART)):
                waited = between(number)
                if asyncio.iscoroutine(waited):
                    await waited
                yield b"".join(line + b"\n" for line in lines[start : start + PART])
                await asyncio.sleep(0)

        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": secrets.token_hex(16),
        }
        path = f"/v1/sources/{self.organisation}/raw/{NAME}/bulk"
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
            while True:
                try:
                    origin = self.origin or f"http://127.0.0.1:{self.port}"
                    answer = await http.post(f"{origin}{path}", content=body())
                except httpx.HTTPError as error:
                    self.cut += is_cut(error) or isinstance(error, httpx.WriteError)
                    await asyncio.sleep(_AGAIN_S)
                    continue
                if answer.status_code == httpx.codes.ACCEPTED:
                    assert answer.text.count("accepted") == len(lines)
                    self.sent += 1
                    return
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
                await asyncio.sleep(_AGAIN_S)

    async def on_topic(self) -> int:
        """About how many lines lie there."""
        return sum((await self.stage.ends(topics.raw(self.organisation, NAME))).values())

    async def published(self, folder: Path) -> None:
        """Raise unless the raw topic holds what was pushed, in its order, and a mapping publishes each of it once."""
        raw = await self.stage.read(topics.raw(self.organisation, NAME))
        assert Counter(record.value for record in raw) == Counter(self.lines)
        assert [record.value for record in raw] == self.lines
        (folder / "mapping.yaml").write_text(MAPPING.format(organisation=self.organisation))
        schema = self.stage.schema(self.organisation, "hinder.v1")
        runner = await runner_over(
            self.stage.stack.site, build(load_mapping(folder, lambda _product: schema), None), ()
        )
        assert (await runner.run(once=True)).published == len(self.lines)
        k_lane = self.stage.stack.site.keys.get("lane")
        wanted = (f"https://gent.example/id/{number}".encode() for number in range(len(self.lines)))
        records = await self.stage.read(topics.source(self.organisation, "hinder.v1"))
        assert Counter(record.key for record in records) == dict.fromkeys(
            (lane_key(k_lane, each) for each in wanted), 1
        )


@pytest.fixture
async def source(stage: Stage, unique: Callable[[str], str]) -> Source:
    organisation = unique("wegen")
    await stage.declare(organisation, "hinder.v1")
    await stage.stack.services.raw_sources.declare(organisation, NAME, by="test")
    credential = await stage.stack.installation.credential(organisation, ("source-owner",))
    return Source(stage, organisation, free_port(), credential.token)


async def killed(api: Router) -> None:
    api.send(signal.SIGKILL)
    assert await api.ended() == -signal.SIGKILL


async def test_a_file_that_is_killed_below_is_published_once(stage: Stage, source: Source, tmp_path: Path) -> None:
    """The second process that is asked is that of the installation itself."""
    dead = asyncio.Event()

    async def between(part: int) -> None:
        """Hold the end of the file back until the process is gone: one piece is written by then, and one is not."""
        if part == FILE // PART - 1:
            await dead.wait()

    pushing = asyncio.create_task(source.push(source.file(), between))
    async with stage.router(command="api", DATANUTS_API_PORT=str(source.port)) as api:
        await wait_until(lambda: _some(source), timeout=60, every=0.1)
        await killed(api)
    source.origin = stage.stack.connection.api
    dead.set()
    await pushing
    assert source.cut == 1
    await source.published(tmp_path)


async def _some(source: Source) -> bool:
    return await source.on_topic() > 0


@pytest.mark.long
@pytest.mark.parametrize("kills", [50])
async def test_an_interface_that_is_killed_again_and_again_takes_each_line_once(
    stage: Stage, source: Source, tmp_path: Path, kills: int
) -> None:
    rng, over, began = random.Random(kills), asyncio.Event(), time.monotonic()
    environment = {"DATANUTS_API_PORT": str(source.port)}

    async def push() -> None:
        while not over.is_set():
            await source.push(source.file())

    pushing = asyncio.create_task(push())
    for _ in range(kills):
        async with stage.router(command="api", **environment) as api:
            before = await source.on_topic()

            async def further(before: int = before) -> bool:
                return await source.on_topic() > before

            await wait_until(further, timeout=60, every=0.05)
            await asyncio.sleep(rng.uniform(0, _LONGEST_LIFE_S))
            await killed(api)
    async with stage.router(command="api", **environment):
        over.set()
        await pushing
    await source.published(tmp_path)
    assert source.cut >= kills // 5, "hardly any kill came below a request"
    took = time.monotonic() - began
    print(f"{kills} kills in {took:.0f} s: {source.sent} files, {len(source.lines)} lines, {source.cut} cut")  # noqa: T201 - a figure, shown with -s
