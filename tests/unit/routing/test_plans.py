"""Plans are compiled once per policy epoch, from what the control log says and nothing else."""

import pytest

from broker.errors import NotYetKnown
from broker.model.agreement import State
from broker.model.facts import FactType
from broker.model.wall import SubjectWall
from broker.policy.standing import standing_of
from broker.routing.outlet import Outlet
from broker.routing.plans import Plans

TOPIC = "source.rijksregister.persoon.v1"


def agreements(plan) -> dict[str, State]:
    return {each.agreement.id: each.state for each in plan.engine.plans}


def test_plans_are_kept_until_a_policy_changes(plans, log) -> None:
    first = plans.at(log.state)
    assert log.fact(FactType.ORGANISATION, "organisation/x", {"id": "x", "name": "X"})
    assert plans.at(log.state) is first
    log.move("inwoners-gent", FactType.AGREEMENT_SUSPENDED)
    second = plans.at(log.state)
    assert second is not first
    assert agreements(second[TOPIC])["inwoners-gent"] is State.SUSPENDED
    assert agreements(first[TOPIC])["inwoners-gent"] is State.ACTIVE


def test_one_change_among_many_agreements_reads_that_one_again(plans, log, monkeypatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        "broker.routing.plans.standing_of",
        lambda entry, versions, allow: read.append(entry.id) or standing_of(entry, versions, allow),
    )
    plans.at(log.state)
    assert sorted(read) == ["inwoners-gent", "statistiek-vlaanderen"]
    log.move("inwoners-gent", FactType.AGREEMENT_SUSPENDED)
    assert agreements(plans.at(log.state)[TOPIC])["inwoners-gent"] is State.SUSPENDED
    assert read[2:] == ["inwoners-gent"]


def test_an_outlet_stands_beside_each_plan_of_the_engine(plan) -> None:
    assert [each.agreement.id for each in plan.engine.plans] == [outlet.agreement for outlet in plan.outlets]
    assert [each.index for each in plan.engine.plans] == [0, 1]


def test_lanes_watch_all_that_an_agreement_may_be_about_so_that_a_next_one_asks_for_nothing_new(
    plans, log, plan
) -> None:
    assert plan.engine.paths == ("geboorte.datum", "verblijfplaats.gemeente.nis", "verblijfplaats.postcode")
    log.agree("jeugddienst-leuven")
    after = plans.at(log.state)[TOPIC].engine
    assert len(after.plans) == 3
    assert after.paths == plan.engine.paths
    assert {outlet.topic for outlet in plan.outlets} == {
        "delivery.stad-gent.inwoners-gent",
        "delivery.statistiek-vlaanderen.statistiek-vlaanderen",
    }


def test_a_version_keeps_its_outlet_and_the_next_has_one_of_its_own(plans, log, keys) -> None:
    def gent(plan) -> Outlet:
        return next(outlet for outlet in plan.outlets if outlet.agreement == "inwoners-gent")

    first = gent(plans.at(log.state)[TOPIC])
    asked = len(keys.asked)
    log.move("inwoners-gent", FactType.AGREEMENT_SUSPENDED)
    assert gent(plans.at(log.state)[TOPIC]) is first
    assert len(keys.asked) == asked
    log.move("inwoners-gent", FactType.AGREEMENT_ENDED)
    log.agree("inwoners-gent", version=2)
    second = gent(plans.at(log.state)[TOPIC])
    assert (first.version, second.version) == (1, 2)
    assert second.key == first.key


def test_what_was_only_requested_has_no_plan_and_what_was_revoked_keeps_it(plans, log) -> None:
    log.move("statistiek-vlaanderen", FactType.AGREEMENT_REVOKED)
    document = dict(log.state.agreements["inwoners-gent"].document) | {"id": "later"}
    assert log.fact(FactType.AGREEMENT_REQUESTED, "agreement/later", {"document": document, "egress": "{}"})
    assert agreements(plans.at(log.state)[TOPIC]) == {
        "inwoners-gent": State.ACTIVE,
        "statistiek-vlaanderen": State.REVOKED,
    }


def test_a_tightened_ceiling_puts_what_lies_above_it_aside(plans, log) -> None:
    held = dict(log.state.ceilings[None, "persoon.v1", "inwonersbestand"])
    held["fields"] = [each for each in held["fields"] if each["path"] != "naam.voornamen"]
    assert log.fact(FactType.CEILING, "ceiling/inwonersbestand", held)
    above = {each.agreement.id: each.above_ceiling for each in plans.at(log.state)[TOPIC].engine.plans}
    assert above == {"inwoners-gent": True, "statistiek-vlaanderen": False}


def test_products_of_two_sources_have_plans_of_their_own(plans, log) -> None:
    schema = next(iter(log.state.schemas.values())).text
    assert log.fact(FactType.PRODUCT, "product/tweede", {"id": "persoon.v1", "source": "tweede", "schema": schema})
    found = plans.at(log.state)
    assert set(found) == {TOPIC, "source.tweede.persoon.v1"}
    assert found["source.tweede.persoon.v1"].outlets == ()
    assert found["source.tweede.persoon.v1"].quarantine == "quarantine.tweede.persoon.v1"


def test_a_product_whose_agreements_did_not_change_keeps_its_plan(plans, log) -> None:
    schema = next(iter(log.state.schemas.values())).text
    assert log.fact(FactType.PRODUCT, "product/tweede", {"id": "persoon.v1", "source": "tweede", "schema": schema})
    before = plans.at(log.state)
    log.move("inwoners-gent", FactType.AGREEMENT_SUSPENDED)
    after = plans.at(log.state)
    assert after["source.tweede.persoon.v1"] is before["source.tweede.persoon.v1"]
    assert after[TOPIC] is not before[TOPIC]


def test_what_lanes_write_to_is_told_anew_only_where_a_topic_came(plans, log) -> None:
    plans.at(log.state)
    before = plans.outputs
    assert {TOPIC.replace("source", "quarantine"), "delivery.stad-gent.inwoners-gent"} < before
    log.move("inwoners-gent", FactType.AGREEMENT_REVOKED)
    plans.at(log.state)
    assert plans.outputs is before
    log.agree("inwoners-leuven")
    plans.at(log.state)
    assert len(plans.outputs - before) == 1


def test_one_change_leaves_the_others_plans_and_outlets_as_they_are(plans, log) -> None:
    before = plans.at(log.state)[TOPIC]
    log.move("inwoners-gent", FactType.AGREEMENT_SUSPENDED)
    after = plans.at(log.state)[TOPIC]
    assert after.engine.plans[1] is before.engine.plans[1]
    assert [one is other for one, other in zip(after.outlets, before.outlets, strict=True)] == [True, True]


def test_plans_made_one_after_the_other_are_those_that_are_made_at_once(plans, log, keys) -> None:
    """Through activations, stops, amendments, limits, a halt and a rotated pseudonym key."""
    held = dict(log.state.ceilings[None, "persoon.v1", "inwonersbestand"])
    held["fields"] = [each for each in held["fields"] if each["path"] != "naam.voornamen"]
    product = {"source": "rijksregister", "product": "persoon.v1"}
    rotated = {"agency": "statistiek-vlaanderen", "purpose": "statistiek", "epoch": 2}
    for change in (
        lambda: log.agree("inwoners-leuven"),
        lambda: log.move("inwoners-gent", FactType.AGREEMENT_SUSPENDED),
        lambda: log.fact(FactType.CEILING, "ceiling/inwonersbestand", held),
        lambda: log.agree("jeugddienst-leuven"),
        lambda: log.move("inwoners-leuven", FactType.AGREEMENT_REVOKED),
        lambda: log.fact(FactType.PRODUCT_HALTED, "product/x", product | {"text": ""}),
        lambda: log.fact(FactType.PRODUCT_RESUMED, "product/x", product | {"text": ""}),
        lambda: log.fact(FactType.PSEUDONYM_ROTATED, "pseudonyms/x", rotated),
        lambda: log.move("inwoners-gent", FactType.AGREEMENT_ENDED),
        lambda: log.agree("inwoners-gent", version=2),
    ):
        assert change() is not False
        derived, anew = plans.at(log.state), Plans(keys, SubjectWall("synthetic")).at(log.state)
        assert shown(derived) == shown(anew)


def shown(plans) -> dict[str, object]:
    return {
        topic: (
            [(each.agreement, each.index, each.state, each.above_ceiling) for each in plan.engine.plans],
            [(each.agreement, each.version, each.frame, each.key, each.pseudonym_epoch) for each in plan.outlets],
            [plan.index_of(each.agreement) for each in plan.outlets],
            (plan.engine.paths, plan.engine.newest, plan.schema, plan.frame),
        )
        for topic, plan in plans.items()
    }


def test_the_latest_activation_is_known(plans, log) -> None:
    assert plans.activated_ms == 0
    plans.at(log.state)
    assert plans.activated_ms == 1_795_521_600_000


def test_a_key_that_has_not_arrived_pauses_instead_of_releasing_less(log) -> None:
    class Empty:
        def get(self, name: str) -> bytes:
            raise NotYetKnown(name)

        ensure = get

    waiting = Plans(Empty(), SubjectWall("synthetic"))
    for _ in range(2):
        with pytest.raises(NotYetKnown):
            waiting.at(log.state)
