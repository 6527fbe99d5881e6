"""The HTTP application, composed from use-cases that someone else started and stops."""

from collections.abc import Callable, Sequence

from fastapi import FastAPI

from broker.api import (
    adapter_certificates,
    agreement_negotiation,
    agreement_standing,
    agreements,
    announcements,
    catalogue,
    catalogue_pages,
    ceilings,
    clients,
    consents,
    credentials,
    deliveries,
    delivery_events,
    delivery_files,
    dossier_loads,
    dossiers,
    drops,
    health,
    ldes,
    mandates,
    oauth,
    open_forms,
    organisations,
    policy,
    policy_history,
    problems,
    product_declarations,
    product_lives,
    products,
    protocol_texts,
    pseudonyms,
    purposes,
    quarantine,
    raw_intake,
    raw_sources,
    registry,
    registry_writing,
    replacements,
    replays,
    seal_keys,
    subscriptions,
    templates,
    traces,
    webhooks,
)
from broker.api.client_certificates import Network
from broker.api.kept_texts import KeptTexts
from broker.api.limits import BodyLimit, Pace, Paces
from broker.api.pouring import OpenAnswers
from broker.api.problems import LastResort
from broker.api.services import Services
from broker.api.uses import Uses
from broker.delivery.streams import Egress

API_VERSION = "1"


def create_app(
    services: Services,
    *,
    report: Callable[[Exception], None] = lambda _error: None,
    requests_per_second: float | None = None,
    proxies: Sequence[Network] = (),
) -> FastAPI:
    """The application over `services`; it holds no state of its own and may run in any number of processes.

    `proxies`: whose word counts for the client certificate of who is behind them. `requests_per_second` is what one organisation may ask of one process, None without a bound. `report` receives exceptions that nobody expected; their text may hold values, so it must not be logged as it is.
    """
    app = FastAPI(
        title="datanuts",
        version=API_VERSION,
        summary="Purpose-bound data exchange between public administrations",
        docs_url=None,  # the interactive pages load scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.egress = Egress()
    app.state.uses = Uses()
    app.state.catalogues = KeptTexts()
    app.state.open_answers = OpenAnswers()
    app.state.proxies = tuple(proxies)
    app.state.public_pace = Pace()
    app.state.paces = Paces(requests_per_second)
    app.state.purposes_claimed = 0
    unbuffered = [dossier_loads.UNBUFFERED, agreement_negotiation.UNBUFFERED, raw_intake.UNBUFFERED]
    app.add_middleware(BodyLimit, unbuffered=unbuffered)
    app.add_middleware(LastResort, report=report)  # added last: outermost
    problems.install(app)
    for room in (
        agreements,
        agreement_negotiation,
        agreement_standing,
        subscriptions,
        protocol_texts,
        dossiers,
        dossier_loads,
        consents,
        pseudonyms,
        deliveries,
        ldes,
        delivery_events,
        delivery_files,
        products,
        product_declarations,
        product_lives,
        seal_keys,
        ceilings,
        purposes,
        organisations,
        credentials,
        catalogue,
        catalogue_pages,
        clients,
        oauth,
        policy,
        policy_history,
        open_forms,
        quarantine,
        raw_sources,
        raw_intake,
        registry,
        registry_writing,
        replacements,
        replays,
        announcements,
        mandates,
        adapter_certificates,
        templates,
        traces,
        webhooks,
        drops,
        health,
    ):
        app.include_router(room.routes)
    return app
