"""Organisations: public bodies, made known once, each with credentials (`broker.control.credentials`)."""

from broker.control.credentials import Credentials
from broker.control.log import ControlLog
from broker.model import topics
from broker.model.facts import FactType
from broker.model.registered import Organisation
from broker.policy.organisations import organisation_document


async def register(control: ControlLog, organisation: Organisation, *, by: str) -> bool:
    """Make the organisation known under its slug; whether that took a fact: none if it is known as such already."""
    topics.slug(organisation.id, "organisation")
    await control.read_to_head()
    if control.state.organisations.get(organisation.id) == organisation:
        return False
    data = organisation_document(organisation)
    await control.append(FactType.ORGANISATION, f"organisation/{organisation.id}", data, by=by)
    return True


class Organisations(Credentials):
    """Registers public bodies, and issues their credentials."""

    async def register(self, organisation: Organisation, *, by: str) -> None:
        """Make the organisation known under its slug; nothing is written if it is known as such already."""
        await register(self._control, organisation, by=by)
