"""The live view fits a terminal of 80 columns, says that it is fiction, and shows what the topics and routers say."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from broker.delivery.streams import Message
from broker.delivery.trail import TracedDecision
from broker.demo.report import Move, Outcome, Revocation
from broker.demo.rules import PARKING, REFUSED
from broker.demo.tally import Latency, Tally
from broker.demo.view import closing, frame
from broker.policy import documents

ROOT = Path(__file__).parents[3]
AGREEMENTS = [
    documents.agreement(path.read_text()) for path in sorted((ROOT / "policies" / "agreements").glob("*.yaml"))
]
TOPIC = "source.rijksregister.persoon.v1"


def shown(tally: Tally, counts: dict[str, object]) -> str:
    out = StringIO()
    Console(file=out, width=80).print(frame("people move house", AGREEMENTS, tally, counts, Latency(7, 9.5, 3)))
    return out.getvalue()


def test_a_frame() -> None:
    tally = Tally()
    tally.source((TOPIC, 0, 0), b"k", 0)
    tally.receipt((TOPIC, 0, 0), [TracedDecision(PARKING, 1, "withhold", "changed", "REVOKED", None)])
    tally.delivery(PARKING, Message(0, b"k", None, (("ce_id", b"d"), ("ce_kind", b"left-population"))), 0)
    counts = {"agreements": {PARKING: {"delivered": 0, "withheld": {"NO_DOSSIER": 982}}}}
    text = shown(tally, counts)
    assert "fictieve gegevens" in text
    assert "1 records in, 1 delivered, 1 withheld; latency p50 7 ms, p99 9.5 ms" in text
    line = next(line for line in text.splitlines() if PARKING in line)
    assert line.split()[2:] == ["1", "1", "982", "1", "REVOKED", "│"]
    assert max(map(len, text.splitlines())) <= 80
    refused = text.splitlines().index(next(line for line in text.splitlines() if REFUSED in line))
    assert "refused" in text.splitlines()[refused]


def test_before_anything_is_counted() -> None:
    assert "0 records in" in shown(Tally(), {})


def test_the_closing_lines_name_what_failed() -> None:
    outcome = Outcome(
        tally=Tally(),
        agreements=(),
        persons=TOPIC,
        counted={"records": 0, "agreements": {}, "quarantined": {}},
        published=0,
        duplicates=0,
        refusal=(),
        on_file=0,
        move=Move(2, told_old=False, entered=1, told_new=True, others=0, delivery=""),
        revocation=Revocation(1.0, 8, 1, 0),
        latency=None,
        warm_start_s=1.0,
    )
    lines = closing(outcome)
    assert any(line.startswith("FAILED: the move") for line in lines)
    assert lines[0].startswith("refused")
