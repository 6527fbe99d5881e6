"""`datanuts raw` against the application over use-cases in memory, and what it prints for Kafka Connect."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from broker.control.organisations import Organisations
from broker.control.raw_sources import RawSources
from broker.model import topology
from tests.unit.api.office import Office
from tests.unit.cli.conftest import Run
from tests.unit.control.room import Kafka

PLACE = ("rijksregister", "persoon-in-gent")


@pytest.fixture
def datanuts(over: Callable[..., Run]) -> Run:
    office, kafka = Office(), Kafka([])
    asyncio.run(office.open())
    return over(
        control=office.log,
        credentials=Organisations(office.log, kafka),
        raw_sources=RawSources(office.log, kafka),
    )


def test_a_writer_is_kept_as_connect_reads_it_and_is_on_no_screen(datanuts, tmp_path, capsys) -> None:
    file = tmp_path / "writer.properties"
    assert datanuts("raw", "writer", *PLACE, "--as", "rijksregister", "--out", str(file)) == 1
    assert "declare it first" in capsys.readouterr().err
    assert datanuts("raw", "declare", *PLACE, "--as", "rijksregister") == 0
    assert datanuts("raw", "writer", *PLACE, "--as", "rijksregister", "--out", str(file)) == 0
    printed = capsys.readouterr()
    held = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert held.keys() == {"username", "password"}
    assert held["username"].startswith("rijksregister~")
    assert held["password"] not in printed.out + printed.err
    assert file.stat().st_mode & 0o777 == 0o600
    assert not file.with_name(f"{file.name}.curl").exists()
    assert datanuts("raw", "list", "rijksregister", "--as", "rijksregister", "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["topic"], len(listed["writers"])) == ("raw.rijksregister.persoon-in-gent", 1)
    again = tmp_path / "next.properties"
    rotate = ("credential", "rotate", listed["writers"][0], "--as", "rijksregister", "--out", str(again))
    assert datanuts(*rotate) == 0
    assert set(dict(line.split("=", 1) for line in again.read_text().splitlines())) == {"username", "password"}


@pytest.mark.parametrize("words", [("declare", *PLACE), ("writer", *PLACE, "--json"), ("list", PLACE[0])])
def test_another_source_may_do_none_of_it(datanuts, capsys, words) -> None:
    assert datanuts("raw", *words, "--as", "kbo") == 1
    printed = capsys.readouterr()
    assert "FORBIDDEN" in printed.out + printed.err
    assert datanuts("raw", "declare", *PLACE) == 0  # the operator


def test_what_is_printed_for_connect_holds_no_secret_and_names_one_table(datanuts, capsys) -> None:
    assert datanuts("raw", "connector", *PLACE, "--host", "db.example", "--secrets", "/geheim") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["database.password"] == "${file:/geheim/database.properties:password}"
    assert made["database.sslmode"] == "require"
    assert made["table.include.list"] == r"public\.persoon_in_gent"
    assert made["transforms.route.replacement"] == "raw.rijksregister.persoon-in-gent"
    assert made["slot.name"] == made["publication.name"] == "datanuts_rijksregister_persoon_in_gent"
    assert datanuts("raw", "connector", *PLACE, "--worker", "--json") == 0
    worker = json.loads(capsys.readouterr().out)
    assert worker["bootstrap.servers"] == "kafka.test:9092"
    secret = [value for name, value in worker.items() if name.endswith("jaas.config")]
    assert len(secret) == 2
    assert all("${file:/etc/datanuts-connect/writer.properties:password}" in value for value in secret)
    assert datanuts("raw", "connector", *PLACE, "--worker") == 0
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert lines == worker
    assert datanuts("raw", "connector", *PLACE, "--sql", "--table", "burgers.persoon") == 0
    assert capsys.readouterr().out.splitlines()[0] == "ALTER TABLE burgers.persoon REPLICA IDENTITY FULL;"


@pytest.mark.parametrize(
    "words",
    [
        ("--table", "persoon"),
        ("--table", "public.persoon; DROP TABLE x"),
        ("--user", 'x" --'),
        ("--secrets", "hier"),
    ],
)
def test_what_cannot_be_is_refused(datanuts, capsys, words) -> None:
    assert datanuts("raw", "connector", *PLACE, *words) == 1
    assert "--" in capsys.readouterr().err


def test_a_name_that_is_no_slug_is_refused_before_anybody_is_asked(datanuts, capsys) -> None:
    assert datanuts("raw", "connector", "rijksregister", "persoon_in_gent") == 1
    assert "slug" in capsys.readouterr().err


def test_the_topics_largest_message_is_what_connect_may_send(datanuts, capsys) -> None:
    datanuts("raw", "connector", *PLACE, "--worker", "--json")
    worker: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert worker["producer.max.request.size"] == topology.raw(*PLACE).config["max.message.bytes"]
