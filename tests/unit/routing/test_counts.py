"""Counts add up per agreement, and say nothing about a subject."""

from broker.model.decision import Kind, Reason, Release, Withhold
from broker.policy import engine
from broker.routing.counts import Counts


def filled(plan) -> Counts:
    counts = Counts()
    counts.decided(Release("inwoners-gent", Kind.CHANGED))
    counts.decided(Release("inwoners-gent", Kind.LEFT_POPULATION))
    counts.told_again("inwoners-gent")
    counts.decided(Withhold("inwoners-gent", Reason.SUSPENDED))
    counts.quarantined("source.a.persoon.v1", "WRONG_LANE")
    counts.routed(plan, engine.Counts(records=7, receipted=3, no_dossier={0: 4}, outside=0))
    return counts


def test_counts_of_batches_add_up(plan) -> None:
    name = plan.outlets[0].agreement
    total = Counts()
    assert total.as_json() == {"records": 0, "agreements": {}, "quarantined": {}}
    for _ in range(2):
        total.add(filled(plan))
    shown = total.as_json()
    assert shown["records"] == 14
    assert shown["quarantined"] == {"source.a.persoon.v1": {"WRONG_LANE": 2}}
    assert shown["agreements"]["inwoners-gent"]["delivered"] == 4
    assert shown["agreements"]["inwoners-gent"]["again"] == 2
    assert shown["agreements"]["inwoners-gent"]["withheld"]["SUSPENDED"] == 2
    assert shown["agreements"][name]["withheld"]["NO_DOSSIER"] == 8


def test_an_agreement_that_only_withheld_shows_zero_deliveries() -> None:
    counts = Counts()
    counts.decided(Withhold("oud", Reason.NOT_IN_TERM))
    assert counts.as_json()["agreements"] == {"oud": {"delivered": 0, "again": 0, "withheld": {"NOT_IN_TERM": 1}}}
