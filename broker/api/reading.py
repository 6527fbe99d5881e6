"""One caller's reading of one stream: before anything is shown, its right is looked at again, at the control log's head."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import Request

from broker.api.auth import AGENCY, Principal, still_caller_of
from broker.api.services import Services
from broker.api.uses import Uses
from broker.delivery.formats import Page
from broker.delivery.pull import Slice
from broker.delivery.streams import Egress, Stream, stream_of
from broker.errors import Halted, NotFound, PositionExpired, Stale, Unauthenticated
from broker.model.control_state import ControlState
from broker.model.record import header
from broker.model.roles import PROCESSOR
from broker.telemetry import Event, log, record_spans

_LOOK_S = 1.0
_UNKNOWN = "no such agreement of this agency"


def reads_for(state: ControlState, caller: Principal, agreement: str, at: datetime) -> str:
    """The agency whose stream the caller reads: its own, or that of a mandate in force at `at`; raises `NotFound` alike for all others."""
    entry, holder = state.agreements.get(agreement), caller.organisation
    if entry is not None:
        own = AGENCY in caller.roles and entry.agency == holder
        if own or (PROCESSOR in caller.roles and state.mandates.allows(entry.agency, holder, agreement, at)):
            return entry.agency
    raise NotFound(_UNKNOWN)


@dataclass(frozen=True, slots=True)
class Reading:
    """Pages of `agreement` for its agency, under the name that their spans have; `actor` is who calls: it, or a processor of its."""

    request: Request
    broker: Services
    agreement: str
    organisation: str
    actor: str
    credential: str | None
    span: str

    @classmethod
    def of(cls, request: Request, broker: Services, caller: Principal, agreement: str, span: str) -> "Reading":
        """Raises `NotFound` for an agreement of another agency, `Conflict` for one that was never active."""
        organisation = reads_for(broker.control.state, caller, agreement, datetime.now(UTC))
        made = cls(request, broker, agreement, organisation, caller.organisation, caller.credential, span)
        made.known()
        return made

    def known(self) -> Stream:
        """The stream as far as the control log is known here; raises `NotFound`, `Conflict` or `Halted`."""
        stream = stream_of(self.broker.control.state, self.agreement, self.organisation)
        if stream.halted and not stream.stopped:
            raise Halted("the owner of the product stopped all its streams for now: go on from your position later")
        return stream

    async def standing(self) -> Stream:
        """The stream as it stands now.

        Raises `Unauthenticated` once the credential is withdrawn, `NotFound` once the mandate is over, and `Stale`.
        """
        await self.broker.control.read_to_head()
        if not self.broker.control.fresh():
            raise Stale("the broker cannot see its control log: nothing is released now")
        caller = await still_caller_of(self.request, self.broker)
        if caller.organisation != self.actor or caller.roles.isdisjoint({AGENCY, PROCESSOR}):
            raise Unauthenticated("a valid credential is needed")
        if reads_for(self.broker.control.state, caller, self.agreement, datetime.now(UTC)) != self.organisation:
            raise NotFound(_UNKNOWN)
        return self.known()

    async def page(self, position: int | None, *, limit: int, wait_s: float = 0.0) -> Page:
        """What may be seen from `position` on (None: the oldest retained); of a stopped stream, life-cycle events only.

        Raises `PositionExpired`, `Invalid` beyond the end, `KafkaUnavailable`, and as `standing`.
        """
        stream = self.known()
        found = await self._read(stream, position, limit, 0 if stream.stopped else wait_s)
        found_ns = time.time_ns()
        stream = await self.standing()
        shown = tuple(message for message in found.messages if message.is_life_cycle or not stream.stopped)
        record_spans(
            self.span,
            (header(message.headers, "traceparent") for message in shown if not message.is_life_cycle),
            start_ns=found_ns,
            end_ns=time.time_ns(),
            attributes={"agreement": self.agreement, "records": len(shown)},
        )
        if self.actor != self.organisation and shown:
            log(
                Event.PROCESSOR_READ,
                processor=self.actor,
                organisation=self.organisation,
                agreement=self.agreement,
                first=shown[0].offset,
                last=shown[-1].offset,
            )
        uses: Uses = self.request.app.state.uses
        uses.pulled(self.agreement, self.credential, position, found.position)
        state = self.broker.control.state
        egress: Egress = self.request.app.state.egress
        in_force = state.agreements[self.agreement].egress_schema_id
        return Page.of(
            stream,
            shown,
            found.position,
            schemas=state.schemas,
            in_force=in_force,
            egress=egress,
            base=self.broker.iri_base,
        )

    async def more(self, position: int, *, wait_s: float) -> bool:
        """Whether the stream goes on from `position`, waiting up to `wait_s` for it; raises `KafkaUnavailable`."""
        return await self.broker.deliveries.beyond(self.known().topic, position, wait_s=wait_s)

    async def _read(self, stream: Stream, position: int | None, limit: int, wait_s: float) -> Slice:
        """As far as there is something; a credential that is withdrawn meanwhile ends the wait within a second."""
        while True:
            found = await self._read_once(stream, position, limit, min(wait_s, _LOOK_S))
            wait_s -= _LOOK_S
            if found.messages or wait_s <= 0:
                return found
            position = found.position
            await still_caller_of(self.request, self.broker)

    async def _read_once(self, stream: Stream, position: int | None, limit: int, wait_s: float) -> Slice:
        try:
            return await self.broker.deliveries.read(stream.topic, position, limit=limit, wait_s=wait_s)
        except PositionExpired:
            if not stream.stopped:
                raise
            # A stopped stream was emptied on purpose: nothing was missed, and its barriers tell why.
            return await self.broker.deliveries.read(stream.topic, None, limit=limit, wait_s=wait_s)
