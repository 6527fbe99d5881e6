"""Plays the whole kit on one adapter."""

from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path

from adapters.conformance.bench import Bench
from adapters.conformance.catalogue import CHECKS
from adapters.conformance.kit import Outcome, Play, Verdict
from adapters.sdk import Adapter
from broker.schema.avro import Schema, load_schema

ROOT = Path(__file__).parents[3]
SAMPLE = Path(__file__).with_name("werken.csv")


@cache
def schema_of(product: str) -> Schema:
    return load_schema((ROOT / "schemas" / f"{product}.avsc").read_text())


def played(
    build: Callable[[str], Adapter], sample: Path, folder: Path, *products: str, http: bool = False
) -> dict[str, Verdict]:
    numbers, schemas = count(1), {product: schema_of(product) for product in products}
    play = Play(CHECKS, lambda: Bench(build, sample, schemas, folder / str(next(numbers)), http=http))
    for each in CHECKS:
        play.verdict(each.code)
    return play.verdicts


def outcomes(verdicts: dict[str, Verdict], outcome: Outcome) -> dict[str, str]:
    return {code: each.seen for code, each in verdicts.items() if each.outcome is outcome}
