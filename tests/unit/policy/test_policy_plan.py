"""What a reviewed folder means for the control log: versions that may be requested, those that may not, and what is gone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broker.model.agreement import State
from broker.model.purpose import Purpose, Purposes
from broker.model.registered import Organisation
from broker.policy import documents, limit_documents
from broker.policy.policy_items import Action, Held, HeldVersion, Item, Kind, Reviewed
from broker.policy.policy_plan import plan
from broker.schema.avro import load_schema

ROOT = Path(__file__).parents[3]
POLICIES = ROOT / "policies"
GENT = documents.agreement((POLICIES / "agreements" / "inwoners-gent.yaml").read_text())
PURPOSES = limit_documents.purposes((POLICIES / "purposes.yaml").read_text())
CEILINGS = limit_documents.ceilings((POLICIES / "ceilings" / "persoon.v1.yaml").read_text())
SCHEMAS = {"persoon.v1": load_schema((ROOT / "schemas" / "persoon.v1.avsc").read_text())}
OWN = tuple(replace(ceiling, source="rijksregister") for ceiling in CEILINGS)
LOG = Held(
    organisations={name: Organisation(name, name) for name in ("operator", "rijksregister", "stad-gent")},
    purposes=PURPOSES.by_code,
    products=frozenset({("rijksregister", "persoon.v1")}),
    ceilings={ceiling.key: ceiling for ceiling in OWN},
    agreements={},
)
FOLDER = Reviewed(
    organisations={LOG.organisations[name]: "organisations.yaml" for name in ("rijksregister", "stad-gent")},
    purposes=("purposes.yaml", PURPOSES),
    ceilings=tuple(("ceilings/persoon.v1.yaml", ceiling) for ceiling in CEILINGS),
    schemas=SCHEMAS,
)


def held(version: int, state: State, **changes: Any) -> HeldVersion:
    return HeldVersion(version, state, GENT.source, GENT.agency, replace(GENT, version=version, **changes))


def agreement(asked: Any = GENT, *versions: HeldVersion) -> Item:
    made = plan(
        replace(FOLDER, agreements=(("agreements/inwoners-gent.yaml", asked),)),
        replace(LOG, agreements={asked.id: versions} if versions else {}),
    )
    return next(item for item in made.items if item.kind is Kind.AGREEMENT)


def test_a_folder_that_the_log_holds_already_changes_nothing() -> None:
    made = plan(FOLDER, LOG)
    assert {item.action for item in made.items} == {Action.UNCHANGED}
    assert made.changes == ()


@pytest.mark.parametrize(
    ("state", "waits"),
    [
        (State.DRAFT, "waits for stad-gent to request it"),
        (State.REQUESTED, "waits for rijksregister to approve it"),
        (State.APPROVED, "waits for advice and signatures of rijksregister and stad-gent"),
        (State.SIGNED, "waits for rijksregister to publish it"),
        (State.PUBLISHED, "waits for its start"),
        (State.ACTIVE, ""),
        (State.SUSPENDED, "waits for rijksregister to resume it"),
        (State.REVOKED, "it delivers nothing"),
        (State.ENDED, "it delivers nothing"),
    ],
)
def test_a_version_that_the_log_holds_is_told_with_what_it_waits_for(state: State, waits: str) -> None:
    item = agreement(GENT, held(1, state))
    assert item.action is Action.UNCHANGED
    assert item.note.startswith(f"version 1 {state.value}")
    assert waits in item.note


OTHER = "Een andere titel"


@pytest.mark.parametrize(
    ("version", "known", "action", "code"),
    [
        (1, (), Action.CREATE, None),
        (2, (), Action.REFUSED, "NOT_NEXT_VERSION"),
        (1, (held(1, State.DRAFT, title=OTHER),), Action.CHANGE, None),
        (1, (held(1, State.REQUESTED, title=OTHER),), Action.CHANGE, None),
        (1, (held(1, State.APPROVED, title=OTHER),), Action.CHANGE, None),
        (1, (held(1, State.SIGNED, title=OTHER),), Action.REFUSED, "IMMUTABLE_VERSION"),
        (1, (held(1, State.ACTIVE, title=OTHER),), Action.REFUSED, "IMMUTABLE_VERSION"),
        (1, (held(1, State.ENDED, title=OTHER),), Action.REFUSED, "IMMUTABLE_VERSION"),
        (2, (held(1, State.ACTIVE),), Action.CHANGE, None),
        (2, (held(1, State.SUSPENDED),), Action.CHANGE, None),
        (2, (held(1, State.ENDED),), Action.CHANGE, None),
        (2, (held(1, State.REQUESTED),), Action.REFUSED, "VERSION_IN_NEGOTIATION"),
        (2, (held(1, State.PUBLISHED),), Action.REFUSED, "VERSION_IN_NEGOTIATION"),
        (3, (held(1, State.ACTIVE),), Action.REFUSED, "NOT_NEXT_VERSION"),
        (2, (held(1, State.ACTIVE), held(2, State.REQUESTED, title=OTHER)), Action.CHANGE, None),
        (2, (held(1, State.ACTIVE), held(2, State.REQUESTED)), Action.UNCHANGED, None),
        (1, (held(1, State.ACTIVE), held(2, State.REQUESTED)), Action.UNCHANGED, None),
        (1, (held(2, State.ACTIVE),), Action.REFUSED, "BEHIND_THE_LOG"),
    ],
)
def test_which_version_may_be_requested(
    version: int, known: tuple[HeldVersion, ...], action: Action, code: str | None
) -> None:
    item = agreement(replace(GENT, version=version), *known)
    assert item.action is action
    if code is not None:
        assert [(finding.code, finding.path) for finding in item.findings] == [(code, "version")]
    if action in {Action.CREATE, Action.CHANGE}:
        assert item.document["version"] == version
        assert item.by == "stad-gent"


def test_a_change_says_that_it_voids_an_approval() -> None:
    assert "the approval of what it was is void" in agreement(GENT, held(1, State.APPROVED, title=OTHER)).note


def test_an_agreement_is_checked_under_the_ceilings_of_the_folder_and_not_of_the_log() -> None:
    tight = tuple(
        (file, replace(ceiling, fields={}) if ceiling.purpose == GENT.purpose else ceiling)
        for file, ceiling in FOLDER.ceilings
    )
    asked = (("agreements/inwoners-gent.yaml", GENT),)
    made = plan(replace(FOLDER, ceilings=tight, agreements=asked), LOG)
    item = next(item for item in made.items if item.kind is Kind.AGREEMENT)
    assert item.action is Action.REFUSED
    assert {finding.code for finding in item.findings} == {"ABOVE_CEILING"}
    assert [item.name for item in made.changes] == [f"rijksregister/persoon.v1/{GENT.purpose}"]
    wide = replace(LOG, ceilings={})
    made = plan(replace(FOLDER, agreements=asked), wide)
    assert next(item for item in made.items if item.kind is Kind.AGREEMENT).action is Action.CREATE


def test_a_ceiling_without_source_is_every_sources_but_that_of_one_with_its_own() -> None:
    own = replace(CEILINGS[0], source="kbo", selectable=frozenset())
    log = replace(LOG, products=LOG.products | {("kbo", "persoon.v1"), ("abb", "persoon.v1")}, ceilings={})
    made = plan(replace(FOLDER, ceilings=(("a.yaml", CEILINGS[0]), ("b.yaml", own))), log)
    found = {item.name: (item.by, item.file) for item in made.changes if item.kind is Kind.CEILING}
    assert found == {
        f"{source}/persoon.v1/openbare-taak": (source, file)
        for source, file in (("abb", "a.yaml"), ("kbo", "b.yaml"), ("rijksregister", "a.yaml"))
    }


def test_nothing_that_only_the_log_holds_is_changed_or_dropped_from_the_list_of_purposes() -> None:
    extra = Purpose("eigen", "Eigen", "Van de installatie zelf.", ("openbare-taak",))
    log = replace(
        LOG,
        organisations=LOG.organisations | {"abb": Organisation("abb", "ABB")},
        purposes={**LOG.purposes, "eigen": extra},
        agreements={"x": (HeldVersion(1, State.ACTIVE, "a", "b"),), "y": (HeldVersion(1, State.ENDED, "a", "b"),)},
    )
    made = plan(replace(FOLDER, ceilings=FOLDER.ceilings[1:]), log)
    assert {(item.kind.value, item.name) for item in made.of(Action.GONE)} == {
        ("organisation", "abb"),
        ("purpose", "eigen"),
        ("ceiling", "rijksregister/persoon.v1/openbare-taak"),
        ("agreement", "x"),
    }
    assert made.changes == ()
    assert made.purposes.by_code["eigen"] == extra
    assert plan(replace(FOLDER, agreements=(), whole=False), log).of(Action.GONE) != made.of(Action.GONE)


def test_a_purpose_of_the_log_alone_stays_below_one_that_the_folder_moves() -> None:
    below = {**LOG.purposes, "eigen": Purpose("eigen", "Eigen", "Van de installatie.", ("statistiek",))}
    moved = {**PURPOSES.by_code, "statistiek": replace(PURPOSES.by_code["statistiek"], parents=("handhaving",))}
    made = plan(replace(FOLDER, purposes=("p.yaml", Purposes(moved))), replace(LOG, purposes=below))
    assert [item.name for item in made.changes] == ["statistiek"]
    assert [each.code for each in made.purposes.lineage("eigen")] == [
        "eigen",
        "statistiek",
        "handhaving",
        "openbare-taak",
    ]
