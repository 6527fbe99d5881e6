"""Quality figures of a dataset as measurements of the Data Quality Vocabulary (W3C DQV, Working Group Note of 2016-12-15).

A measurement is of one metric, at one instant, on one dataset; a metric says what it counts, in which dimension of Zaveri et
al. (ldqd). A figure that is not told is no measurement: its absence says nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rdflib import DCTERMS, PROV, RDF, SDO, SKOS, XSD, Graph, Literal, Namespace, URIRef

from broker.model.quality import Quality

DQV = Namespace("http://www.w3.org/ns/dqv#")
LDQD = Namespace("http://www.w3.org/2016/05/ldqd#")

_PERCENT, _SECOND = "P1", "SEC"
"""Common codes of UN/CEFACT."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a figure counts: its name in IRIs, a Dutch name and definition, dimension, datatype and unit."""

    name: str
    title: str
    definition: str
    dimension: URIRef
    datatype: URIRef
    unit: str | None = None


SUBJECTS = Metric(
    "subjects",
    "Aantal betrokkenen",
    "Betrokkenen van wie nu een record bestaat, afgerond op twee cijfers, onder honderd op vijf.",
    LDQD.completeness,
    XSD.integer,
)
LAST_RECORD = Metric(
    "last-record",
    "Laatste record",
    "Ogenblik waarop het laatste record gepubliceerd werd, op de minuut.",
    LDQD.timeliness,
    XSD.dateTime,
)
LAST_PASS = Metric(
    "last-pass",
    "Bron laatst nagezien",
    "Ogenblik waarop een adapter het einde van de bron laatst bereikte.",
    LDQD.timeliness,
    XSD.dateTime,
)
MEDIAN = Metric(
    "median-delay",
    "Vertraging, mediaan",
    "Seconden tussen de vaststelling bij de bron (recordedAt) en de publicatie, over de records van de laatste 24 uur: de helft is sneller.",
    LDQD.timeliness,
    XSD.integer,
    _SECOND,
)
P95 = Metric(
    "p95-delay",
    "Vertraging, 95e percentiel",
    "Seconden tussen de vaststelling bij de bron (recordedAt) en de publicatie, over de records van de laatste 24 uur: 95 op 100 zijn sneller.",
    LDQD.timeliness,
    XSD.integer,
    _SECOND,
)
SET_ASIDE_DAY = Metric(
    "quarantine-rate-day",
    "In quarantaine, laatste 24 uur",
    "Percentage van wat de bron de laatste 24 uur aanbood dat niet gepubliceerd kon worden.",
    LDQD.syntacticValidity,
    XSD.integer,
    _PERCENT,
)
SET_ASIDE = Metric(
    "quarantine-rate",
    "In quarantaine, in het geheel",
    "Percentage van alles wat de bron ooit aanbood dat niet gepubliceerd kon worden.",
    LDQD.syntacticValidity,
    XSD.integer,
    _PERCENT,
)


def completeness(path: str) -> Metric:
    """The metric of one field."""
    return Metric(
        f"completeness/{path}",
        f"Volledigheid van {path}",
        f"Percentage van de betrokkenen van wie het record een waarde heeft voor {path}.",
        LDQD.completeness,
        XSD.integer,
        _PERCENT,
    )


def measurements(quality: Quality) -> Iterator[tuple[Metric, Literal]]:
    """What is told, by metric."""
    told = (
        (SUBJECTS, quality.subjects),
        (LAST_RECORD, quality.last_record),
        (LAST_PASS, quality.last_pass),
        (MEDIAN, quality.median_s),
        (P95, quality.p95_s),
        (SET_ASIDE_DAY, quality.set_aside_day),
        (SET_ASIDE, quality.set_aside),
        *((completeness(path), each) for path, each in sorted(quality.completeness.items())),
    )
    for metric, value in told:
        if value is not None:
            yield metric, Literal(value, datatype=metric.datatype)


def measure(graph: Graph, dataset: URIRef, quality: Quality, *, base: str) -> None:
    """Add the measurements to a dataset; metrics have IRIs that begin with `base`."""
    graph.bind("dqv", DQV)
    graph.bind("ldqd", LDQD)
    at = Literal(quality.at.replace(microsecond=0), datatype=XSD.dateTime)
    for metric, value in measurements(quality):
        kind, node = URIRef(f"{base}metric/{metric.name}"), URIRef(f"{dataset}/quality/{metric.name}")
        triples = (
            (kind, RDF.type, DQV.Metric),
            (kind, SKOS.prefLabel, Literal(metric.title, lang="nl")),
            (kind, SKOS.definition, Literal(metric.definition, lang="nl")),
            (kind, DQV.expectedDataType, metric.datatype),
            (kind, DQV.inDimension, metric.dimension),
            (metric.dimension, RDF.type, DQV.Dimension),
            (dataset, DQV.hasQualityMeasurement, node),
            (node, RDF.type, DQV.QualityMeasurement),
            (node, DQV.isMeasurementOf, kind),
            (node, DQV.computedOn, dataset),
            (node, DQV.value, value),
            (node, PROV.generatedAtTime, at),
            (node, DCTERMS.title, Literal(metric.title, lang="nl")),
        )
        for triple in triples:
            graph.add(triple)
        if metric.unit is not None:
            graph.add((node, SDO.unitCode, Literal(metric.unit)))
