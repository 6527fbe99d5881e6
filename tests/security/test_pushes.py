"""Nothing of a push shows anywhere but on its raw topic: not in an answer, a log line, a span, a key or another topic."""

import json
import secrets
from collections.abc import Callable

import httpx
import pytest

from broker.model import topics
from tests.security.test_canary import by_place
from tests.stage import Stage

pytestmark = pytest.mark.timeout(200)

NAME = "personen"


async def test_nothing_of_a_push_shows_outside_its_raw_topic(stage: Stage, unique: Callable[[str], str]) -> None:
    organisation = unique("bron")
    await stage.declare(organisation, "persoon.v1")
    await stage.stack.services.raw_sources.declare(organisation, NAME, by="test")
    token = (await stage.stack.installation.credential(organisation, ("source-owner",))).token
    path = f"/v1/sources/{organisation}/raw/{NAME}"
    planted = [secrets.token_hex(16) for _ in range(12)]
    taken, wrong, keys = planted[:4], planted[4:9], planted[9:]
    lines = [json.dumps({"naam": each, each: 1}) for each in taken[1:]]
    lines += [wrong[0], f'{{"naam": "{wrong[1]}"', f'["{wrong[2]}"]', f'{{"{wrong[3]}": {"[" * 40}{"]" * 40}}}']
    asked = [
        (path, "application/json", json.dumps({"naam": taken[0]}), keys[0]),
        (path, "application/json", json.dumps({"naam": wrong[4]}), keys[0]),
        (path, "application/json", wrong[0], keys[1]),
        (path, "application/json", json.dumps({"naam": wrong[1] * 10_000}), keys[1]),
        (path, f"application/{wrong[2]}", "{}", keys[1]),
        (f"{path}/bulk", "application/x-ndjson", "\n".join(lines), keys[2]),
        (f"{path}/bulk", "application/x-ndjson", "\n".join(lines), keys[2]),
        (f"{path}/bulk", "application/x-ndjson", "\n".join(reversed(lines)), keys[2]),
        (f"{path}/bulk", "application/x-ndjson", "{}", f"{keys[1]} {wrong[3]}"),
    ]
    told, statuses = b"", []
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=stage.stack.connection.api, headers=headers, timeout=30, trust_env=False
    ) as http:
        for address, kind, body, key in asked:
            sent = {"Content-Type": kind, "Idempotency-Key": key}
            answer = await http.post(address, content=body, headers=sent)
            statuses.append(answer.status_code)
            told += answer.content + b"".join(name + value for name, value in answer.headers.raw)
    assert statuses == [202, 422, 400, 413, 400, 202, 202, 422, 400]
    found = await by_place(stage) | {"answers": told}
    shown = {
        place: [each for each in planted if each.encode() in text]
        for place, text in found.items()
        if any(each.encode() in text for each in planted)
    }
    assert shown == {}
    assert topics.INTAKE in found
    raw = b"".join(record.value for record in await stage.read(topics.raw(organisation, NAME)))
    assert [each for each in planted if each.encode() in raw] == taken, "the search finds what is there"
