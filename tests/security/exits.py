"""Everything that one agency gets about one agreement, by exit, as bytes: status lines, headers and bodies as they come."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import httpx
from aiokafka.structs import ConsumerRecord

from broker.client import FilePositions, Kafka, Subscription
from broker.model import topics
from broker.model.cursor import position_of
from broker.model.record import header
from tests.stage import Stage

Found = dict[str, bytes]
"""What was seen, by the name of the exit."""

OPERATOR = "operator"
PULLED = {
    "pull-json": "application/json",
    "pull-ndjson": "application/x-ndjson",
    "pull-avro": "application/avro",
    "pull-json-ld": "application/ld+json",
}
LDES = {"ldes-json-ld": "application/ld+json", "ldes-turtle": "text/turtle"}
DATA_EXITS = frozenset({*PULLED, *LDES, "events", "file-ndjson", "file-avro", "sdk-http", "sdk-kafka"})
"""Exits that show released values; a scan of one that does not show them would prove nothing."""

_ENDLESS = "/v1/deliveries/{agreement}/events"
SHOWN_BY_DATA = ("/v1/deliveries/", "/v1/ldes/")


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency with the credential that its installation left for it."""

    stage: Stage
    agreement: str
    http: httpx.AsyncClient
    operator: httpx.AsyncClient

    @property
    def path(self) -> str:
        return f"/v1/deliveries/{self.agreement}"

    @property
    def name(self) -> str:
        return self.stage.standing(self.agreement).agreement.agency

    async def data(self, folder: Path) -> Found:
        """Every exit that shows deliveries, up to the last record; `folder` is for the subscribers' positions."""
        credential = self.stage.stack.home.credential_of(self.name)
        login = (credential.kafka_username, credential.kafka_password)
        kafka = Kafka(self.stage.stack.connection.kafka, *login, protocol="SASL_PLAINTEXT")
        found = await self.plain()
        for name in ("pull-avro", "pull-json-ld"):
            found[name] = await self._pages(PULLED[name])
        found["file-avro"] = await self._files("avro")
        for name, by in (("sdk-http", None), ("sdk-kafka", kafka)):
            found[name] = await self._subscriber(folder / name, credential.token, by)
        return found | await self._ldes()

    async def plain(self) -> Found:
        """The exits that show an item as one object of JSON."""
        found = {name: await self._pages(PULLED[name]) for name in ("pull-json", "pull-ndjson")}
        return found | {"file-ndjson": await self._files("ndjson"), "events": await self._events()}

    async def answers(self) -> dict[str, tuple[int, bytes]]:
        """Every address of the HTTP interface that is read, newer ones included: the best status, and bytes of both answers.

        It is asked as the operator and, where `data` does not ask it, as the agency.
        """
        document = (await self.http.get("/openapi.json")).json()
        found = {}
        for path, asked in self._addresses(document):
            callers = (self.operator,) if path.startswith(SHOWN_BY_DATA) else (self.operator, self.http)
            answers = [await client.get(asked) for client in callers]
            found[path] = min(each.status_code for each in answers), b"\n".join(map(_told, answers))
        for number, trace in enumerate(await self._traces()):
            answer = await self.operator.get(f"/v1/traces/{trace}")
            found[f"trace {number}"] = answer.status_code, _told(answer)
        return found

    async def refusals(self, foreign: str, waiting: str) -> dict[str, tuple[int, bytes]]:
        """Answers to what is not possible: status and bytes, by what was wrong."""
        asked: Mapping[str, tuple[str, dict[str, str]]] = {
            "bad cursor": (f"{self.path}?after=x", {}),
            "bad limit": (f"{self.path}?limit=0", {}),
            "bad event id": (f"{self.path}/events", {"Last-Event-ID": "x"}),
            "bad form": (self.path, {"Accept": "text/csv"}),
            "bad form of a page": (f"/v1/ldes/{self.agreement}", {"Accept": "text/csv"}),
            "not active yet": (f"/v1/deliveries/{waiting}", {}),
            "another's": (f"/v1/deliveries/{foreign}", {}),
            "no such member": (f"/v1/ldes/{self.agreement}/members/{'f' * 32}", {}),
            "no such page": (f"/v1/ldes/{self.agreement}/pages/999999", {}),
            "no credential": (self.path, {"Authorization": "Bearer x"}),
        }
        answers = {name: await self.http.get(path, headers=headers) for name, (path, headers) in asked.items()}
        answers["no such method"] = await self.http.delete(self.path)
        return {name: (answer.status_code, _told(answer)) for name, answer in answers.items()}

    async def _last(self) -> ConsumerRecord:
        return (await self.stage.read(self.stage.delivery_topic(self.agreement)))[-1]

    async def _pages(self, form: str) -> bytes:
        """Pages by the links between them."""
        last, pages, asked = await self._last(), b"", f"{self.path}?limit=1000"
        while True:
            answer = await self.http.get(asked, headers={"Accept": form})
            assert answer.status_code == httpx.codes.OK, answer.text
            pages += _told(answer)
            asked = answer.links["next"]["url"]
            if position_of(self.agreement, httpx.URL(asked).params["after"]) > last.offset:
                return pages

    async def _files(self, form: str) -> bytes:
        """Files one after the other: one of Avro ends where the schema changes."""
        last, query, files = await self._last(), {"format": form}, b""
        while True:
            answer = await self.http.get(f"{self.path}/file", params=query)
            assert answer.status_code == httpx.codes.OK, answer.text
            files += _told(answer)
            if form == "ndjson":
                return files
            *_, row = fastavro.reader(BytesIO(answer.content))
            query["after"] = row["cursor"]
            if position_of(self.agreement, row["cursor"]) > last.offset:
                return files

    async def _events(self) -> bytes:
        """Server-sent events up to the last record that there is."""
        number, heard = len(await self.stage.read(self.stage.delivery_topic(self.agreement))), b""
        async with self.http.stream("GET", f"{self.path}/events") as response:
            async for piece in response.aiter_raw():
                heard += piece
                if heard.count(b"\nevent: ") >= number and heard.endswith(b"\n\n"):
                    break
            return _head(response) + heard

    async def _ldes(self) -> Found:
        """The root, every page, and the last member by its own address, in both forms."""
        found = dict.fromkeys(LDES, b"")

        async def ask(url: str) -> Any:
            answers = {name: await self.http.get(url, headers={"Accept": form}) for name, form in LDES.items()}
            for name, answer in answers.items():
                assert answer.status_code == httpx.codes.OK, answer.text
                found[name] += _told(answer)
            return answers["ldes-json-ld"].json()

        (node, *_) = (await ask(f"/v1/ldes/{self.agreement}"))["@graph"]
        members: list[str] = []
        while "relation" in node:
            page = node["relation"]["node"]
            node, stream = (await ask(page))["@graph"]
            shown = [each["@id"] for name in stream if name.startswith("member-") for each in stream[name]]
            members += [f"{each.rpartition('/')[2]}?page={page.rpartition('/')[2]}" for each in shown]
        await ask(f"/v1/ldes/{self.agreement}/members/{members[-1]}")
        return found

    async def _subscriber(self, positions: Path, token: str, by: Kafka | None) -> bytes:
        """What the client library hands over, shows of it, and keeps."""
        found = []
        subscription: Subscription[Any] = Subscription(
            self.agreement,
            url=str(self.http.base_url),
            token=token,
            kafka=by,
            life_cycle=True,
            follow=False,
            positions=FilePositions(_made(positions)),
        )
        async with subscription as deliveries:
            async for each in deliveries:
                found += [repr(each), json.dumps(getattr(each, "data", None), ensure_ascii=False)]
        return "\n".join(found).encode() + _kept(positions)

    async def _traces(self) -> list[str]:
        """A few delivery ids."""
        items = await self.stage.read(self.stage.delivery_topic(self.agreement))
        ids = [held.decode() for each in items if (held := header(each.headers, "ce_id"))]
        return [ids[0], ids[len(ids) // 2], ids[-1]]

    def _addresses(self, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Path of every operation that reads, and the same with this agreement's values."""
        agreement = self.stage.standing(self.agreement).agreement
        state = self.stage.stack.site.control.state
        values = {
            "agreement": agreement.id, "organisation": agreement.source, "source": agreement.source,
            "product": agreement.product, "purpose": agreement.purpose, "code": agreement.purpose,
            "identifier": str(state.agreements[agreement.id].egress_schema_id), "number": "0", "delivery": "0" * 32,
            "trace": "0" * 32, "subject": f"{topics.delivery(agreement.agency, agreement.id)}-value", "version": "1",
            "partition": "0", "offset": "0", "from": "1", "to": "2", "since": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        for path, operations in document["paths"].items():
            if "get" in operations and path != _ENDLESS:
                needed = [each for each in operations["get"].get("parameters", []) if each.get("required")]
                query = {each["name"]: values[each["name"]] for each in needed if each["in"] == "query"}
                yield path, str(httpx.URL(path.format(**values), params=query) if query else path.format(**values))
        yield "/openapi.json", "/openapi.json"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _kept(positions: Path) -> bytes:
    kept = [path.read_bytes() for path in positions.iterdir()]
    assert kept, "no position was kept"
    return b"\n".join(kept)


def _told(answer: httpx.Response) -> bytes:
    return _head(answer) + answer.content


def _head(answer: httpx.Response) -> bytes:
    lines = (name + b": " + value + b"\n" for name, value in answer.headers.raw)
    return b"%d\n" % answer.status_code + b"".join(lines)


@asynccontextmanager
async def agency_of(stage: Stage, agreement: str) -> AsyncIterator[Agency]:
    """The agreement's agency, and the operator beside it."""
    async with AsyncExitStack() as held:
        clients = []
        for organisation in (stage.standing(agreement).agreement.agency, OPERATOR):
            token = stage.stack.home.credential_of(organisation).token
            headers = {"Authorization": f"Bearer {token}"}
            client = httpx.AsyncClient(
                base_url=stage.stack.connection.api, headers=headers, timeout=30, trust_env=False
            )
            clients.append(await held.enter_async_context(client))
        yield Agency(stage, agreement, *clients)
