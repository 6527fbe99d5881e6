"""The receiver in docs/webhooks.md takes what we send, once, and nothing else."""

import re
import time
from pathlib import Path

import httpx
import pytest

from broker.delivery.streams import Message, Stream
from broker.delivery.webhook_event import CONTENT_TYPE, delivery
from broker.delivery.webhook_signature import shown, signed

DOCS = Path(__file__).parents[3] / "docs" / "webhooks.md"
KEY = bytes(range(32))
HEADERS = (("ce_id", b"9c1f"), ("ce_type", b"be.vlaanderen.datanuts.persoon.v1"), ("ce_kind", b"changed"),
           ("ce_time", b"2026-11-26T12:00:00Z"), ("ce_agreementversion", b"1"), ("traceparent", b"00-x"))  # fmt: skip


async def test_the_receiver_of_the_documentation_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hook.secret").write_text(shown(KEY) + "\n")
    names: dict[str, object] = {}
    exec(program, names)  # noqa: S102 - the documentation's own text
    stream = Stream("inwoners-gent", "delivery.stad-gent.inwoners-gent", stopped=False)
    call = delivery(stream, Message(7, b"k", b"v", HEADERS), {"naam": {"achternaam": "Testpersoon"}})
    headers = signed([KEY], call.id, int(time.time()), call.body) | {"Content-Type": CONTENT_TYPE}
    transport = httpx.ASGITransport(names["app"])  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://hook.test") as http:
        assert (await http.post("/datanuts", content=call.body + b" ", headers=headers)).status_code == 401
        for _ in range(2):
            assert (await http.post("/datanuts", content=call.body, headers=headers)).status_code == 204
    assert capsys.readouterr().out == "changed {'naam': {'achternaam': 'Testpersoon'}}\n"
