"""Life cycle of product versions as use-cases: launched, deprecated with a sunset, ended once nothing is left on them.

Who may is the caller's to check: the owner of the source. A deprecation is one fact, which every party is told of: a notice
in each stream on the version, and a sealed event. Nothing stops at the sunset: a protocol ends by what its parties do.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from broker.control.views import Control
from broker.errors import Conflict, Invalid, NotFound, NotOffered
from broker.model.control_state import ControlState
from broker.model.facts import FactType
from broker.model.lifecycle import IN_FORCE, OPEN, AgreementEntry, Step
from broker.model.product_life import Deprecation, Life, ProductState
from broker.policy import documents
from broker.policy.succession import Asked, Deadline, asked, deadline
from broker.policy.words import day
from broker.schema.avro import Schema, load_schema
from broker.schema.compatibility import version_of

NOTICE_DAYS = 90
"""How long before the sunset what follows should be signed, where the owner says nothing else."""

_NAMED = 20
"""Agreements that a refusal names at most."""


def _all(_entry: AgreementEntry) -> bool:
    return True


class Agreements(Protocol):
    """The one step that ending a product takes; `broker.control.agreements` behind it."""

    async def end(self, agreement: str, by: str, *, why: str) -> AgreementEntry:
        """End it for good, with its barriers."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What an owner announces of a version: when nothing begins on it any more, why, and what follows it, if anything does."""

    sunset: datetime
    reason: str
    successor: str | None = None
    notice_days: int = NOTICE_DAYS


@dataclass(frozen=True, slots=True)
class Concerned:
    """An agreement on the version that is not over, by when it is to have moved, and what that asks (None: nothing follows)."""

    entry: AgreementEntry
    by: Deadline
    asked: Asked | None


@dataclass(frozen=True, slots=True)
class ProductLives:
    """Use-cases over one control log. Each raises `NotFound` for an unknown version, and `Conflict` where it may not be now."""

    control: Control
    agreements: Agreements
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def launch(self, source: str, product: str, *, by: str) -> Life:
        """Make a planned version live: from now on agreements on it are published."""
        life = await self._life(source, product)
        if life.state is not ProductState.PLANNED:
            raise Conflict(f"{product} is {life.state}: only a planned version is launched")
        return await self._say(FactType.PRODUCT_LAUNCHED, source, product, {}, by)

    async def examine(self, source: str, product: str, told: Announced) -> tuple[Concerned, ...]:
        """What such a deprecation would ask of each agreement, by id; changes nothing. Raises as `deprecate`."""
        life = await self._life(source, product)
        self._require_possible(source, product, life, told)
        made = Deprecation(self.now(), told.sunset, told.reason, told.successor, told.notice_days, -1)
        return await all_concerned(self.control.state, source, product, made)

    async def deprecate(self, source: str, product: str, told: Announced, *, by: str) -> tuple[Concerned, ...]:
        """Announce the sunset of a version to everybody on it; returns what is asked of each agreement, by id.

        The same again changes nothing; else it announces anew: another reason or successor, or a later sunset. Raises `Invalid` where the successor is no
        version of the same source that others can move to, or the sunset leaves less than the days of notice.
        """
        found = await self.examine(source, product, told)
        held = self.control.state.lives.of(source, product).deprecation
        if held is not None and told == Announced(held.sunset, held.reason, held.successor, held.notice_days):
            return found
        data = {
            "successor": told.successor,
            "sunset": told.sunset.astimezone(UTC).isoformat(),
            "reason": told.reason,
            "notice_days": told.notice_days,
            "text": _said(product, told),
        }
        await self._say(FactType.PRODUCT_DEPRECATED, source, product, data, by)
        return found

    async def end(
        self, source: str, product: str, *, by: str, why: str = "", end_agreements: bool = False
    ) -> tuple[str, ...]:
        """End a version after its sunset; returns the agreements that were ended for it, by id.

        Raises `Conflict` while agreements are in force on it, unless `end_agreements`: each is ended first, as either party
        may, and every lane's barrier is committed. One that was cut short is called again.
        """
        life = await self._life(source, product)
        if life.deprecation is None:
            raise Conflict(f"{product} is {life.state}: deprecate it first, with a sunset")
        if life.state is ProductState.ENDED:
            raise Conflict(f"{product} has ended already")
        if not life.past_sunset(self.now()):
            raise Conflict(f"the sunset of {product} is {life.deprecation.sunset.isoformat()}: it ends after that")
        left = [entry.id for entry in self.control.state.left_on(source, product)]
        if left and not end_agreements:
            more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            raise Conflict(f"agreements are in force on {product}: {', '.join(left[:_NAMED])}{more}; move or end them")
        for agreement in left:
            await self.agreements.end(agreement, by, why=why or f"Het dataproduct {product} is stopgezet.")
        await self._say(FactType.PRODUCT_ENDED, source, product, {"why": why}, by)
        return tuple(left)

    def _require_possible(self, source: str, product: str, life: Life, told: Announced) -> None:
        now, state = self.now(), self.control.state
        if life.state in {ProductState.PLANNED, ProductState.ENDED}:
            raise Conflict(f"{product} is {life.state}: a version that is live can be deprecated")
        if life.past_sunset(now):
            raise Conflict(f"the sunset of {product} is over: end it, or declare its next version")
        if life.deprecation is not None and told.sunset < life.deprecation.sunset:
            raise Conflict(f"{life.deprecation.sunset.isoformat()} was announced: a sunset can only come later")
        if told.notice_days < 0 or told.sunset <= now + timedelta(days=told.notice_days):
            raise Invalid(f"sunset: leave more than the {told.notice_days} days of notice, or state fewer (noticeDays)")
        if told.successor is not None:
            _require_successor(state, source, product, told.successor)

    async def _life(self, source: str, product: str) -> Life:
        await self.control.read_to_head()
        if (source, product) not in self.control.state.products:
            raise NotFound("no such product")
        return self.control.state.lives.of(source, product)

    async def _say(self, kind: FactType, source: str, product: str, data: Mapping[str, object], by: str) -> Life:
        about = {"source": source, "product": product}
        await self.control.append(kind, f"product/{source}/{product}", {**about, **data}, by=by)
        return self.control.state.lives.of(source, product)


async def all_concerned(
    state: ControlState, source: str, product: str, told: Deprecation, sees: Callable[[AgreementEntry], bool] = _all
) -> tuple[Concerned, ...]:
    """Agreements on a version that are not over and that `sees` lets pass, by id, each with what the deprecation asks of it.

    Others are answered meanwhile: two texts of each are rendered.
    """
    found = []
    for each in _concerned(state, source, product, told, sees):
        found.append(each)
        await asyncio.sleep(0)
    return tuple(found)


def _concerned(
    state: ControlState, source: str, product: str, told: Deprecation, sees: Callable[[AgreementEntry], bool]
) -> Iterator[Concerned]:
    old = _schema(state, source, product)
    new = None if told.successor is None else _schema(state, source, told.successor)
    for _, entry in sorted(state.agreements.items()):
        on = (entry.source, str(entry.document["product"])) == (source, product)
        if not on or entry.state not in OPEN | IN_FORCE or not sees(entry):
            continue
        found = None if new is None else asked(entry, state, old, new)
        must = found is not None and found.text_must_change
        yield Concerned(entry, deadline(documents.agreement(entry.document), told, text_must_change=must), found)


def require_offered(life: Life, product: str, step: Step, at: datetime) -> None:
    """Raise `NotOffered` where an agreement on the product that is not in force may not take the step at `at`."""
    if not life.bars(step, at):
        return
    if life.state is ProductState.PLANNED:
        raise NotOffered(f"{product} is planned: its owner launches it before agreements on it are published")
    told = life.deprecation
    after = f": ask for {told.successor}" if told is not None and told.successor else ", and nothing follows it"
    raise NotOffered(f"the sunset of {product} is over{after}")


def _require_successor(state: ControlState, source: str, product: str, successor: str) -> None:
    if (source, successor) not in state.products:
        raise Invalid(f"successor: {source} offers no {successor}: declare it first")
    (stem, number), (other, later) = version_of(product), version_of(successor)
    if stem == other and later <= number:
        raise Invalid(f"successor: {successor} is no later version than {product}")
    if state.lives.of(source, successor).state not in {ProductState.PLANNED, ProductState.LIVE}:
        raise Invalid(f"successor: {successor} is on its way out itself: name one that stays")


def _schema(state: ControlState, source: str, product: str) -> Schema:
    return load_schema(state.schemas[state.products[source, product].schema_id].text)


def _said(product: str, told: Announced) -> str:
    """For a person, in Dutch, as protocols are; it names nobody."""
    after = f"de opvolger is {told.successor}" if told.successor else "er is geen opvolger"
    sunset = day(told.sunset.astimezone(UTC))
    return f"Op het dataproduct {product} begint vanaf {sunset} geen nieuw protocol meer; {after}. {told.reason}"
