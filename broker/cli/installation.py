"""Sets an installation up from its reviewed documents, and composes the use-cases behind the HTTP interface.

The one place where rooms meet: everything below is handed its collaborators from here.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from adapters.conformance.catalogue import CHECKS, KIT
from broker.api.services import Services
from broker.cli.client import OPERATOR
from broker.cli.datadir import DataDir, LocalCredential
from broker.cli.documents import PolicyFolder
from broker.cli.identities import identities
from broker.cli.outside import outside
from broker.cli.site import Site
from broker.cli.tls import client_authority
from broker.control import keys
from broker.control.adapter_certificates import AdapterCertificates, Kit
from broker.control.aftercare import Aftercare
from broker.control.agreements import Agreements
from broker.control.barriers import Barriers
from broker.control.beside import beside
from broker.control.confirmation import Confirmation
from broker.control.consents import Consents
from broker.control.dev_signing import bring_into_force
from broker.control.dossiers import Dossiers
from broker.control.enforcement import Enforcement
from broker.control.event_seals import EventSeals
from broker.control.halts import Halts
from broker.control.history import History
from broker.control.limits import Policies, set_limits
from broker.control.logins import LoginKeeper, users_of
from broker.control.mandates import Mandates
from broker.control.onboarding import Onboarding
from broker.control.organisations import Organisations
from broker.control.product_lives import ProductLives
from broker.control.products import Products
from broker.control.pseudonyms import Pseudonyms
from broker.control.quarantine import Quarantine
from broker.control.raw_intake import RawIntake
from broker.control.raw_sources import RawSources
from broker.control.replacements import Replacements
from broker.control.replays import Replays
from broker.control.signed_documents import trust_roots, verifier
from broker.control.term_keeper import TermKeeper
from broker.delivery.drop_subscriptions import Drops
from broker.delivery.looks import Looks
from broker.delivery.pull import DeliveryReader
from broker.delivery.quality import QualityFigures
from broker.delivery.tally import DailyTally
from broker.delivery.trail import ReceiptTrail
from broker.delivery.webhook_subscriptions import Webhooks
from broker.kafka.positions import GroupPositions
from broker.model import topics
from broker.model.registered import Organisation
from broker.policy.organisations import Member
from broker.routing.known_subjects import KnownSubjects
from broker.routing.plans import Plans
from broker.routing.pseudonymised import Pseudonymised
from broker.routing.rehearsal import Rehearsals
from broker.telemetry import Event, log, span_store

_OPERATOR = Member(Organisation(OPERATOR, "Dienstenintegrator"), (OPERATOR,))
_KIT = Kit(KIT, frozenset(each.code for each in CHECKS))


@dataclass(frozen=True, slots=True)
class Installation:
    """Use-cases that set up and administer one installation."""

    site: Site
    folder: PolicyFolder
    organisations: Organisations
    products: Products

    @classmethod
    def of(cls, site: Site) -> "Installation":
        """Over an open site and the documents that its settings name."""
        folder = PolicyFolder.of(site.settings.policies, site.settings.schemas)
        return cls(
            site,
            folder,
            Organisations(
                site.control,
                site.admin,
                authority=client_authority(site.home, site.settings, site.keys),
                quota=site.settings.kafka_quota,
            ),
            Products(site.control, site.admin, site.clients, site.lanes),
        )

    async def set_up(self) -> None:
        """Bring the documents into force: organisations, limits, products. What is in force already is left alone."""
        folder, schemas = self.folder, self.folder.product_schemas()
        for name in (keys.LANE, keys.LEDGER, keys.INTAKE):
            self.site.keys.ensure(name)  # before anyone registers a file, reads a receipt or pushes
        await self.products.register_receipts(folder.receipt_schema(), by=OPERATOR)
        await set_limits(self.site.control, folder.purposes(), folder.ceilings().values(), by=OPERATOR)
        for member in (_OPERATOR, *folder.members()):
            await self.organisations.register(member.organisation, by=OPERATOR)
            for product in member.products:
                await self.products.declare(member.organisation.id, schemas[product].text, by=OPERATOR)

    async def issue_credentials(self) -> None:
        """Leave a credential of every organisation in the data directory where there is none that still counts."""
        for member in (_OPERATOR, *self.folder.members()):
            await self.credential(member.organisation.id, member.roles)

    async def credential(self, organisation: str, roles: tuple[str, ...]) -> LocalCredential:
        """The organisation's credential in the data directory, issued now if need be."""
        home: DataDir = self.site.home
        held = home.credential(organisation)
        if held is not None:
            known = self.site.control.state.credentials.get(held.token.split("_")[1])
            if known is not None and known.holds(datetime.now(UTC)):
                return held
        issued = await self.organisations.issue(organisation, roles, by=OPERATOR)
        made = LocalCredential(organisation, issued.roles, issued.token, issued.kafka_username, issued.kafka_password)
        home.save_credential(made)
        return made

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Services]:
        """Use-cases behind the HTTP interface, started and stopped with the block."""
        here = self.site
        dossiers = Dossiers(here.clients, here.control, here.keys, here.settings.wall(), here.lanes)
        deliveries = DeliveryReader(here.clients.consumer)
        known = KnownSubjects(here.clients.consumer, here.lanes, here.home.root / "known-subjects")
        logins = partial(_logins_of, here)
        enforcement = Enforcement(here.admin, here.keys, Barriers(here.clients, here.lanes), logins)
        confirmation = Confirmation(here.clients.consumer(topics.ROUTER_GROUP))
        wall, history = here.settings.wall(), History(here.clients.consumer, here.lanes)
        consents = Consents(here.clients, here.control, here.keys, wall, here.lanes, confirmation, dossiers.log)
        raw_intake = RawIntake(here.clients, here.keys, now_ms=_now_ms, random=secrets.SystemRandom().random)
        quality = QualityFigures(
            here.clients.consumer,
            here.control,
            here.lanes,
            report=lambda error: log(Event.QUALITY_NOT_TAKEN, error=error),
        )
        try:
            await asyncio.gather(dossiers.start(), consents.start(), confirmation.start(), raw_intake.start())
            verify = verifier(trust_roots(here.settings.trust_roots), lambda: datetime.now(UTC))
            fictional = here.settings.persons == "synthetic"
            agreements = Agreements(here.control, enforcement, fictional=fictional, verify=verify)
            keeper = TermKeeper(here.control, agreements, OPERATOR, report=_not_kept)
            aftercare = Aftercare(
                here.control, agreements, report=lambda error: log(Event.AFTERCARE_FAILED, error=error)
            )
            login_keeper = LoginKeeper(
                here.control,
                here.admin,
                report=lambda error: log(Event.LOGIN_NOT_KEPT, error=error),
                quota=here.settings.kafka_quota,
            )
            async with (
                beside(keeper.run, "term-keeper"),
                beside(aftercare.run, "aftercare"),
                beside(login_keeper.run, "login-keeper"),
                identities(here) as identity,
                self._pushes(deliveries) as (webhooks, drops),
            ):
                yield Services(
                    control=here.control,
                    agreements=agreements,
                    dossiers=dossiers,
                    known=known,
                    consents=consents,
                    replacements=Replacements(
                        here.clients,
                        here.control,
                        here.keys,
                        wall,
                        here.lanes,
                        dossiers=dossiers,
                        consents=consents,
                        confirmation=confirmation,
                    ),
                    deliveries=deliveries,
                    receipts=ReceiptTrail(here.clients.consumer, self.folder.receipt_schema(), here.lanes),
                    spans=span_store(),
                    policies=Policies(here.control),
                    pseudonyms=self._pseudonyms(),
                    templates=Onboarding(
                        here.control, self.organisations, agreements, dossiers, partial(bring_into_force, agreements)
                    ),
                    history=history,
                    rehearsals=Rehearsals(history, here.keys, wall),
                    credentials=self.organisations,
                    looks=Looks(here.clients, here.lanes, partial(here.admin.held_partitions, topics.LANE_GROUP)),
                    tally=DailyTally(here.clients.consumer, self.folder.receipt_schema(), here.lanes),
                    replays=Replays(here.control, here.lanes),
                    halts=Halts(here.control, enforcement, enforcement.barriers),
                    mandates=Mandates(here.control, here.admin),
                    adapter_certificates=AdapterCertificates(here.control, here.clients, _KIT),
                    products=self.products,
                    lives=ProductLives(here.control, agreements),
                    raw_sources=RawSources(here.control, here.admin),
                    raw_intake=raw_intake,
                    quarantine=Quarantine(here.control, history),
                    seals=EventSeals(here.keys),
                    clients=identity.clients,
                    tokens=identity.tokens,
                    issuer=identity.issuer,
                    iri_base=here.settings.iri_base,
                    webhooks=webhooks,
                    drops=drops,
                    quality=quality,
                    public_url=here.settings.public_url,
                )
        finally:
            for started in (quality, deliveries, known, consents, confirmation, dossiers, raw_intake):
                await started.close()

    @asynccontextmanager
    async def _pushes(self, deliveries: DeliveryReader) -> AsyncIterator[tuple[Webhooks, Drops]]:
        here, positions = self.site, GroupPositions(self.site.clients)

        def now() -> datetime:
            return datetime.now(UTC)

        def new_id() -> str:
            return secrets.token_hex(16)

        try:
            with outside(here.settings) as world:
                control, keys_ = here.control, here.keys
                yield (
                    Webhooks(control, keys_, world.guard, positions, deliveries, now, new_id, world.receiver),
                    Drops(control, keys_, world.drop_guard, positions, deliveries, now, new_id, world.servers.open),
                )
        finally:
            await positions.close()

    def _pseudonyms(self) -> Pseudonyms:
        here, wall = self.site, self.site.settings.wall()
        plans = Plans(here.keys, wall)
        population = Pseudonymised(here.clients, here.control, here.keys, plans, here.lanes, _now_ms)
        return Pseudonyms(here.control, here.keys, population)


def _logins_of(here: Site, agency: str) -> list[str]:
    return users_of(here.control.state, agency, datetime.now(UTC))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _not_kept(error: Exception) -> None:
    log(Event.TERM_NOT_KEPT, error=error)
