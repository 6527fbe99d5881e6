"""A PostgreSQL table, read by a real Debezium, published by a mapping file alone and delivered: killed again and again, each change once."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from adapters.raw_debezium import COMMITTED, event
from broker.cli.main import main
from broker.errors import PoisonRecord
from broker.kafka import leash
from broker.model import topics
from broker.model.identifiers import make_test_insz
from broker.model.record import WIRE_HEADER_BYTES, header
from broker.schema.reference import decode
from broker.testing import wait_until
from tests.connect import Connect
from tests.postgres import Postgres, postgres
from tests.stage import Stage, installation

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ORGANISATION, NAME, PRODUCT = "rijksregister", "persoon-in-gent", "persoon.v1"
TOPIC, RAW = topics.source(ORGANISATION, PRODUCT), topics.raw(ORGANISATION, NAME)
_ROUNDS = 6
MAPPING = """\
adapter: register
product: persoon.v1
organisation: rijksregister
source: {kind: raw, name: persoon-in-gent, form: debezium}
id: nummer
recordedAt: gewijzigd
kind: {from: "@op", codes: {c: added, u: changed, r: snapshot}}
fields:
  insz: insz
  naam.achternaam: naam
  naam.voornamen: voornamen
  geslacht: {from: geslacht, codes: {V: vrouwelijk, M: mannelijk}}
  geboorte.datum: geboren
  geboorte.plaats.nis: {const: "44021"}
  geboorte.land.iso: {const: BE}
  nationaliteiten: {const: []}
  verblijfplaats.straatnaam: straat
  verblijfplaats.gemeente.nis: /adres/gemeente/nis
  verblijfplaats.gemeente.naam: /adres/gemeente/naam
  verblijfplaats.land.iso: {const: BE}
  statussen: {const: []}
  gezinsleden: {const: []}
  ouders: {const: []}
  kinderen: {const: []}
"""
TABLE = """\
CREATE TABLE public.persoon_in_gent (
  nummer bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  insz text NOT NULL,
  naam text NOT NULL,
  voornamen text[] NOT NULL,
  geslacht char(1) NOT NULL,
  geboren date NOT NULL,
  straat text NOT NULL,
  adres jsonb NOT NULL DEFAULT '{"gemeente": {"nis": "44021", "naam": "Gent"}}',
  dossier text NOT NULL DEFAULT '',
  gewijzigd timestamp NOT NULL DEFAULT now()
);
ALTER TABLE public.persoon_in_gent ALTER dossier SET STORAGE EXTERNAL;
"""
BORN = date(1950, 1, 1)
INSERT = """\
INSERT INTO public.persoon_in_gent (insz, naam, voornamen, geslacht, geboren, straat, dossier)
VALUES (%s, %s, %s, %s, %s, %s, repeat('dossier ', 2000))"""
UPDATE = "UPDATE public.persoon_in_gent SET straat = %s, gewijzigd = now() WHERE insz = %s"
DELETE = "DELETE FROM public.persoon_in_gent WHERE insz = %s"


class Register:
    """Writes the table, and remembers every state that it committed, by person: the street, or None for a deletion."""

    def __init__(self, conninfo: str, seed: int) -> None:
        self._conninfo = conninfo
        self._random = Random(seed)
        self._people = count(1)
        self._versions = count(1)
        self.history: dict[str, list[str | None]] = defaultdict(list)

    @property
    def alive(self) -> list[str]:
        """Who is in the table."""
        return [insz for insz, states in self.history.items() if states[-1] is not None]

    async def change(self, number: int) -> None:
        """So many transactions, some of several changes, some interleaved with another one."""
        async with (
            await psycopg.AsyncConnection.connect(self._conninfo) as one,
            await psycopg.AsyncConnection.connect(self._conninfo) as other,
        ):
            for _ in range(number):
                if len(self.alive) < 10 or self._random.random() < 0.3:
                    await self._add(one, self._random.choice([1, 1, 3]))
                elif self._random.random() < 0.15:
                    await self._delete(one)
                elif self._random.random() < 0.3:
                    await self._interleaved(one, other)
                else:
                    await self._move(one, self._random.choice(self.alive), self._random.choice([1, 1, 2]))

    async def _add(self, connection: Any, number: int) -> None:
        """New people, by one statement."""
        rows = []
        for _ in range(number):
            person = next(self._people)
            insz, street = make_test_insz(BORN + timedelta(days=person), 1), self._street()
            rows.append((insz, f"Fictief{person}", ["Ada", "Bo"], "M", BORN + timedelta(days=person), street))
            self.history[insz].append(street)
        async with connection.cursor() as cursor:
            await cursor.executemany(INSERT, rows)
        await connection.commit()

    async def _move(self, connection: Any, insz: str, times: int) -> None:
        for _ in range(times):
            self.history[insz].append(street := self._street())
            await connection.execute(UPDATE, (street, insz))
        await connection.commit()

    async def _interleaved(self, one: Any, other: Any) -> None:
        """The transaction that began first is committed last."""
        first, second = self._random.sample(self.alive, 2)
        streets = self._street(), self._street()
        await one.execute(UPDATE, (streets[0], first))
        await other.execute(UPDATE, (streets[1], second))
        await other.commit()
        await one.commit()
        self.history[second].append(streets[1])
        self.history[first].append(streets[0])

    async def _delete(self, connection: Any) -> None:
        insz = self._random.choice(self.alive)
        await connection.execute(DELETE, (insz,))
        await connection.commit()
        self.history[insz].append(None)

    def _street(self) -> str:
        return f"Straat {next(self._versions)}"


@pytest.fixture(scope="module")
def server() -> Any:
    with postgres() as made:
        with psycopg.connect(made.conninfo, password=made.password, autocommit=True) as owner:
            owner.execute("CREATE ROLE debezium LOGIN REPLICATION PASSWORD 'van-debezium'")
        yield made


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with installation(tmp_path_factory.mktemp("debezium"), lanes=2) as made:
        yield made


async def datanuts(capfd: Any, stage: Stage, *words: str) -> str:
    """What a command prints."""
    capfd.readouterr()
    assert await asyncio.to_thread(main, [*words, "--data-dir", str(stage.stack.home.root)]) == 0
    return str(capfd.readouterr().out)


async def connect(capfd: Any, stage: Stage, server: Postgres, home: Path, name: str = NAME) -> Connect:
    """Connect as our commands configure it, with a user of PostgreSQL that can do no more than it needs."""
    place = [ORGANISATION, name]
    await datanuts(capfd, stage, "raw", "declare", *place, "--as", ORGANISATION)
    await datanuts(
        capfd, stage, "raw", "writer", *place, "--as", ORGANISATION, "--out", str(home / "writer.properties")
    )
    (home / "database.properties").write_text("password=van-debezium\n")
    words = ["raw", "connector", *place, "--port", str(server.port), "--secrets", str(home)]
    with psycopg.connect(server.conninfo, password=server.password, autocommit=True) as owner:
        for statement in (await datanuts(capfd, stage, *words, "--sql")).splitlines():
            owner.execute(statement.encode())
    made = home / "connector.json"
    made.write_text(await datanuts(capfd, stage, *words))
    worker = json.loads(await datanuts(capfd, stage, *words, "--worker", "--json"))
    return Connect(home, worker, made, f"{ORGANISATION}-{name}")


@asynccontextmanager
async def runner(stage: Stage, folder: Path) -> AsyncIterator[Any]:
    """Starts `datanuts adapter run`, again after each call of what it gives; the last one ends with the block."""
    command = [*stage.command("adapter")[:3], "adapter", "run", str(folder), "--every", "1", "--json"]
    command += ["--data-dir", str(stage.stack.home.root)]
    held: list[Process] = []

    async def again() -> None:
        if held:
            assert held[-1].returncode is None
            held[-1].kill()
            await held[-1].wait()
        held.append(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                leash.__file__,
                str(os.getpid()),
                *command,
                stdout=DEVNULL,
                stderr=DEVNULL,
                env={**os.environ, **stage.environment},
            )
        )

    await again()
    try:
        yield again
    finally:
        if held[-1].returncode is None:
            held[-1].kill()
        await held[-1].wait()


async def published(stage: Stage) -> dict[str, list[str | None]]:
    """Every state that was published, by person, in order."""
    text, k_lane = stage.schema(ORGANISATION, PRODUCT).text, {}
    found: dict[str, list[str | None]] = defaultdict(list)
    for record in await stage.read(TOPIC):
        if record.value is None:
            found[k_lane.get(record.key, "of whom nothing was published")].append(None)
            continue
        value = decode(text, record.value[WIRE_HEADER_BYTES:])
        k_lane[record.key] = value["insz"]
        found[value["insz"]].append(value["verblijfplaats"]["straatnaam"])
    return found


async def test_each_change_of_a_table_is_published_once_and_delivered(
    stage: Stage, server: Postgres, tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", server.password)
    with psycopg.connect(server.conninfo, autocommit=True) as owner:
        owner.execute(TABLE.encode())
    register = Register(server.conninfo, 7)
    await register.change(40)
    # Of who was there before Debezium came, only the present state is known.
    register.history = defaultdict(list, {insz: states[-1:] for insz, states in register.history.items() if states[-1]})
    agreement = await stage.agreement("inwoners-gent")
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    debezium = await connect(capfd, stage, server, tmp_path)
    async with stage.router(), runner(stage, tmp_path) as restart_runner:
        try:
            await debezium.start()
            await debezium.running()
            await wait_until(lambda: _as_told(stage, register), timeout=120, every=1)
            await register.change(5)
            await wait_until(lambda: _noted(tmp_path), timeout=60, every=0.1)
            for round_ in range(_ROUNDS):
                batches, written = _batches(stage), await stage.ends(RAW)
                changing = asyncio.create_task(register.change(60))
                await wait_until(lambda seen=batches: _batches(stage) > seen, timeout=120, every=0.05)
                if round_ % 2:
                    await restart_runner()
                    await changing
                    continue
                await changing
                await wait_until(lambda seen=written[0]: _further(stage, seen + 30), timeout=120, every=0.05)
                await debezium.kill()
                await register.change(20)
                await debezium.start()
                await debezium.running()
            with suppress(TimeoutError):
                await wait_until(lambda: _as_told(stage, register), timeout=240, every=1)
        finally:
            await debezium.kill()
        await stage.drained(TOPIC)
    raw = await stage.read(RAW)
    assert _snapshots(raw) == 1, "Connect forgot its place: of what a second snapshot skips nobody is told"
    assert await published(stage) == register.history
    delivered = await streets_delivered(stage, agreement)
    assert delivered == {states[-1] for states in register.history.values() if states[-1] is not None}
    assert {record.key for record in raw} <= {b"{}", None}
    places = Counter(_place(record.value) for record in raw)
    assert any(times > 1 for place, times in places.items() if place), (
        "Connect repeated nothing: the test shows too little"
    )


def _place(message: bytes) -> tuple[int, int] | None:
    """A change's own place in the database's log, with its transaction; of snapshots and signs of life none."""
    source = json.loads(message)["payload"].get("source", {"snapshot": "true"})
    return (source["txId"], source["lsn"]) if source["snapshot"] == "false" else None


def _snapshots(raw: Iterable[Any]) -> int:
    sources = (json.loads(record.value)["payload"].get("source", {}) for record in raw)
    return sum(source.get("snapshot") == "first" for source in sources)


def _batches(stage: Stage) -> int:
    """How many transactions the runner has committed."""
    log = stage.stack.home.logs / "adapter-register.log"
    return log.read_text().count('"adapter.batch"') if log.exists() else 0


async def _further(stage: Stage, offset: int) -> bool:
    return (await stage.ends(RAW))[0] >= offset


async def _as_told(stage: Stage, register: Register) -> bool:
    return await published(stage) == register.history


def _noted(home: Path) -> bool:
    """Whether Connect noted a place behind the snapshot: killed before, it takes another one, which tells no steps between."""
    file = home / "connect.offsets"
    return file.exists() and b'"lsn_commit"' in file.read_bytes()


async def streets_delivered(stage: Stage, agreement: str) -> set[str]:
    """Streets of whom the agency knows now."""
    entry = stage.stack.site.control.state.agreements[agreement]
    egress = stage.stack.site.control.state.schemas[entry.egress_schema_id or 0].text
    known: dict[bytes, str] = {}
    for record in await stage.read(stage.delivery_topic(agreement)):
        if record.value is None or header(record.headers, "ce_id") is None:
            known.pop(record.key, None)
        else:
            known[record.key] = decode(egress, record.value[WIRE_HEADER_BYTES:])["verblijfplaats"]["straatnaam"]
    return set(known.values())


TYPES = """\
CREATE TABLE public.soorten (
  nummer int PRIMARY KEY, klein smallint, groot bigint, waar boolean, dag date, moment timestamp, ogenblik timestamptz,
  uur time, bedrag numeric(10, 2), getal numeric, reeks text[], dagen date[], boom jsonb, kenmerk uuid, leeg text, dossier text
);
ALTER TABLE public.soorten ALTER dossier SET STORAGE EXTERNAL;
INSERT INTO public.soorten VALUES (
  1, -2, 3000000000, true, '2000-02-29', '2026-07-01 08:30:00.25', '2026-07-01 08:30:00+02', '08:30', 12.50, -0.001,
  '{a,"b c"}', '{2000-02-29}', '{"a": [1, {"b": "c"}]}', '6e9f1d0c-6a0e-4d0f-9d3c-0d6f6a1f0b11', NULL, repeat('dossier ', 2000)
);
"""
READ = {
    "nummer": 1,
    "klein": -2,
    "groot": 3_000_000_000,
    "waar": True,
    "dag": "2000-02-29",
    "moment": "2026-07-01T08:30:00.250000",
    "ogenblik": "2026-07-01T06:30:00.000000Z",
    "uur": "08:30:00",
    "bedrag": "12.50",
    "getal": "-0.001",
    "reeks": ["a", "b c"],
    "dagen": ["2000-02-29"],
    "boom": {"a": [1, {"b": "c"}]},
    "kenmerk": "6e9f1d0c-6a0e-4d0f-9d3c-0d6f6a1f0b11",
    "leeg": None,
    "dossier": "dossier " * 2000,
    "@op": "r",
}


async def test_a_real_debezium_says_of_each_type_what_we_read(
    stage: Stage, server: Postgres, tmp_path: Path, capfd: Any
) -> None:
    with psycopg.connect(server.conninfo, password=server.password, autocommit=True) as owner:
        owner.execute(TYPES.encode())
        debezium = await connect(capfd, stage, server, tmp_path, "soorten")
        owner.execute("ALTER TABLE public.soorten REPLICA IDENTITY DEFAULT")
        try:
            await debezium.start()
            await wait_until(lambda: _changes(stage, 1), timeout=150, every=0.5)
            owner.execute("UPDATE public.soorten SET klein = 4, dag = 'infinity' WHERE nummer = 1")
            owner.execute("DELETE FROM public.soorten")
            owner.execute("TRUNCATE public.soorten")
            await wait_until(lambda: _changes(stage, 4), timeout=60, every=0.5)
        finally:
            await debezium.kill()
    read, updated, deleted, truncated = await _stated(stage)
    row = event(read).row
    assert {name: each for name, each in row.items() if name != COMMITTED} == READ
    changed = event(updated).row
    assert (changed["nummer"], changed["klein"], changed["@op"]) == (1, 4, "u")
    assert changed.unreadable == {"dossier": "COLUMN_UNCHANGED", "dag": "DATE_INVALID"}
    gone = event(deleted).row
    assert (gone["nummer"], gone.gone, gone.get("reeks")) == (1, True, None)
    with pytest.raises(PoisonRecord, match="TABLE_TRUNCATED"):
        event(truncated)


async def _stated(stage: Stage) -> list[Any]:
    """Messages but for signs of life."""
    raw = await stage.read(topics.raw(ORGANISATION, "soorten"))
    return [stated for stated in (json.loads(record.value) for record in raw) if "op" in stated["payload"]]


async def _changes(stage: Stage, number: int) -> bool:
    return len(await _stated(stage)) >= number
