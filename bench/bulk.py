"""Many agreements in force at once: the first goes through its whole life, the others are its facts under their own names.

Through the API ten thousand agreements take an hour. Each of these has what the API would have left: its facts in the
control log, in order and folded like any other; a protocol text of its own; its keys; its delivery topic. What it has
not are the rights of its agency on Kafka: nobody reads these topics but the measurement.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.population import PURPOSE, document, nis_of, set_up
from broker.batches import Row, send_rows
from broker.cli.installation import Installation
from broker.cli.site import Site
from broker.control import keys
from broker.control.agreements import Agreements
from broker.control.barriers import Barriers
from broker.control.enforcement import Enforcement
from broker.control.history import History
from broker.model import topics, topology
from broker.model.facts import Fact, FactType, decode_fact
from broker.model.keyed import KEY_BYTES
from broker.model.registered import Product
from broker.policy import documents
from broker.policy.protocol_text import render, text_hash
from broker.schema.avro import Schema
from broker.testing import wait_until

_AT_ONCE = 500
"""Agreements written at a time: a process applies so many facts without missing a heartbeat."""

_TOPICS_AT_ONCE = 100

_PATIENCE_S = 120.0
_NONCE_BYTES = 12
Progress = Callable[[str], None]


def cases_of(here: Site) -> Agreements:
    """The life cycle of agreements, as the API has it."""
    enforcement = Enforcement(here.admin, here.keys, Barriers(here.clients, here.lanes))
    return Agreements(here.control, enforcement, fictional=True)


def named(number: int, fan_out: int = 1) -> Mapping[str, Any]:
    """Agreement `number` where `fan_out` of them select the same municipality."""
    return {**document(number), "population": {"where": {"path": _NIS, "equals": nis_of(number // fan_out)}}}


_NIS = "verblijfplaats.gemeente.nis"


async def set_up_many(
    here: Site, number: int, *, fan_out: int = 1, with_topics: int | None = None, progress: Progress
) -> tuple[Product, Schema]:
    """Set an empty installation up with `number` agreements, the first `with_topics` of them (None: all) with their topics.

    Raises `TimeoutError` where the facts are not accepted.
    """
    progress(f"activating {number} agreements")
    for name in (keys.LANE, keys.LEDGER):
        here.keys.ensure(name)
    product, schema = await set_up(Installation.of(here), cases_of(here), 1)
    others = range(1, number)
    _add_keys(here, others)
    live = [document(each) for each in islice(others, (number if with_topics is None else with_topics) - 1)]
    specs = [topology.delivery(held["agency"], held["id"], _retention(held)) for held in live]
    for start in range(0, len(specs), _TOPICS_AT_ONCE):
        await here.admin.ensure_topics(specs[start : start + _TOPICS_AT_ONCE])
    first = await _facts_of_the_first(here)
    for start in range(0, len(others), _AT_ONCE):
        part = others[start : start + _AT_ONCE]
        await _write(here, (_registered(first, each) for each in part))
        await wait_until(partial(_known, here, part[-1]), timeout=_PATIENCE_S)
        await _write(here, (fact for each in part for fact in _agreed(here, first, named(each, fan_out))))
        await wait_until(partial(_in_force, here, part[-1]), timeout=_PATIENCE_S)
    return product, schema


def _known(here: Site, number: int) -> bool:
    return f"afnemer-{number}" in here.control.state.organisations


def _in_force(here: Site, number: int) -> bool:
    entry = here.control.state.agreements.get(f"meting-{number}")
    return entry is not None and entry.activated_at is not None


async def _facts_of_the_first(here: Site) -> Sequence[Fact]:
    """How agreement 0 and its agency came about."""
    wanted, found = {"organisation/afnemer-0", "agreement/meting-0"}, []
    async with History(here.clients.consumer, here.lanes).partition(topics.CONTROL_LOG, 0) as log:
        async for records in log.records():
            facts = (decode_fact(record.value) for record in records if record.value and record.value[:1] == b"{")
            found += [fact for fact in facts if fact.aggregate in wanted]
    return found


def _registered(first: Sequence[Fact], number: int) -> Fact:
    fact = next(fact for fact in first if fact.type is FactType.ORGANISATION)
    return _renamed(fact, number, {})


def _agreed(here: Site, first: Sequence[Fact], held: Mapping[str, Any]) -> Iterable[Fact]:
    """Every step of the first agreement, about this one's document and text."""
    agreement, number = documents.agreement(held), int(held["id"].rpartition("-")[2])
    text = render(agreement, here.control.state)
    steps = [fact for fact in first if fact.type is not FactType.ORGANISATION]
    before = next(str(fact.data["text_sha256"]) for fact in steps if "text_sha256" in fact.data)
    for fact in steps:
        own = {"document": documents.agreement_document(agreement), "text": text}
        own = own if fact.type is FactType.AGREEMENT_REQUESTED else {}
        yield _renamed(fact, number, own, {before: text_hash(text)})


def _renamed(fact: Fact, number: int, own: Mapping[str, Any], others: Mapping[str, str] | None = None) -> Fact:
    names = {"meting-0": f"meting-{number}", "afnemer-0": f"afnemer-{number}", **(others or {})}

    def renamed(text: str) -> str:
        for old, new in names.items():
            text = text.replace(old, new)
        return text

    kept = {name: value for name, value in fact.data.items() if name not in own}
    data = json.loads(renamed(json.dumps(kept, ensure_ascii=False))) | own
    return replace(fact, id=secrets.token_hex(16), aggregate=renamed(fact.aggregate), by=renamed(fact.by), data=data)


async def _write(here: Site, facts: Iterable[Fact]) -> None:
    rows: list[Row] = [(fact.id.encode(), fact.encode(), []) for fact in facts]
    async with here.clients.producer() as producer:
        for sent in await send_rows(producer, topics.CONTROL_LOG, 0, rows, timestamp_ms=0):
            await sent


def _retention(held: Mapping[str, Any]) -> int:
    return documents.agreement(held).retention_days


def _add_keys(here: Site, numbers: Iterable[int]) -> None:
    """Keys of these agreements in one write, as `FileKeyStore` keeps them: it adds one at a time, each with all others."""
    folder = here.home.root / "keys"
    master = bytes.fromhex((folder / "master.key").read_text())
    wrapped = json.loads((folder / "keys.json").read_text())
    for number in numbers:
        held = document(number)
        for name in (keys.agreement_key(held["id"]), keys.pseudonym_key(held["agency"], PURPOSE)):
            nonce = os.urandom(_NONCE_BYTES)
            wrapped[name] = (nonce + AESGCM(master).encrypt(nonce, os.urandom(KEY_BYTES), name.encode())).hex()
    (folder / "keys.json").write_text(f"{json.dumps(wrapped, indent=1)}\n")
