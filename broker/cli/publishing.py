"""An adapter on an installation: its products declared, its state topic made, its runner composed."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from adapters.mapped import Mapped
from adapters.publication import Publication
from adapters.raw_topic import RawTopic
from adapters.runner import Runner
from adapters.sdk import Adapter
from broker.cli.certified_journal import CertifiedJournal, Rule
from broker.cli.client import OPERATOR
from broker.cli.documents import PolicyFolder
from broker.cli.installation import Installation
from broker.cli.site import Site
from broker.control import keys
from broker.control.source_seals import SealKeys, SealSigner
from broker.errors import Invalid, NotCertified, NotFound
from broker.kafka.journal import Journal
from broker.kafka.raw_log import RawLog
from broker.model import topics, topology
from broker.model.adapter_certificates import Binding
from broker.schema.avro import Schema, load_schema
from broker.telemetry import Event, log, record_spans
from broker.telemetry.safe import FromCode


async def runner_over(here: Site, adapter: Adapter, bindings: Sequence[Binding] = ()) -> Runner:
    """What runs `adapter` on this installation; a product that is not declared yet is declared from its schema.

    `bindings` are what its certificates must be about. Raises `Invalid` where there is no schema of the product,
    `NotFound` where nobody knows its organisation, and `NotCertified` where persons are real and it has no certificate.
    """
    rule = Rule(bindings, real=here.settings.persons == "real")
    if rule.real and not bindings:
        raise NotCertified("where persons are real an adapter runs by `datanuts adapter run` only, with a certificate")
    rule.require(here.control.state, datetime.now(UTC))
    publications = {
        product: await _publication(here, organisation, product) for product, organisation in adapter.sources.items()
    }
    if isinstance(adapter, RawTopic):
        adapter = _over_its_topic(here, adapter)
    await here.admin.ensure_topics(
        [
            topology.cursors(adapter.name),
            *(topology.seals(organisation, product) for product, organisation in adapter.sources.items()),
        ]
    )
    seal_keys = SealKeys(here.control, here.keys)
    for organisation in sorted(set(adapter.sources.values())):
        await seal_keys.ensure(organisation, by=OPERATOR)
    certificates = here.control.state.adapter_certificates
    valid = {each.product: certificates.valid(each, datetime.now(UTC)) for each in bindings}
    journal = Journal(
        here.clients,
        transactional_id=topics.adapter_transactional_id(adapter.name),
        topic=topics.cursors(adapter.name),
    )

    def observe(traces: Iterable[bytes | None], records: int, began: datetime, ended: datetime) -> None:
        seen = {"adapter": adapter.name, "records": records}
        start_ns, end_ns = (int(at.timestamp() * 1000) * 1_000_000 for at in (began, ended))
        record_spans("adapter.publish", traces, start_ns=start_ns, end_ns=end_ns, attributes=seen)
        log(Event.ADAPTER_BATCH, **seen)

    certified = CertifiedJournal(journal, here.control, rule)
    own = adapter.mapping.clock_tolerance_s if isinstance(adapter, Mapped) else None
    return Runner(
        adapter,
        publications,
        certified,
        here.keys.ensure(f"content/{adapter.name}"),
        clock_tolerance_s=here.settings.clock_tolerance_s if own is None else own,
        drift_stops=isinstance(adapter, Mapped) and adapter.mapping.drift_stops,
        signer=SealSigner(here.control, here.keys, {product: each for product, each in valid.items() if each}),
        drifted=lambda drift: log(
            Event.ADAPTER_DRIFT,
            adapter=adapter.name,
            product=drift.product,
            path=FromCode(drift.path),
            code=drift.code,
        ),
        observe=observe,
    )


def _over_its_topic(here: Site, adapter: RawTopic) -> RawTopic:
    """The adapter with messages to read; raises `NotFound` where its raw source is not declared."""
    organisation, name = adapter.mapping.organisation, adapter.form.name
    if (organisation, name) not in here.control.state.raw.declared:
        raise NotFound(f"no raw source {name} of {organisation}: datanuts raw declare {organisation} {name}")
    return adapter.over(RawLog(here.clients, adapter.topic))


async def _publication(here: Site, organisation: str, product: str) -> Publication:
    state = here.control.state
    if (organisation, product) not in state.products:
        installation = Installation.of(here)
        await installation.set_up()
        schema = schema_of(installation.folder, product)
        await installation.products.declare(organisation, schema.text, by=OPERATOR)
    schema_id = state.products[organisation, product].schema_id
    return Publication(
        organisation,
        load_schema(state.schemas[schema_id].text),
        schema_id,
        k_lane=here.keys.ensure(keys.LANE),
        lanes=here.lanes,
    )


def schema_of(folder: PolicyFolder, product: str) -> Schema:
    """The product's schema among the reviewed documents; raises `Invalid`."""
    found = folder.product_schemas().get(product)
    if found is None:
        raise Invalid(f"no schema of {product} in {folder.schemas}: add {product}.avsc, or set DATANUTS_SCHEMAS")
    return found
