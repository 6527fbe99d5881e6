"""A random text in every field of every record: through no exit comes one that is not released, and the search would see it.

Re-reading counts: some texts are released by the second version only, which is told of everyone anew, and a replay tells
of them once more. Whole records that are outside of the population, or unreadable, may show nowhere.
"""

import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.api import deliveries
from broker.control.dev_signing import bring_into_force
from broker.delivery.streams import Egress
from broker.errors import Invalid
from broker.model import topics
from broker.model.record import header
from broker.testing import wait_until
from tests.faults.crowd import PRODUCT, Crowd
from tests.integration.drops import sftp
from tests.integration.drops.conftest import Agency as Dropper
from tests.integration.drops.conftest import dropping
from tests.integration.webhooks.conftest import Agency as Subscriber
from tests.integration.webhooks.conftest import sending
from tests.integration.webhooks.receiver import listening
from tests.security.exits import DATA_EXITS, SHOWN_BY_DATA, Agency, Found, agency_of
from tests.security.test_canary import PERSONS, Planted, by_place, document, filled, texts
from tests.stage import Stage

pytestmark = pytest.mark.timeout(200)

_HERE = "24062"
_POPULATION = {"where": {"path": "verblijfplaats.gemeente.nis", "equals": _HERE}}
_FIRST = ["naam.achternaam", "naam.voornamen", "verblijfplaats.postcode"]
_SECOND = [*_FIRST, "verblijfplaats.straatnaam"]
_FIELD_TOO_MANY = "naam.achternaam"
_TOKEN, _INSZ, _WRITTEN = rb"[0-9a-f]{32}", rb"\d{11}", rb"\d\d\.\d\d\.\d\d-\d{3}\.\d\d"
_INSTANT = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_FORMS = [re.compile(form) for form in (_TOKEN, _INSZ, _WRITTEN, _INSTANT)]
_WINDOWS = [re.compile(b"(?=(" + form.pattern + b"))") for form in _FORMS]
"""What almost all canaries look like: found in one pass, overlapping ones too."""

Value = Mapping[str, Any]


@dataclass
class Played:
    """What was published, with the fields that may be seen of it, and what came out."""

    agency: Agency
    stated: list[tuple[Value, Sequence[str]]]
    before: bytes
    found: Found

    def canaries(self, *, but: Collection[str] = ()) -> list[bytes]:
        """Texts that may be found nowhere, if the fields `but` were not released either."""
        planted = Planted()
        for value, paths in self.stated:
            planted.add(value, [path for path in paths if path not in but])
        everything = planted.canaries()
        return list(set(everything) - seen(self.before, everything))

    def released(self) -> list[bytes]:
        """Family names of those in the population."""
        return [value["naam"]["achternaam"].encode() for value, paths in self.stated if paths]


def seen(text: bytes, sought: Collection[bytes]) -> set[bytes]:
    """Which of these occur in the text, wherever they begin."""
    windows = {match[1] for form in _WINDOWS for match in form.finditer(text)}
    others = (each for each in sought if not any(form.fullmatch(each) for form in _FORMS))
    return (windows & set(sought)) | {each for each in others if each in text}


def hits(found: Found, canaries: Collection[bytes]) -> dict[str, int]:
    """How many canaries each exit shows, where it shows any."""
    shown = {name: len(seen(text, canaries)) for name, text in found.items()}
    return {name: number for name, number in shown.items() if number}


def people(stage: Stage, crowd: Crowd, source: str, number: int, rng: random.Random, *, here: bool) -> list[Value]:
    """People of random text in every field; those who live elsewhere have it for their municipality, too."""
    made = []
    for model in crowd.people(number):
        person = filled(stage.schema(source, PRODUCT).root, rng)
        instant = f"19{rng.randrange(60, 99)}-03-05T{rng.randrange(24):02}:07:{rng.randrange(60):02}Z"
        person |= {"insz": model["insz"], "recordedAt": instant}
        if here:
            person["verblijfplaats"]["gemeente"]["nis"] = _HERE
        made.append(person)
    return made


@asynccontextmanager
async def played(stage: Stage, crowd: Crowd, name: str, number: int, folder: Path) -> AsyncIterator[Played]:
    """Arrivals, departures, strangers, poison, a second version with its backfill, a replay, and every exit after it."""
    rng, source = random.Random(name), f"bron-{name}"
    topic = await stage.declare(source, PRODUCT)
    first = document(PERSONS | {"paths": _FIRST}, source, f"proef-{name}") | {"population": _POPULATION}
    agreement = await stage.in_force(first)
    second = document(PERSONS | {"paths": _SECOND}, source, agreement) | {"population": _POPULATION, "version": 2}
    agreements = stage.stack.services.agreements
    waiting = (await agreements.request(first | {"id": f"wacht-{name}"}, "stad-leuven")).id
    foreign = (await agreements.request(first | {"id": f"vreemd-{name}", "agency": "stad-gent"}, "stad-gent")).id
    before = b"\n".join((await by_place(stage, agreement)).values())

    stay, leave, come = (people(stage, crowd, source, n, rng, here=True) for n in (number, number // 4, number // 4))
    moved = [
        one | {"insz": left["insz"]}
        for one, left in zip(people(stage, crowd, source, len(leave), rng, here=False), leave, strict=True)
    ]
    strangers, torn = (people(stage, crowd, source, number // 4, rng, here=False) for _ in range(2))
    async with stage.router():
        await stage.publish(source, PRODUCT, [*stay, *strangers, *leave])
        await poison(stage, source, torn)
        await stage.publish(source, PRODUCT, moved)
        await stage.drained(topic)
        await bring_into_force(agreements, second, datetime.now(UTC))
        await stage.told(topic)
        assert await versions(stage, agreement) == {b"1": len(stay) + 2 * len(leave), b"2": len(stay)}
        await stage.publish(source, PRODUCT, come)
        await stage.drained(topic)
        await stage.stack.services.replays.request(agreement, since=None, now=datetime.now(UTC), by="test")
        await wait_until(lambda: replayed(stage, agreement), timeout=60, every=0.25)
        again = len(stay) + len(come)
        assert (await versions(stage, agreement))[b"2"] == len(stay) + len(come) + again
    stated = [
        *((each, _SECOND) for each in (*stay, *come)),
        *((each, _FIRST) for each in leave),
        *((each, ()) for each in (*moved, *strangers, *torn)),
    ]
    async with agency_of(stage, agreement) as agency:
        answers, refusals = await agency.answers(), await agency.refusals(foreign, waiting)
        others = (path for path in answers if not path.startswith(SHOWN_BY_DATA))
        assert {path for path in others if answers[path][0] != httpx.codes.OK} <= EMPTY
        assert {name: status for name, (status, _) in refusals.items()} == REFUSALS
        found = await agency.data(folder) | {"webhook": await webhook(agency), "drop": await drop(agency, folder)}
        found |= {name: body for name, (_, body) in [*answers.items(), *refusals.items()]}
        found |= await by_place(stage, agreement)
        assert found[topics.quarantine(source, PRODUCT)].count(b"persoon.v1") >= len(torn)
        yield Played(agency, stated, before, found)


EMPTY = {
    "/v1/agreements/{agreement}/dossiers",
    "/v1/agreements/{agreement}/dossiers/count",
    "/v1/agreements/{agreement}/consents",
    "/v1/agreements/{agreement}/pseudonyms",
    "/v1/agreements/{agreement}/pseudonyms/map",
    "/v1/agreements/{agreement}/webhook",
    "/v1/agreements/{agreement}/drop",
    "/v1/products/{organisation}/{product}/growth",
    "/v1/quarantine/{organisation}/{product}/{partition}/{offset}",
    "/v1/traces/{trace}",
}
"""Addresses that may hold nothing for those who ask; the webhook's, the drop's and traces are looked at apart. Of traces other tests may leave some."""

REFUSALS = {
    "bad cursor": 400,
    "bad limit": 400,
    "bad event id": 400,
    "bad form": 406,
    "bad form of a page": 406,
    "not active yet": 409,
    "another's": 404,
    "no such member": 410,
    "no such page": 404,
    "no credential": 401,
    "no such method": 405,
}


async def poison(stage: Stage, source: str, values: Sequence[Value]) -> None:
    """Records that end one byte early."""
    publication = stage.publication(source, PRODUCT)
    async with stage.stack.site.clients.producer() as producer:
        for value in values:
            stated = publication.state(stage.change(PRODUCT, value))
            assert stated.value is not None
            await producer.send_and_wait(publication.topic, stated.value[:-1], key=stated.key, partition=stated.lane)


async def versions(stage: Stage, agreement: str) -> Counter[bytes | None]:
    """Deliveries by the version of the agreement that released them."""
    items = await stage.read(stage.delivery_topic(agreement))
    return Counter(header(each.headers, "ce_agreementversion") for each in items if header(each.headers, "ce_id"))


async def replayed(stage: Stage, agreement: str) -> bool:
    """Whether every lane said that it ended."""
    told = await stage.read(stage.delivery_topic(agreement))
    return [header(each.headers, "ce_reason") for each in told].count(b"REPLAY_ENDS") == stage.lanes


async def webhook(agency: Agency) -> bytes:
    """Every call as the agency's server gets it, and what the broker tells of them."""
    items = await agency.stage.read(agency.stage.delivery_topic(agency.agreement))
    expected = {header(each.headers, "ce_id") for each in items} - {None}
    subscriber = Subscriber(agency.stage, agency.agreement)
    async with listening() as receiver:
        await subscriber.subscribe(receiver)
        async with sending(agency.stage):
            await wait_until(lambda: expected <= {each["id"].encode() for each in receiver.calls}, timeout=90)
        standing = await agency.http.get(f"/v1/agreements/{agency.agreement}/webhook")
        assert standing.status_code == httpx.codes.OK
        await subscriber.webhooks.remove(agency.agreement, subscriber.name)
    return b"\n".join([*receiver.raw, standing.content])


async def drop(agency: Agency, folder: Path) -> bytes:
    """Every file with its name as it lies on the agency's server, and what the broker tells of them."""
    dropper = Dropper(agency.stage, agency.agreement)
    async with sftp.listening(folder / "sftp") as server:
        await dropper.put_to(server)
        async with dropping(agency.stage):
            await dropper.up_to_date()
        standing = await agency.http.get(f"/v1/agreements/{agency.agreement}/drop")
        assert standing.status_code == httpx.codes.OK
        await dropper.drops.remove(agency.agreement, dropper.name)
        files = [name.encode() + b"\n" + server.read(name) for name in server.files()]
    return b"\n".join([*files, standing.content])


@pytest.fixture(scope="module")
async def scene(
    stage: Stage, crowd: Crowd, unique: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Played]:
    async with played(stage, crowd, unique("kanarie"), 24, tmp_path_factory.mktemp("exits")) as made:
        yield made


def held_in(scene: Played) -> str:
    """Raise unless every exit was looked through and none shows what it must not; returns the figures."""
    canaries, text = scene.canaries(), scene.found
    assert len(canaries) > 1_000, "too few canaries to prove anything"
    assert hits(text, canaries) == {}
    return f"0 of {len(canaries)} canaries in {len(text)} exits, {sum(map(len, text.values())):,} bytes"


async def test_no_exit_shows_what_is_not_released(scene: Played) -> None:
    print(held_in(scene))  # noqa: T201 - a figure, shown with -s


async def test_every_exit_that_shows_deliveries_was_looked_through(scene: Played) -> None:
    for name in {*DATA_EXITS, "webhook", "drop", scene.agency.stage.delivery_topic(scene.agency.agreement)}:
        absent = [text for text in scene.released() if text not in scene.found[name]]
        assert not absent, f"{name} does not show {len(absent)} released texts"


async def test_a_field_too_many_would_be_found_in_every_exit_that_shows_deliveries(scene: Played) -> None:
    shown = hits(scene.found, scene.canaries(but=[_FIELD_TOO_MANY]))
    number = len(scene.released())
    topic = scene.agency.stage.delivery_topic(scene.agency.agreement)
    exits = {*DATA_EXITS, "webhook", "drop", topic}
    assert {name: shown.get(name) for name in exits} == dict.fromkeys(exits, number)


async def test_a_value_that_slips_into_a_delivery_is_found(scene: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_in = next(text for path, text in texts(scene.stated[0][0]) if path == "naam.adellijkeTitel")
    decode = Egress.decode
    monkeypatch.setattr(Egress, "decode", lambda *given: decode(*given) | {"extra": kept_in})
    exits = ("pull-json", "pull-ndjson", "events", "file-ndjson")
    assert hits(await scene.agency.plain(), scene.canaries()) == dict.fromkeys(exits, 1)


async def test_a_value_in_an_error_is_found(scene: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_in = next(text for path, text in texts(scene.stated[0][0]) if path == "insz")

    def refuse(*_given: object) -> int:
        raise Invalid(f"{kept_in} is no cursor")

    monkeypatch.setattr(deliveries, "position_of", refuse)
    answers = await scene.agency.refusals(scene.agency.agreement, scene.agency.agreement)
    assert hits({name: body for name, (_, body) in answers.items()}, scene.canaries()) == {"bad cursor": 1}


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_many_people_through_every_exit(
    stage: Stage, crowd: Crowd, unique: Callable[[str], str], tmp_path: Path
) -> None:
    async with played(stage, crowd, unique("kanaries"), 600, tmp_path) as made:
        print(held_in(made))  # noqa: T201 - a figure, shown with -s
