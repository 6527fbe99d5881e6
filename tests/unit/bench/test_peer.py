"""What a peer is told on its command line and in its files, and what is made of its answer."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from bench.copy import Run
from bench.peer import Job, PeerRun, Place, arguments, read, write_files
from bench.peer_programs import PEERS, java_login
from bench.router import Comparison
from broker.cli.bench import register
from broker.errors import Fatal
from broker.kafka.clients import KafkaAccess

_JOB = Job("source.bron.persoon.v1", 3, 100, "{}", "{}", 7, "{}", 2, frozenset({"ce_id"}))
_ACCESS = KafkaAccess("127.0.0.1:9092", "admin", 'pass"word\\')


def test_every_peer_reads_the_same_command_line_and_no_credentials_stand_in_it() -> None:
    told = arguments(_JOB, Place("bench-some-100"), 100, Path("folder"))
    pairs = dict(zip(told[::2], told[1::2], strict=True))
    assert all(name.startswith("--") for name in pairs)
    assert pairs["--deliveries"] == "bench-some-100-{}"
    assert pairs["--first-nis"] == "10000"
    assert (pairs["--agreements"], pairs["--records"], pairs["--commit-ms"]) == ("3", "100", "100")
    assert Path(pairs["--client"]) == Path("folder/client")


def test_topics_of_two_runs_differ_and_deliveries_follow_the_pattern() -> None:
    place = Place("bench-some-100")
    assert place.deliveries(2) == ["bench-some-100-0", "bench-some-100-1"]
    assert place.receipts not in place.deliveries(1000)
    assert place.receipts != Place("bench-some-1000").receipts


def test_the_files_of_a_run_are_those_that_its_command_line_names(tmp_path: Path) -> None:
    write_files(_JOB, "login", tmp_path)
    told = arguments(_JOB, Place("bench-some-100"), 100, tmp_path)
    named = {Path(text) for text in told if text.startswith(str(tmp_path)) and not text.endswith("state")}
    assert named == set(tmp_path.iterdir())
    assert (tmp_path / "client").stat().st_mode & 0o777 == 0o600


def test_a_password_survives_the_two_escapes_of_a_java_properties_file() -> None:
    lines = dict(line.split("=", 1) for line in java_login(_ACCESS).splitlines())
    assert lines["sasl.mechanism"] == "SCRAM-SHA-512"
    # The file's escape is undone by `Properties.load`, the rest by the login module's own reader.
    loaded = lines["sasl.jaas.config"].replace("\\\\", "\\")
    assert loaded.endswith(r'username="admin" password="pass\"word\\";')


def test_an_answer_is_read_as_a_run() -> None:
    answer = '{"records": 100, "wall_s": 2.0, "cpu_s": 4.0, "second_half_per_s": 80}'
    found = read("some", 100, answer)
    assert (found.run.per_second, found.run.per_cpu_second, found.second_half_per_s) == (50, 25, 80)


@pytest.mark.parametrize("answer", ["", "not JSON", "[]", "null", '{"records": 1}', '{"records": "many"}'])
def test_what_is_no_result_has_no_rate(answer: str) -> None:
    with pytest.raises(Fatal, match="did not print its result"):
        read("some", 100, answer)


def test_the_better_run_of_a_peer_is_the_one_that_counts() -> None:
    runs = [PeerRun("some", commit, Run(100, wall, 1.0), 1.0) for commit, wall in ((100, 4.0), (1000, 2.0))]
    told = Comparison(3, Run(100, 1.0, 1.0), Run(100, 1.0, 1.0), 100, 1, {"some": runs}).as_json()["peers"]["some"]
    assert (told["commit_ms"], told["records_per_s"], told["ratio"], told["ratio_per_cpu"]) == (1000, 50, 2.0, 1.0)
    assert [run["commit_ms"] for run in told["runs"]] == [100, 1000]


def test_without_peers_the_result_is_as_it_was() -> None:
    assert "peers" not in Comparison(3, Run(100, 1.0, 1.0), Run(100, 1.0, 1.0), 100, 1).as_json()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    return parser


@pytest.mark.parametrize(
    ("given", "names"), [("kstreams", ("kstreams",)), ("quix,kstreams,quix", ("quix", "kstreams"))]
)
def test_peers_are_named_with_commas(given: str, names: tuple[str, ...]) -> None:
    told: Any = _parser().parse_args(["bench", "router", "--peers", given])
    assert told.peers == names
    assert set(names) <= set(PEERS)


def test_an_unknown_peer_is_refused_with_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["bench", "router", "--peers", "flink"])
    assert "no such peer: flink (known: kstreams, quix)" in capsys.readouterr().err
