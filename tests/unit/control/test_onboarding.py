"""Onboarding under a template and mergers, over a log in memory: only the rest is done, each step by its own actor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from broker.control.dev_signing import bring_into_force
from broker.control.onboarding import Onboarding
from broker.errors import Conflict, Invalid
from broker.model.agreement import State
from broker.model.facts import FactType
from broker.policy import yamltext
from broker.policy.accessions import Accession, Need, waits_for
from broker.policy.authorities import Authorities, Authority, authorities
from broker.policy.templates import Template, template
from tests.unit.control.room import NOW, Room, open_room

POLICIES = Path(__file__).parents[3] / "policies"
TEMPLATES = {
    name: yamltext.load((POLICIES / "templates" / f"{name}.yaml").read_text()) for name in ("inwoners", "sociaal-huis")
}
TOWNS, CENTRES = template(TEMPLATES["inwoners"]), template(TEMPLATES["sociaal-huis"])
TABLE = authorities(
    """\
id,kind,name,nis,kbo,ovo,from,to,successor
gemeente-melle,gemeente,Melle,44040,,,,2025-01-01,gemeente-merelbeke-melle
gemeente-merelbeke,gemeente,Merelbeke,44043,,,,2025-01-01,gemeente-merelbeke-melle
gemeente-merelbeke-melle,gemeente,Merelbeke-Melle,44088,1010775830,OVO053387,2025-01-01,,
ocmw-hasselt,ocmw,Hasselt,71022,,,,2025-01-01,ocmw-hasselt
ocmw-hasselt,ocmw,Hasselt,71072,,,2025-01-01,,
ocmw-kortessem,ocmw,Kortessem,73040,,,,2025-01-01,ocmw-hasselt
gemeente-aalst,gemeente,Aalst,41002,,,,,
"""
)
BEFORE, TODAY = date(2024, 6, 1), date(2026, 11, 26)


@dataclass
class Files:
    """Dossiers by agreement; `moved` and `dropped` in order."""

    held: dict[str, list[str]] = field(default_factory=dict)
    did: list[Any] = field(default_factory=list)

    async def move(self, from_agreement: str, to_agreement: str) -> int:
        there = self.held.setdefault(to_agreement, [])
        new = [reference for reference in self.held.get(from_agreement, ()) if reference not in there]
        there += new
        self.did.append(("move", from_agreement, to_agreement))
        return len(new)

    async def drop(self, agreement: str) -> int:
        self.did.append(("drop", agreement))
        return len(self.held.pop(agreement, ()))


@dataclass
class World:
    room: Room
    onboarding: Onboarding
    files: Files

    async def onboard(self, of: Template, *names: str, on: date = TODAY, **how: bool) -> Sequence[Accession]:
        rows = [TABLE.find(name, on) for name in names]
        return await self.onboarding.onboard(of, rows, "operator", **how)

    async def merger(self, of: Template, *names: str, successor: str, on: date = TODAY) -> Any:
        return await self.onboarding.merger(of, TABLE, on, predecessors=names, successor=successor)

    def state(self, agreement: str) -> State:
        return self.room.control.state.agreements[agreement].state

    def facts(self) -> list[Any]:
        return [done for done in self.room.since() if isinstance(done, FactType)]


async def made(*, fictional: bool = True) -> World:
    room = await open_room(fictional=fictional)
    files = Files()
    steps = partial(bring_into_force, room.agreements)
    world = World(room, Onboarding(room.control, room.organisations, room.agreements, files, steps, lambda: NOW), files)
    world.facts()
    return world


@pytest.fixture
async def world() -> World:
    return await made()


def changed(name: str, place: str, value: Any) -> Template:
    document = yamltext.load((POLICIES / "templates" / f"{name}.yaml").read_text())
    document["agreement"][place] = value
    return template(document)


async def test_a_preview_says_what_would_be_done_and_does_nothing(world: World) -> None:
    rows = TABLE.on(TODAY)[:1]
    (found,) = await world.onboarding.preview(TOWNS, rows)
    assert (found.need, found.registered, found.state, found.problems) == (Need.DRAFT, False, None, ())
    assert found.text_sha256 is not None
    assert world.facts() == []
    await world.onboarding.onboard(TOWNS, rows, "operator", sign=True)
    (after,) = await world.onboarding.preview(TOWNS, rows)
    assert (after.need, after.registered, after.text_sha256) == (Need.NOTHING, True, found.text_sha256)


async def test_a_preview_tells_what_could_never_be_active(world: World) -> None:
    above = changed("inwoners", "purpose", "leeftijdscontrole")
    (found,) = await world.onboarding.preview(above, TABLE.on(TODAY)[:1])
    assert found.need is Need.REFUSED
    assert any("[ABOVE_CEILING]" in problem for problem in found.problems)
    lacking = changed("inwoners", "title", "Nummer {kbo}")
    first, second = await world.onboarding.preview(lacking, [row for row in TABLE.on(TODAY) if row.kind == "gemeente"])
    assert (first.need, second.need) == (Need.DRAFT, Need.REFUSED)
    assert "gemeente-aalst has no kbo" in second.problems[0]


async def test_the_operator_registers_and_drafts_and_the_authority_itself_requests(world: World) -> None:
    (done,) = await world.onboard(TOWNS, "gemeente-aalst")
    assert world.facts() == [FactType.ORGANISATION, FactType.AGREEMENT_DRAFTED]
    assert (done.need, done.state, waits_for(done.held)) == (Need.NOTHING, State.DRAFT, "request by gemeente-aalst")
    assert world.room.control.state.organisations["gemeente-aalst"].name == "Gemeente Aalst"
    assert done.held is not None
    await world.room.agreements.request(done.held.document, "gemeente-aalst")
    (then,) = await world.onboarding.standing(TOWNS, [TABLE.find("gemeente-aalst", TODAY)])
    assert waits_for(then.held) == "approval by rijksregister"


async def test_asked_again_it_does_only_the_rest(world: World) -> None:
    await world.onboard(TOWNS, "gemeente-aalst")
    world.facts()
    await world.onboard(TOWNS, "gemeente-aalst", "gemeente-merelbeke-melle")
    assert world.facts() == [FactType.ORGANISATION, FactType.AGREEMENT_DRAFTED]
    await world.onboard(TOWNS, "gemeente-aalst", "gemeente-merelbeke-melle")
    assert world.facts() == []


async def test_with_dev_signatures_every_actor_takes_its_own_step(world: World) -> None:
    await world.onboard(TOWNS, "gemeente-aalst")
    (done,) = await world.onboard(TOWNS, "gemeente-aalst", sign=True)
    assert done.state is State.ACTIVE
    assert done.held is not None
    by = {(step.type.value, step.by) for step in done.held.history}
    assert {("drafted", "operator"), ("requested", "gemeente-aalst"), ("approved", "rijksregister")} <= by
    assert {("signed", "gemeente-aalst"), ("signed", "rijksregister"), ("published", "rijksregister")} <= by
    assert waits_for(done.held) == ""


async def test_where_persons_are_real_nobody_signs_for_another() -> None:
    world = await made(fictional=False)
    (done,) = await world.onboard(TOWNS, "gemeente-aalst", sign=True)
    assert done.need is Need.REFUSED
    assert "real persons need real signatures" in done.problems[0]
    assert done.state is State.APPROVED
    assert waits_for(done.held).endswith("signature of rijksregister; signature of gemeente-aalst")


async def test_one_authoritys_problem_does_not_stop_the_others(world: World) -> None:
    lacking = changed("inwoners", "title", "Nummer {kbo}")
    first, second = await world.onboard(lacking, "gemeente-aalst", "gemeente-merelbeke-melle", sign=True)
    assert (first.need, second.state) == (Need.REFUSED, State.ACTIVE)
    assert "gemeente-aalst" not in world.room.control.state.organisations


async def test_a_template_is_not_for_another_kind(world: World) -> None:
    with pytest.raises(Invalid, match="ocmw-hasselt is no gemeente"):
        await world.onboard(TOWNS, "ocmw-hasselt")


async def test_a_changed_template_changes_nothing_until_it_is_asked_to_amend(world: World) -> None:
    await world.onboard(TOWNS, "gemeente-aalst", "gemeente-merelbeke-melle", sign=True)
    fewer = changed("inwoners", "fields", TEMPLATES["inwoners"]["agreement"]["fields"][:-1])
    world.facts()
    found = await world.onboard(fewer, "gemeente-aalst", "gemeente-merelbeke-melle", sign=True)
    assert {each.need for each in found} == {Need.AMEND}
    assert [[(each.path, each.label) for each in one.differences] for one in found] == [
        [("fields[verblijfplaats.gemeente.naam]", "removed")]
    ] * 2
    assert world.facts() == []
    amended = await world.onboard(fewer, "gemeente-aalst", amend=True)
    assert [(each.need, each.state, each.held and each.held.version) for each in amended] == [
        (Need.NOTHING, State.DRAFT, 2)
    ]
    assert world.state("inwoners-gemeente-aalst") is State.ACTIVE  # version 1, until the amendment is in force
    (then,) = await world.onboard(fewer, "gemeente-aalst", amend=True, sign=True)
    assert (then.state, then.held and then.held.version) == (State.ACTIVE, 2)


async def test_what_both_sides_signed_is_not_written_over(world: World) -> None:
    later = changed("inwoners", "term", {"start": "2030-01-01T00:00:00Z", "end": None})
    (waiting,) = await world.onboard(later, "gemeente-aalst", sign=True)
    assert (waiting.state, waits_for(waiting.held)) == (State.PUBLISHED, "the start of its term, 2030-01-01")
    (refused,) = await world.onboard(TOWNS, "gemeente-aalst", amend=True, sign=True)
    assert refused.need is Need.REFUSED
    assert "another text is published" in refused.problems[0]


async def test_a_merger_needs_the_successors_own_agreement_first(world: World) -> None:
    await world.onboard(TOWNS, "gemeente-melle", on=BEFORE, sign=True)
    plan = await world.merger(TOWNS, "gemeente-melle", successor="gemeente-merelbeke-melle")
    assert plan.problems == (
        "inwoners-gemeente-merelbeke-melle: gemeente-merelbeke-melle has no agreement under template inwoners: onboard it first",
    )
    with pytest.raises(Conflict, match="onboard it first"):
        await world.onboarding.merge(plan, "operator")
    await world.onboard(TOWNS, "gemeente-merelbeke-melle")
    plan = await world.merger(TOWNS, "gemeente-melle", successor="gemeente-merelbeke-melle")
    assert plan.problems == (
        "inwoners-gemeente-merelbeke-melle is not in force: it waits for request by gemeente-merelbeke-melle",
    )
    assert world.state("inwoners-gemeente-melle") is State.ACTIVE


async def test_a_merger_ends_what_was_in_force_and_revokes_what_never_was(world: World) -> None:
    await world.onboard(TOWNS, "gemeente-melle", on=BEFORE, sign=True)
    await world.onboard(TOWNS, "gemeente-merelbeke", on=BEFORE)
    await world.onboard(TOWNS, "gemeente-merelbeke-melle", sign=True)
    names = ("gemeente-melle", "gemeente-merelbeke")
    plan = await world.merger(TOWNS, *names, successor="gemeente-merelbeke-melle")
    assert (plan.problems, [each.stop.value for each in plan.transfers]) == ((), ["end", "revoke"])
    moved = await world.onboarding.merge(plan, "operator")
    assert [(each.agreement, each.state) for each in moved] == [
        ("inwoners-gemeente-melle", State.ENDED),
        ("inwoners-gemeente-merelbeke", State.REVOKED),
    ]
    last = world.room.control.state.agreements["inwoners-gemeente-melle"].history[-1]
    assert last.why == "fusie: Gemeente Merelbeke-Melle volgt Gemeente Melle op"
    assert world.state("inwoners-gemeente-merelbeke-melle") is State.ACTIVE
    assert world.files.did == []  # this template knows no dossiers


async def test_files_are_with_the_successor_before_the_old_agreement_ends(world: World) -> None:
    await world.onboard(CENTRES, "ocmw-kortessem", on=BEFORE, sign=True)
    await world.onboard(CENTRES, "ocmw-hasselt", sign=True)
    world.files.held = {"sociaal-huis-ocmw-kortessem": ["A-1", "A-2"], "sociaal-huis-ocmw-hasselt": ["H-1"]}
    plan = await world.merger(CENTRES, "ocmw-kortessem", "ocmw-hasselt", successor="ocmw-hasselt")
    assert [each.agreement for each in plan.transfers] == ["sociaal-huis-ocmw-kortessem"]
    moved = await world.onboarding.merge(plan, "operator")
    assert [(each.dossiers, each.state) for each in moved] == [(2, State.ENDED)]
    assert world.files.held == {"sociaal-huis-ocmw-hasselt": ["H-1", "A-1", "A-2"]}
    old, new = "sociaal-huis-ocmw-kortessem", "sociaal-huis-ocmw-hasselt"
    assert world.files.did == [("move", old, new), ("move", old, new), ("drop", old)]


async def test_an_interrupted_merger_is_finished_when_it_is_asked_again(world: World) -> None:
    await world.onboard(CENTRES, "ocmw-kortessem", on=BEFORE, sign=True)
    await world.onboard(CENTRES, "ocmw-hasselt", sign=True)
    old = "sociaal-huis-ocmw-kortessem"
    plan = await world.merger(CENTRES, "ocmw-kortessem", successor="ocmw-hasselt")
    await world.room.agreements.end(old, "operator", why=plan.transfers[0].why)
    world.files.held = {old: ["A-1"]}
    again = await world.merger(CENTRES, "ocmw-kortessem", successor="ocmw-hasselt")
    assert [each.stop.value for each in again.transfers] == ["stopped"]
    assert [each.dossiers for each in await world.onboarding.merge(again, "operator")] == [1]
    assert old not in world.files.held


async def test_a_body_that_goes_on_in_a_larger_territory_is_amended_not_ended(world: World) -> None:
    table = Authorities(
        [
            Authority("gemeente-a", TABLE.rows[0].kind, "A", "11001", end=date(2025, 1, 1), successor="gemeente-a"),
            Authority("gemeente-a", TABLE.rows[0].kind, "A", "11009", begin=date(2025, 1, 1)),
        ]
    )
    for day, needs in ((BEFORE, Need.NOTHING), (TODAY, Need.AMEND)):
        (done,) = await world.onboarding.onboard(TOWNS, [table.find("gemeente-a", day)], "operator", sign=True)
        assert done.need is needs
    plan = await world.onboarding.merger(TOWNS, table, TODAY, predecessors=["gemeente-a"], successor="gemeente-a")
    assert plan.transfers == ()
    assert "has not agreed to its present territory" in plan.problems[0]


async def test_a_merger_that_the_table_does_not_know_is_refused(world: World) -> None:
    with pytest.raises(Invalid, match="ocmw-hasselt did not take over from gemeente-aalst"):
        await world.merger(CENTRES, "gemeente-aalst", successor="ocmw-hasselt")
    with pytest.raises(Invalid, match="gemeente-merelbeke-melle took over"):
        await world.merger(TOWNS, "gemeente-merelbeke-melle", successor="gemeente-melle")


async def test_who_stopped_for_another_reason_is_left_alone(world: World) -> None:
    await world.onboard(CENTRES, "ocmw-kortessem", on=BEFORE, sign=True)
    await world.onboard(CENTRES, "ocmw-hasselt", sign=True)
    await world.room.agreements.end("sociaal-huis-ocmw-kortessem", "rijksregister", why="misbruik")
    plan = await world.merger(CENTRES, "ocmw-kortessem", successor="ocmw-hasselt")
    assert plan.transfers == ()
