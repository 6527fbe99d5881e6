"""Change feeds of the Flemish base registers (CloudEvents in pages) → adres.v1, gebouweenheid.v1, perceel.v1.

A feed tells which attributes changed, and refers to other things by their IRI only. A record is a complete state, so
every event is answered by the **present state** of its object, fetched beside the feed (`…/feeds/wijzigingen/adressen`
and `…/adressen/{objectId}`); nothing is kept here.

- The state is of the event's version: it is published, with the event's kind.
- It is newer: a later event tells it (STATE_NEWER).
- It is older: the register is behind its feed, and the event is tried again.
- It is gone: the object was removed since, and a later event tells it (STATE_GONE).

A page that is not complete (`X-Page-Complete`) is read again by the next reading; events are known by their number. A
transform (readdressing, a merger of municipalities) comes beside the updates of the addresses that it is about: those
are published, `replaced` where the event says so (TRANSFORM: adres.v1 has no field for the address that takes over).

A source that is no feed is a file of the register's own events (`adapters.address_events`). A key for the feed goes in
the variable BASISREGISTERS_API_KEY of the environment.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from adapters import address_events, address_state, building_unit_state, parcel_state, web
from adapters.json_body import answered
from adapters.register_parts import instant
from adapters.sdk import Adapter, Broken, Change, Ignored, Item
from adapters.sources import is_feed
from adapters.web_auth import Secret, private
from broker.errors import Invalid, PoisonRecord, Retriable

_OWNER, _FEEDS = "digitaal-vlaanderen", "/feeds/wijzigingen/"
_KEY = "BASISREGISTERS_API_KEY"
_NOT_FOUND, _GONE = 404, 410
_DEEPEST, _AT_ONCE, _MOST_DIGITS = 16, 4, 18
_TAKEN_OVER = ("BecauseOfReaddress", "BecauseOfMunicipalityMerger")
_NUMBER = re.compile(rf"[0-9]{{1,{_MOST_DIGITS}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Register:
    """One register: its objects' name in addresses on the web and in event types, and what becomes of their states.

    `identifier` is the form of an object's identifier, which becomes part of an address on the web. `came_to_nothing`
    is the status of what was never there.
    """

    objects: str
    event: str
    product: str
    space: str
    value: Callable[[Any, str, str], dict[str, Any]]
    status: str
    identifier: re.Pattern[str] = _NUMBER
    came_to_nothing: str = ""
    name: str = "basisregisters"
    """The runner keeps a feed's place under it: one name, one feed."""


REGISTERS = (
    Register(
        "adressen", "address", address_state.PRODUCT, address_state.SPACE, address_state.address,
        "adresStatus", came_to_nothing="afgekeurd",
    ),
    Register(
        "gebouweenheden", "buildingunit", building_unit_state.PRODUCT, building_unit_state.SPACE,
        building_unit_state.building_unit, "gebouweenheidStatus", came_to_nothing="nietGerealiseerd",
        name="basisregisters-gebouweenheden",
    ),
    Register(
        "percelen", "parcel", parcel_state.PRODUCT, parcel_state.SPACE, parcel_state.parcel, "perceelStatus",
        identifier=re.compile(r"[0-9]{5}[A-Z][0-9]{4}-[0-9]{2}[A-Z_][0-9]{3}", re.ASCII),
        name="basisregisters-percelen",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BasisregistersAdapter:
    """Reads the feed of one register at `source`. The cursor is `page/event`: two numbers."""

    source: str
    register: Register

    @property
    def name(self) -> str:
        """One per feed."""
        return self.register.name

    @property
    def sources(self) -> Mapping[str, str]:
        """What the register's objects are, and whose."""
        return MappingProxyType({self.register.product: _OWNER})

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Events after `cursor` in the order of their numbers. Raises `Retriable` and `Invalid`.

        A page that cannot be read is `Broken`, ends the reading, and is asked for again by the next.
        """
        page, after = _place(cursor)
        first = page
        async with httpx.AsyncClient(headers=self._headers()) as client:
            while True:
                ask = partial(web.get, client, self._page(page), accepted={_NOT_FOUND} if page > 1 else ())
                answer, events, broken = await answered(ask, _DEEPEST)
                if answer.status == _NOT_FOUND:
                    if page == first and page > 1:
                        await self._page_before(client, page)
                    return
                if broken or not isinstance(events, list):
                    yield (
                        Broken(f"page {page}", broken or "ITEMS_MISSING", "", self.register.product),
                        f"{page}/{after}",
                    )
                    return
                complete = answer.headers.get("x-page-complete", "").strip().lower() == "true"
                async with aclosing(self._told(client, events, page, after)) as found:
                    held: Item | None = None
                    async for item, number in found:
                        if held is not None:
                            yield held, f"{page}/{after}"
                        held, after = item, max(number, after)
                    if held is not None:
                        yield held, f"{page + 1 if complete else page}/{after}"
                if not complete:
                    return
                page += 1

    async def _page_before(self, client: httpx.AsyncClient, page: int) -> None:
        """The next page is not there yet; raises `Invalid` where the one before it is not there either."""
        await web.get(client, self._page(page - 1))

    async def _told(
        self, client: httpx.AsyncClient, events: list[Any], page: int, after: int
    ) -> AsyncGenerator[tuple[Item, int], None]:
        """Items of the events after number `after`, each with the number of its event."""
        fresh: list[tuple[int, Any]] = []
        for index, event in enumerate(events):
            number = _number(event)
            if number is None:
                yield Broken(f"page {page}#{index}", "EVENT_ID_INVALID", "", self.register.product), after
            elif number > after:
                fresh.append((number, event))
                after = number
        for start in range(0, len(fresh), _AT_ONCE):
            some = fresh[start : start + _AT_ONCE]
            wanted = sorted({object_id for _, event in some if (object_id := _object_of_state(event, self.register))})
            states = dict(
                zip(wanted, await asyncio.gather(*(self._state(client, each) for each in wanted)), strict=True)
            )
            for number, event in some:
                yield _item(event, number, states, self.register), number

    async def _state(self, client: httpx.AsyncClient, object_id: str) -> Any:
        """The present state of an object: its JSON, a reason (text) why there is none, or None where it is gone."""
        objects = self.source.partition("?")[0].replace(_FEEDS + self.register.objects, f"/{self.register.objects}/")
        url = web.same_origin(self.source, objects + object_id)
        ask = partial(web.get, client, str(url), headers={"accept": "application/json"}, accepted={_NOT_FOUND, _GONE})
        answer, state, broken = await answered(ask, _DEEPEST)
        return broken or (None if answer.status in {_NOT_FOUND, _GONE} else state)

    def _page(self, number: int) -> str:
        return str(httpx.URL(self.source).copy_merge_params({"pagina": str(number)}))

    def _headers(self) -> dict[str, str]:
        accept = {"accept": "application/cloudevents-batch+json, application/json"}
        if not os.environ.get(_KEY):
            return accept
        if not private(self.source):
            raise Invalid(f"a key goes over https only: give the https address, or unset {_KEY}")
        return {**accept, "x-api-key": Secret(env=_KEY).read(Path())}


def build(source: str) -> Adapter:
    """The adapter for the address of a feed, or for a file of events of addresses or the folder that it is in."""
    if not is_feed(source):
        return address_events.AddressEvents(source)
    named = source.partition("?")[0].partition(_FEEDS)[2].rstrip("/")
    found = next((register for register in REGISTERS if register.objects == named), None)
    if found is None or web.origin(source) is None:
        known = ", ".join(_FEEDS + register.objects for register in REGISTERS)
        raise Invalid(f"the source is a file of events, or the address of a feed: it has one of {known} in it")
    return BasisregistersAdapter(source, found)


def _place(cursor: str | None) -> tuple[int, int]:
    page, _, after = (cursor or "1/0").partition("/")
    if not page.isdecimal() or not after.isdecimal():
        raise Invalid("the cursor was written by another program: run this adapter under another name")
    return int(page), int(after)


def _number(event: Any) -> int | None:
    stated = event.get("id") if isinstance(event, dict) else None
    text = str(stated) if isinstance(stated, str) or type(stated) is int else ""
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS else None


def _what(event: Mapping[str, Any], register: Register) -> str:
    """create, update, delete or transform; empty for what is not about this register's objects."""
    stated, begins = event.get("type"), f"basisregisters.{register.event}."
    return (
        stated.removeprefix(begins).partition(".")[0] if isinstance(stated, str) and stated.startswith(begins) else ""
    )


def _object(event: Mapping[str, Any], register: Register) -> str:
    """Identifier of the object."""
    data = event.get("data")
    stated = data.get("objectId") if isinstance(data, dict) and data.get("naamruimte") == register.space else None
    return stated if isinstance(stated, str) and register.identifier.fullmatch(stated) else ""


def _object_of_state(event: Mapping[str, Any], register: Register) -> str:
    return _object(event, register) if _what(event, register) in {"create", "update"} else ""


def _item(event: Mapping[str, Any], number: int, states: Mapping[str, Any], register: Register) -> Item:
    what, object_id = _what(event, register), _object(event, register)
    if what == "transform" or what not in {"create", "update", "delete"}:
        return Ignored(f"event {number}", "TRANSFORM" if what == "transform" else "EVENT_NOT_MAPPED")
    if not object_id:
        return Broken(f"event {number}", "OBJECT_ID_INVALID", "objectId", register.product)
    iri = f"{register.space}/{object_id}"
    if what == "delete":
        return Change(iri, register.product, None, iri)
    return _stated(event, iri, states[object_id], register)


def _stated(event: Mapping[str, Any], iri: str, state: Any, register: Register) -> Item:
    """The present state, if it is the one that the event made."""
    if state is None:
        return Ignored(iri, "STATE_GONE")
    if isinstance(state, str):
        return Broken(iri, state, "", register.product)
    try:
        value = register.value(state, _object(event, register), _kind(event, state, register))
        stated = event["data"].get("versieId")
        told = instant(stated if isinstance(stated, str) else "", "versie").replace(microsecond=0)
        present = instant(value["versie"], "versie").replace(microsecond=0)
    except PoisonRecord as poison:
        return Broken(iri, poison.reason, poison.path, register.product)
    if present < told:
        raise Retriable("the register is behind its feed: the state of an object is older than its change")
    return Change(iri, register.product, value) if present == told else Ignored(iri, "STATE_NEWER")


def _kind(event: Mapping[str, Any], state: Any, register: Register) -> str:
    """What happened, by the event: what went out of use ended, or was replaced, or came to nothing."""
    if _what(event, register) == "create":
        return "added"
    changed = event["data"].get("attributen")
    names = {each.get("naam") for each in changed if isinstance(each, dict)} if isinstance(changed, list) else set()
    status = str(state.get(register.status, "")).rpartition("/")[2] if isinstance(state, dict) else ""
    if not names & {"status", register.status}:
        return "changed"
    if status and status == register.came_to_nothing:
        return "cancelled"
    if status == "gehistoreerd":
        why = str(event.get("basisregisterseventtype", ""))
        return "replaced" if why.endswith(_TAKEN_OVER) else "ended"
    return "changed"
