"""`datanuts credential`, `agreement status` and `catalogue` against the application over use-cases in memory."""

import asyncio
import json
from collections.abc import Callable

import pytest

from broker.cli.datadir import DataDir
from broker.control.client_authority import local_authority
from broker.control.keys import FileKeyStore
from broker.control.organisations import Organisations
from broker.model.agreement import State
from broker.model.lifecycle import AgreementEntry
from tests.certificates import Pair, thumbprint_of
from tests.unit.api.office import NOW, Office, agreement_document
from tests.unit.api.stand_ins import QualityFigures
from tests.unit.api.standings import Looks, Tally
from tests.unit.cli.conftest import Run
from tests.unit.control.room import Kafka


@pytest.fixture
def office() -> Office:
    made = Office()
    asyncio.run(made.open())
    entry = AgreementEntry("inwoners-gent", 1, State.ACTIVE, agreement_document(), None, NOW, 9, activated_at=NOW)
    made.log.state.agreements["inwoners-gent"] = entry
    return made


@pytest.fixture
def datanuts(office: Office, home: DataDir, over: Callable[..., Run]) -> Run:
    authority = local_authority(FileKeyStore(home.root / "keys"), home.ca, NOW)
    return over(
        control=office.log,
        credentials=Organisations(office.log, Kafka([]), authority=authority),
        looks=Looks(),
        tally=Tally(),
        quality=QualityFigures(),
    )


def test_a_new_secret_goes_into_a_file_and_not_onto_the_screen(datanuts, tmp_path, capsys) -> None:
    place = tmp_path / "toepassing.json"
    assert datanuts("credential", "issue", "--as", "stad-gent", "--role", "agency", "--out", str(place)) == 0
    printed = capsys.readouterr()
    held = json.loads(place.read_text())
    assert (held["roles"], held["kafka"]["username"]) == (["agency"], f"stad-gent~{held['id']}")
    assert held["token"] not in printed.out + printed.err
    assert held["kafka"]["password"] not in printed.out + printed.err
    assert [path.stat().st_mode & 0o777 for path in (place, tmp_path / "toepassing.json.curl")] == [0o600, 0o600]
    assert datanuts("credential", "issue", "--as", "stad-gent", "--out", str(place)) == 1  # it is not written over


def test_without_a_place_for_the_secret_nothing_is_made(datanuts, office) -> None:
    assert datanuts("credential", "issue", "--as", "stad-gent") == 1
    assert datanuts("credential", "rotate", "c-stad-gent", "--as", "stad-gent") == 1
    assert office.log.written == []


def test_a_certificate_is_kept_or_shown_and_its_key_is_never_read(datanuts, tmp_path, capsys, office) -> None:
    pair, request, place = Pair.made(), tmp_path / "app.csr", tmp_path / "app.pem"
    request.write_text(pair.csr)
    words = ("credential", "issue", "--as", "stad-gent", "--role", "agency", "--csr", str(request))
    assert datanuts(*words, "--out", str(place)) == 0
    held = office.log.state.credential_of_certificate(thumbprint_of(place.read_text()))
    assert held.organisation == "stad-gent"
    assert f"{held.id} of stad-gent: kept in {place}, expires " in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("app*")] == ["app.csr", "app.pem"]
    assert datanuts(*words) == 0  # no secret: it may be shown
    assert capsys.readouterr().out.startswith("-----BEGIN CERTIFICATE-----")
    assert datanuts("credential", "rotate", held.id, "--as", "stad-gent", "--csr", str(request), "--json") == 0
    fresh = json.loads(capsys.readouterr().out)
    assert (fresh["replaces"], fresh["kafka"]) == (held.id, {"username": f"stad-gent~{fresh['id']}"})


@pytest.mark.parametrize("wrong", ["key", "key and request", "prose", "absent"])
def test_what_is_no_request_is_not_sent(datanuts, tmp_path, capsys, office, wrong) -> None:
    pair, request = Pair.made(), tmp_path / "app.csr"
    if wrong != "absent":
        request.write_text({"key": pair.key, "key and request": pair.key + pair.csr, "prose": "geheim"}[wrong])
    assert datanuts("credential", "issue", "--as", "stad-gent", "--csr", str(request)) == 1
    told = capsys.readouterr().err
    assert "openssl req -new" in told
    assert "PRIVATE" not in told
    assert office.log.written == []


def test_a_certificate_is_shown_in_place_of_a_token(datanuts, tmp_path, capsys) -> None:
    nowhere = tmp_path / "app.pem"
    words = ("consume", "inwoners-gent", "--cert", str(nowhere))
    assert datanuts(*words) == 1
    assert "--cert needs --key" in capsys.readouterr().err
    assert datanuts(*words, "--key", str(nowhere)) == 1  # the stack of this test listens without TLS
    for also in (("--as", "stad-gent"), ()):
        with pytest.raises(SystemExit) as ended:
            datanuts("consume", "inwoners-gent", *(words[2:] if also else ()), *also)
        assert ended.value.code == 64


def test_rotate_list_and_revoke(datanuts, tmp_path, capsys) -> None:
    place = tmp_path / "nieuw.json"
    assert datanuts("credential", "rotate", "c-stad-gent", "--as", "stad-gent", "--out", str(place)) == 0
    assert "c-stad-gent works until" in capsys.readouterr().err
    fresh = json.loads(place.read_text())["id"]
    assert datanuts("credential", "list", "--as", "stad-gent", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    expires = {each["id"]: each["expires"] for each in listed}
    assert expires.keys() == {"c-stad-gent", fresh}
    assert expires["c-stad-gent"] < expires[fresh]
    assert datanuts("credential", "revoke", "c-stad-gent") == 0  # as the operator
    assert "c-stad-gent of stad-gent: revoked" in capsys.readouterr().out
    assert datanuts("credential", "revoke", "c-stad-gent") == 1
    assert datanuts("credential", "list") == 0


def test_one_command_ends_a_compromised_credential_and_tells_its_scope(datanuts, capsys) -> None:
    words = ("credential", "compromised", "c-stad-gent", "--last-known-good", "2026-11-24T10:00+01:00")
    assert datanuts(*words) == 0
    printed = capsys.readouterr().out
    for part in (
        "c-stad-gent of stad-gent: revoked on HTTP and on Kafka",
        "inwoners-gent (active)",
        "delivered since: 1, about 1 subject(s)",
        "readable in all: 4, about 3 subject(s); an upper bound",
        "naam.achternaam",
        "pulled with it: not seen by this process; Kafka group at 70, end 90",
    ):
        assert part in printed
    assert datanuts(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["lastKnownGood"] == "2026-11-24T09:00:00+00:00"
    assert datanuts("credential", "list", "--as", "stad-gent") == 1


@pytest.mark.parametrize("instant", ["gisteren", "2026-11-24T10:00"])
def test_an_instant_without_its_zone_is_wrong_usage(datanuts, instant) -> None:
    with pytest.raises(SystemExit) as ended:
        datanuts("credential", "compromised", "c-stad-gent", "--last-known-good", instant)
    assert ended.value.code == 64


def test_status_and_catalogue_for_people(datanuts, capsys) -> None:
    assert datanuts("agreement", "status", "inwoners-gent", "--as", "stad-gent") == 0
    printed = capsys.readouterr().out
    assert "kafka: committed 70 of 90, at most 20 behind" in printed
    assert "2026-11-25  delivered  changed  20+" in printed
    assert "initial" not in printed
    assert datanuts("agreement", "status", "inwoners-gent", "--as", "rijksregister") == 0
    assert "kafka" not in capsys.readouterr().out
    assert datanuts("catalogue", "--as", "statistiek-vlaanderen") == 0
    printed = capsys.readouterr().out
    assert "rijksregister/persoon.v1" in printed
    for figure in ("about 12000", "2026-11-26T12:30:00Z", "45 s", "7200 s", "0 % set aside", "overlijden.datum, 12 %"):
        assert figure in printed
