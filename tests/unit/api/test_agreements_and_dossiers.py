"""What the routes hand to the use-cases, and what they tell the caller."""

from typing import Any

from broker.model.facts import FactType
from tests.unit.api.conftest import NOW, World, bearer, document


async def test_a_request_is_registered_in_the_callers_name(world: World) -> None:
    answer = await world.http.post("/v1/agreements", json=document("nieuw", "gent-parkeren"), headers=bearer("agency"))
    assert (answer.status_code, answer.json()["state"]) == (201, "requested")
    assert world.agreements.calls == [("request", "nieuw", "gent-parkeren")]


async def test_an_agreement_without_an_id_is_malformed(world: World) -> None:
    asked = {"title": "x", "agency": "gent-parkeren"}
    assert (await world.http.post("/v1/agreements", json=asked, headers=bearer("agency"))).status_code == 400


async def test_an_active_agreement_tells_its_topic_and_shows_its_document(world: World) -> None:
    body = (await world.http.get("/v1/agreements/parkeren", headers=bearer("agency"))).json()
    assert (body["state"], body["topic"]) == ("active", "delivery.gent-parkeren.parkeren")
    assert body["document"]["purpose"] == "parkeerretributie"
    waiting = (await world.http.get("/v1/agreements/wachtend", headers=bearer("agency"))).json()
    assert (waiting["state"], waiting["topic"], waiting["activatedAt"]) == ("requested", None, None)


async def test_a_revocation_answers_with_every_lanes_barrier(world: World) -> None:
    answer = await world.http.post("/v1/agreements/parkeren/revoke", headers=bearer("source"))
    body = answer.json()
    assert (body["barriers"], body["durationMs"], body["fencedLanes"]) == ({"0": 11, "1": 12}, 41.3, [1])
    assert world.agreements.calls == [("revoke", "parkeren", "rijksregister")]


async def test_a_dossier_is_registered_for_the_calling_agency_and_its_subject_never_comes_back(world: World) -> None:
    form = {
        "subject": "84621512345",
        "reference": "P-2026/17",
        "capacity": "schuldeiser",
        "begin": "2026-01-01T00:00:00+01:00",
    }
    answer = await world.http.post("/v1/agreements/parkeren/dossiers", json=form, headers=bearer("agency"))
    assert answer.json() == {"agreement": "parkeren", "reference": "P-2026/17", "status": "registered"}
    ((name, given),) = world.dossiers.calls
    assert (name, given["agency"], given["subject"]) == ("add", "gent-parkeren", "84621512345")
    assert given["begin"].isoformat() == "2026-01-01T00:00:00+01:00"
    assert "84621512345" not in answer.text


async def test_a_subject_that_the_source_does_not_have_is_refused_unless_the_agency_wants_it_registered(
    world: World,
) -> None:
    world.known.strangers = {b"85673003333"}
    form, path = {"subject": "85673003333", "reference": "P-1"}, "/v1/agreements/parkeren/dossiers"
    answer = await world.http.post(f"{path}?wait=5", json=form, headers=bearer("agency"))
    assert (answer.status_code, answer.json()["code"]) == (404, "UNKNOWN_SUBJECT")
    assert "85673003333" not in answer.text
    answer = await world.http.post(f"{path}?unknown=register", json=form, headers=bearer("agency"))
    assert (answer.status_code, answer.json()["status"]) == (201, "registered")


async def test_an_instant_without_a_zone_is_malformed(world: World) -> None:
    form = {"subject": "1", "reference": "P-1", "begin": "2026-01-01T00:00:00"}
    answer = await world.http.post("/v1/agreements/parkeren/dossiers", json=form, headers=bearer("agency"))
    assert answer.status_code == 400


async def test_files_are_listed_by_reference_without_subjects(world: World) -> None:
    items = (await world.http.get("/v1/agreements/parkeren/dossiers", headers=bearer("agency"))).json()["items"]
    assert [item["reference"] for item in items] == ["P-1", "P-2"]
    assert set(items[0]) == {"reference", "capacity", "begin", "end"}


async def test_an_agreement_over_a_whole_population_takes_no_dossiers(world: World) -> None:
    form = {"subject": "1", "reference": "P-1"}
    answer = await world.http.post("/v1/agreements/wachtend/dossiers", json=form, headers=bearer("agency"))
    assert answer.status_code == 404


async def test_a_delivery_id_leads_the_operator_to_the_records_trace(world: World) -> None:
    for identifier in ("01" * 16, "02" * 16):
        body = (await world.http.get(f"/v1/traces/{identifier}", headers=bearer("operator"))).json()
        assert body["trace"] == "01" * 16
        assert [(step["name"], step["agreement"], step["startMs"], step["durationMs"]) for step in body["spans"]] == [
            ("adapter.publish", None, 1.0, 2.0),
            ("router.route", None, 4.0, 3.5),
            ("deliver.pull", "parkeren", 9.0, 1.0),
        ]
        assert body["receipts"][0]["decisions"][0]["outcome"] == "release"
        assert "subject" not in body["receipts"][0]


async def test_a_release_names_its_agency_and_who_could_read_for_it(world: World) -> None:
    async def decision() -> dict[str, Any]:
        body = (await world.http.get(f"/v1/traces/{'02' * 16}", headers=bearer("operator"))).json()
        (only,) = body["receipts"][0]["decisions"]
        return dict(only)

    told = await decision()
    assert (told["principal"], told["actors"]) == ("gent-parkeren", [])
    pair = {"organisation": "gent-parkeren", "processor": "softwarehuis"}
    about = "mandate/gent-parkeren/softwarehuis"
    given = {**pair, "reference": "VO-1", "agreements": ["parkeren"]}
    assert world.control.state.epoch >= 21, "the receipt's: its lane did not know what is given from here on"
    await world.control.append(FactType.MANDATE_GIVEN, about, given, by="gent-parkeren")
    (actor,) = (await decision())["actors"]
    assert actor == {
        "processor": "softwarehuis", "reference": "VO-1", "since": NOW.isoformat(), "until": None, "later": True,
    }  # fmt: skip
    other = {**given, "agreements": ["jeugd"]}
    await world.control.append(FactType.MANDATE_GIVEN, about, other, by="gent-parkeren")
    assert (await decision())["actors"] == []


async def test_an_unknown_trace_is_told_as_such(world: World) -> None:
    assert (await world.http.get(f"/v1/traces/{'ab' * 16}", headers=bearer("operator"))).status_code == 404
    assert (await world.http.get("/v1/traces/zz", headers=bearer("operator"))).status_code == 400


async def test_a_counter_gets_the_present_state_with_the_registration(world: World) -> None:
    form = {"subject": "85673003333", "reference": "P-1"}
    world.deliveries.meanwhile = lambda: world.deliver("Peeters", key=b"parkeren/gent-parkeren/85")
    answer = await world.http.post("/v1/agreements/parkeren/dossiers?wait=5", json=form, headers=bearer("agency"))
    assert answer.status_code == 201
    told = answer.json()
    assert (told["status"], told["delivery"]["data"]) == ("registered", {"achternaam": "Peeters"})
    world.deliveries.meanwhile = None
    answer = await world.http.post("/v1/agreements/parkeren/dossiers?wait=5", json=form, headers=bearer("agency"))
    assert answer.json()["delivery"] is None
    answer = await world.http.post("/v1/agreements/parkeren/dossiers?wait=6", json=form, headers=bearer("agency"))
    assert answer.status_code == 400


async def test_a_consent_is_registered_with_what_it_is_limited_to_and_listed_without_its_subject(world: World) -> None:
    path = "/v1/agreements/parkeren/consents"
    form = {"subject": "85673003333", "reference": "T-1", "givenBy": "representative", "fields": ["naam.achternaam"]}
    answer = await world.http.post(path, json=form, headers=bearer("agency"))
    assert (answer.status_code, answer.json()["status"], answer.json()["settled"]) == (201, "granted", True)
    assert "85673003333" not in answer.text
    answer = await world.http.post(
        f"{path}/withdraw", json={"subject": "85673003333", "reference": "T-1"}, headers=bearer("agency")
    )
    assert (answer.json()["status"], answer.json()["settled"]) == ("withdrawn", False)
    (item,) = (await world.http.get(path, headers=bearer("agency"))).json()["items"]
    assert (item["reference"], item["fields"], item["end"]) == ("T-1", ["naam"], None)
    answer = await world.http.post(path, json=form | {"givenBy": "buur"}, headers=bearer("agency"))
    assert answer.status_code == 400
