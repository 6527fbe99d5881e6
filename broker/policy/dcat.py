"""The catalogue as DCAT-AP-VL: what is offered by whom, under which conditions, and through which forms.

Guarantees the mandatory properties of DCAT-AP Vlaanderen 2.0 (recognised 2022-04-21) for catalogue, datasets, data services
and distributions, and conforms to the shapes of DCAT-AP 2.0.1. Nobody who receives anything is named: who has an agreement
is no property of a product. IRIs of organisations, products and purposes are those of `policy.odrl`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rdflib import DCAT, DCTERMS, FOAF, ODRL2, RDF, SKOS, XSD, BNode, Graph, Literal, Namespace, URIRef

from broker.model.agreement import FieldClass
from broker.model.product_life import LIVE, Life, ProductState
from broker.model.quality import Quality
from broker.model.registered import Organisation, Product
from broker.model.roles import OPERATOR
from broker.policy.dcat_quality import measure
from broker.policy.odrl_terms import OVO
from broker.policy.words import day
from broker.schema.avro import Schema
from broker.schema.compatibility import version_of

_Node = TypeVar("_Node", URIRef, BNode)

ADMS = Namespace("http://www.w3.org/ns/adms#")
DCAT3 = Namespace("http://www.w3.org/ns/dcat#")
"""Terms of DCAT 3 that rdflib does not list yet."""

VCARD = Namespace("http://www.w3.org/2006/vcard/ns#")
RIGHTS = Namespace("http://publications.europa.eu/resource/authority/access-right/")
STATUS = Namespace("http://purl.org/adms/status/")
THEMES = Namespace("http://vocab.belgif.be/auth/datatheme/")
_DUTCH = URIRef("http://publications.europa.eu/resource/authority/language/NLD")
_MEDIA = "https://www.iana.org/assignments/media-types/"
_PROFILE = URIRef("https://data.vlaanderen.be/doc/applicatieprofiel/metadata-dcat/")

_STATUS_OF: Mapping[ProductState, tuple[str, str]] = {
    ProductState.PLANNED: ("UnderDevelopment", "in ontwikkeling"),
    ProductState.LIVE: ("Completed", "in gebruik"),
    ProductState.DEPRECATED: ("Deprecated", "wordt stopgezet"),
    ProductState.ENDED: ("Withdrawn", "stopgezet"),
}
"""ADMS status of a version, and what it is called."""

_THEME_OF: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("persoon", "gezin"), ("SOCI", "Bevolking en samenleving")),
    **dict.fromkeys(("organisatie", "vestiging", "steunmaatregel"), ("ECON", "Economie en financiën")),
    **dict.fromkeys(("adres", "gebouweenheid", "perceel"), ("REGI", "Regio's en steden")),
    **dict.fromkeys(("mandataris", "dienst", "dossier"), ("GOVE", "Overheid en publieke sector")),
    "diploma": ("EDUC", "Onderwijs, cultuur en sport"),
    "hinder": ("TRAN", "Vervoer"),
}
"""Theme (EU data themes) by name of the record type; a type that is not here has none."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to read what an agreement delivers: an exit and a media type; `place` is its address below the interface."""

    name: str
    media_type: str
    title: str
    place: str


_STREAM, _LDES, _AGREEMENT = "/v1/deliveries/{protocol}", "/v1/ldes/{protocol}", "/v1/agreements/{protocol}"
FORMS: Sequence[Form] = (
    Form("kafka", "application/avro", "Kafka, Avro in Confluent-formaat", "delivery.{afnemer}.{protocol}"),
    Form("pull-json", "application/json", "HTTP per bladzijde, JSON", _STREAM),
    Form("pull-ndjson", "application/x-ndjson", "HTTP per bladzijde, NDJSON", _STREAM),
    Form("pull-avro", "application/avro", "HTTP per bladzijde, Avro", _STREAM),
    Form("pull-json-ld", "application/ld+json", "HTTP per bladzijde, JSON-LD", _STREAM),
    Form("events", "text/event-stream", "HTTP, server-sent events", f"{_STREAM}/events"),
    Form("file-ndjson", "application/x-ndjson", "Bestand, NDJSON", f"{_STREAM}/file"),
    Form("file-avro", "application/avro", "Bestand, Avro", f"{_STREAM}/file"),
    Form("ldes-json-ld", "application/ld+json", "LDES, JSON-LD", _LDES),
    Form("ldes-turtle", "text/turtle", "LDES, Turtle", _LDES),
    Form("webhook", "application/json", "Webhook, JSON", f"{_AGREEMENT}/webhook"),
    Form("drop-ndjson", "application/x-ndjson", "SFTP, NDJSON", f"{_AGREEMENT}/drop"),
    Form("drop-avro", "application/avro", "SFTP, Avro", f"{_AGREEMENT}/drop"),
)
"""Every exit of docs/exits.md, once per form that it has."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A product, its schema, the codes of the purposes that its owner allows something for, its life and its quality."""

    product: Product
    schema: Schema
    purposes: Sequence[str]
    life: Life = LIVE
    quality: Quality | None = None


def catalogue(offered: Iterable[Offered], organisations: Mapping[str, Organisation], *, base: str, api: str) -> Graph:
    """The graph of the catalogue; `base` begins our IRIs, `api` is the URL of the HTTP interface, without a slash."""
    return _Writer(Graph(), organisations, base, api).written(list(offered))


@dataclass(slots=True)
class _Writer:
    graph: Graph
    organisations: Mapping[str, Organisation]
    base: str
    api: str
    nodes: int = 0

    def written(self, offered: Sequence[Offered]) -> Graph:
        for prefix, space in (("adms", ADMS), ("dct", DCTERMS), ("odrl", ODRL2), ("vcard", VCARD)):
            self.graph.bind(prefix, space, replace=True)
        top = URIRef(f"{self.base}catalogue")
        self.add(top, DCTERMS.language, self.kind(_DUTCH, DCTERMS.LinguisticSystem))
        self.described(top, DCAT.Catalog, "datanutsbedrijf", "Datanutsbedrijf: dataproducten", OPERATOR)
        self.say(top, "Wat bronnen aanbieden, hoogstens en per doel. Wie iets krijgt, en wat, bepaalt een protocol.")
        self.add(top, DCTERMS.conformsTo, self.standard(_PROFILE, "Metadata-dcat"))
        for each in offered:
            dataset, service = self.dataset(each), self.service(each)
            self.add(top, DCAT.dataset, dataset)
            self.add(top, DCAT.service, service)
        self.versions(offered)
        self.dates(top, [each.product for each in offered])
        return self.graph

    def dataset(self, each: Offered) -> URIRef:
        product, attributes = each.product, each.schema.root.attributes
        node, place = self.iri(product), f"{product.source}/{product.id}"
        self.described(node, DCAT.Dataset, place, self.title(product), product.source)
        self.say(
            node,
            "De volledige toestand van elke betrokkene, na elke wijziging, zoals een protocol er een deel van toekent.",
        )
        if stated := attributes.get("doc"):
            self.add(node, DCTERMS.description, Literal(stated, lang="en"))
        self.common(node, each)
        self.standing(node, each)
        self.dates(node, [product])
        if class_ := attributes.get("iri"):
            self.add(node, DCTERMS.conformsTo, self.standard(URIRef(class_), product.id.partition(".")[0]))
        for part, title in (("context", "JSON-LD-context"), ("shape", "SHACL-vorm")):
            address = URIRef(f"{self.api}/v1/catalogue/{place}/{part}")
            self.add(node, DCTERMS.conformsTo, self.standard(address, f"{title} van {product.id}"))
        self.add(node, DCAT.landingPage, self.kind(self.page(product), FOAF.Document))
        for form in FORMS:
            self.add(node, DCAT.distribution, self.distribution(product, form))
        for code in each.purposes:
            self.add(node, ODRL2.hasPolicy, self.offer(node, code))
        if each.quality is not None:
            measure(self.graph, node, each.quality, base=self.base)
        return node

    def service(self, each: Offered) -> URIRef:
        product = each.product
        node = self.iri(product, "/service")
        self.described(
            node,
            DCAT.DataService,
            f"{product.source}/{product.id}/service",
            f"Leveringen: {self.title(product)}",
            product.source,
        )
        self.say(node, "Elke beslissing van een protocol, met dezelfde waarden langs elke weg.")
        self.common(node, each)
        self.add(node, DCAT.endpointURL, URIRef(f"{self.api}/v1/deliveries"))
        for address in ("/v1/catalogue/asyncapi", "/openapi.json"):
            self.add(node, DCAT.endpointDescription, URIRef(f"{self.api}{address}"))
        self.add(node, DCAT.servesDataset, self.iri(product))
        return node

    def distribution(self, product: Product, form: Form) -> URIRef:
        node = self.iri(product, f"/distribution/{form.name}")
        self.kind(node, DCAT.Distribution)
        self.add(node, DCTERMS.identifier, Literal(f"{product.source}/{product.id}/{form.name}"))
        self.add(node, DCTERMS.title, Literal(form.title, lang="nl"))
        self.say(node, f"Per protocol op {form.place}; wie een protocol wil, begint op de toegangspagina.")
        self.add(node, DCAT.accessURL, self.page(product))
        self.add(node, DCAT.accessService, self.iri(product, "/service"))
        self.add(node, DCAT.mediaType, self.kind(URIRef(f"{_MEDIA}{form.media_type}"), DCTERMS.MediaType))
        return node

    def described(self, node: URIRef, class_: URIRef, identifier: str, title: str, owner: str) -> None:
        """What catalogue, datasets and services all have."""
        self.kind(node, class_)
        self.add(node, DCTERMS.identifier, Literal(identifier))
        self.add(node, DCTERMS.title, Literal(title, lang="nl"))
        self.add(node, DCTERMS.publisher, self.publisher(owner))
        self.add(node, DCAT.contactPoint, self.contact(owner))

    def common(self, node: URIRef, each: Offered) -> None:
        """Access, subject matter and profile of a dataset or its service."""
        product = each.product
        name = product.id.partition(".")[0]
        public = all(leaf.field_class is FieldClass.PUBLIC for leaf in each.schema.fields.values())
        access, label = (RIGHTS.RESTRICTED, "beperkt") if public else (RIGHTS.NON_PUBLIC, "niet publiek")
        self.add(node, DCTERMS.accessRights, self.concept(access, label, DCTERMS.RightsStatement))
        if name in _THEME_OF:
            code, label = _THEME_OF[name]
            self.add(node, DCAT.theme, self.concept(THEMES[code], label))
        self.add(node, DCAT.keyword, Literal(name, lang="nl"))
        self.add(node, DCTERMS.conformsTo, self.standard(_PROFILE, "Metadata-dcat"))

    def standing(self, node: URIRef, each: Offered) -> None:
        """Its version, the state of that, and until when something begins on it."""
        status, label = _STATUS_OF[each.life.state]
        self.add(node, DCAT3.version, Literal(str(version_of(each.product.id)[1])))
        self.add(node, ADMS.status, self.concept(STATUS[status], label))
        told = each.life.deprecation
        if told is not None:
            self.say(node, f"Vanaf {day(told.sunset)} begint hierop geen nieuw protocol meer. {told.reason}")

    def versions(self, offered: Sequence[Offered]) -> None:
        """What comes before and after each version, as far as it is in the catalogue."""
        known = {(each.product.source, each.product.id): each for each in offered}
        for (source, product), each in known.items():
            stem, number = version_of(product)
            earlier = [other for owner, other in known if owner == source and version_of(other)[0] == stem]
            before = max((other for other in map(version_of, earlier) if other[1] < number), default=None)
            node, told = self.iri(each.product), each.life.deprecation
            if before is not None:
                self.add(node, DCAT3.previousVersion, self.iri(known[source, f"{stem}.v{before[1]}"].product))
            if told is not None and (source, str(told.successor)) in known:
                after = self.iri(known[source, str(told.successor)].product)
                self.add(node, DCTERMS.isReplacedBy, after)
                self.add(after, DCTERMS.replaces, node)

    def offer(self, dataset: URIRef, code: str) -> URIRef:
        """That something may be asked for a purpose."""
        node, permission, constraint = URIRef(f"{dataset}/offer/{code}"), self.blank(), self.blank()
        self.kind(node, ODRL2.Offer)
        self.add(node, ODRL2.permission, permission)
        for property_, value in ((ODRL2.action, ODRL2.use), (ODRL2.target, dataset), (ODRL2.constraint, constraint)):
            self.add(permission, property_, value)
        self.add(constraint, ODRL2.leftOperand, ODRL2.purpose)
        self.add(constraint, ODRL2.operator, ODRL2.eq)
        self.add(constraint, ODRL2.rightOperand, URIRef(f"{self.base}purpose/{code}"))
        return node

    def publisher(self, slug: str) -> URIRef:
        """Its IRI is that of its OVO code, where it is known to have one; its KBO number is an identifier."""
        known = self.organisation(slug)
        node = self.kind(URIRef(f"{OVO}{known.ovo}" if known.ovo else f"{self.base}organisation/{slug}"), FOAF.Agent)
        self.add(node, FOAF.name, Literal(known.name, lang="nl"))
        if known.kbo:
            number = self.blank()
            self.kind(number, ADMS.Identifier)
            self.add(number, SKOS.notation, Literal(known.kbo))
            self.add(node, ADMS.identifier, number)
        return node

    def contact(self, slug: str) -> URIRef:
        """The public page of protocols, which say whom to write to: no address of a person is held here."""
        node = self.kind(URIRef(f"{self.base}organisation/{slug}/contact"), VCARD.Organization)
        self.kind(node, VCARD.Kind)
        for property_ in (VCARD.fn, VCARD["organization-name"]):
            self.add(node, property_, Literal(self.organisation(slug).name))
        self.add(node, VCARD.hasURL, URIRef(f"{self.api}/protocollen"))
        return node

    def dates(self, node: URIRef, products: Sequence[Product]) -> None:
        """When the first of them was declared, and when the last one changed; neither where nobody knows."""
        begun = [each.issued for each in products if each.issued]
        changed = [each.modified for each in products if each.modified]
        for property_, instants in ((DCTERMS.issued, sorted(begun)[:1]), (DCTERMS.modified, sorted(changed)[-1:])):
            for instant in instants:
                self.add(node, property_, Literal(instant.isoformat(), datatype=XSD.dateTime))

    def title(self, product: Product) -> str:
        name, _, version = product.id.partition(".v")
        return f"{name.capitalize()}, versie {version}, van {self.organisation(product.source).name}"

    def organisation(self, slug: str) -> Organisation:
        return self.organisations.get(slug) or Organisation(slug, slug)

    def iri(self, product: Product, part: str = "") -> URIRef:
        return URIRef(f"{self.base}product/{product.source}/{product.id}{part}")

    def page(self, product: Product) -> URIRef:
        return URIRef(f"{self.api}/v1/products/{product.source}/{product.id}")

    def standard(self, node: URIRef, title: str) -> URIRef:
        self.add(node, DCTERMS.title, Literal(title, lang="nl"))
        return self.kind(node, DCTERMS.Standard)

    def concept(self, node: URIRef, label: str, class_: URIRef = SKOS.Concept) -> URIRef:
        self.kind(node, SKOS.Concept)
        self.add(node, SKOS.prefLabel, Literal(label, lang="nl"))
        return self.kind(node, class_)

    def kind(self, node: _Node, class_: URIRef) -> _Node:
        self.add(node, RDF.type, class_)
        return node

    def say(self, node: URIRef, text: str) -> None:
        self.add(node, DCTERMS.description, Literal(text, lang="nl"))

    def blank(self) -> BNode:
        """Numbered in order: the same catalogue is written the same."""
        self.nodes += 1
        return BNode(f"n{self.nodes}")

    def add(self, subject: URIRef | BNode, property_: URIRef, value: URIRef | BNode | Literal) -> None:
        self.graph.add((subject, property_, value))
