"""OAuth clients of outside issuers: which organisation each acts as, on the word of the operator, never of a token."""

from dataclasses import dataclass

from broker.control.views import Control
from broker.errors import Conflict, Invalid, NotFound
from broker.model import roles
from broker.model.facts import FactType
from broker.model.registered import BoundClient

_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Clients:
    """Use-cases of the operator; `issuers` are those that this installation trusts."""

    control: Control
    issuers: frozenset[str]

    async def bind(self, wanted: BoundClient, *, by: str) -> bool:
        """Have a client act as an organisation; whether that took a fact: none if it does so already.

        Raises `Invalid` for an issuer that is not trusted here and for unknown roles, `NotFound` for an unknown
        organisation, and `Conflict` where the client acts as another one: its tokens would change hands unnoticed.
        """
        if wanted.issuer not in self.issuers:
            raise Invalid("issuer: this installation trusts no such issuer (DATANUTS_ISSUERS)")
        if not 0 < len(wanted.client) <= _LONGEST or not wanted.client.isprintable():
            raise Invalid(f"client: 1 to {_LONGEST} printable characters")
        bound = BoundClient(wanted.issuer, wanted.client, wanted.organisation, roles.held(wanted.roles))
        await self.control.read_to_head()
        if bound.organisation not in self.control.state.organisations:
            raise NotFound("no such organisation: register it first")
        known = self.control.state.clients.get((bound.issuer, bound.client))
        if known == bound:
            return False
        if known is not None and known.organisation != bound.organisation:
            raise Conflict(f"this client acts as {known.organisation}: unbind it first")
        data = {
            "issuer": bound.issuer,
            "client": bound.client,
            "organisation": bound.organisation,
            "roles": list(bound.roles),
        }
        await self.control.append(FactType.CLIENT_BOUND, _aggregate(bound.issuer, bound.client), data, by=by)
        return True

    async def unbind(self, issuer: str, client: str, *, by: str) -> None:
        """Refuse the client's tokens from now on; raises `NotFound`."""
        await self.control.read_to_head()
        if (issuer, client) not in self.control.state.clients:
            raise NotFound("no such client")
        data = {"issuer": issuer, "client": client}
        await self.control.append(FactType.CLIENT_UNBOUND, _aggregate(issuer, client), data, by=by)


def _aggregate(issuer: str, client: str) -> str:
    return f"client/{issuer} {client}"
