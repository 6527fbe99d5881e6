"""Asks Cedar, in process, which agreements each record of a cases file reaches; runs without the broker.

    python cedar_decisions.py CASES.json > result.json

Two forms of the same policy. `lookup`: agreements are entities under one policy, and the host's own index names the
agreements of a municipality, because Cedar answers yes or no and finds nothing itself. `rules`: a policy per agreement;
those that permit are the answer. Policies and entities are parsed once and requests are made before anything is measured.

cedarpy reads a request from Python and hands its answer back as JSON, which takes longer than a small decision. So each
form is told twice: the whole call, as a Python program pays for it, and the engine alone, by cedarpy's own clock.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from cedarpy import AuthzResult, Entities, PolicySet, is_authorized_batch

_LARGEST_BATCH = 256
_KEPT = 0.9
"""Share of the calls, the fastest, that the engine's clock is read of: it runs on while others have the processor."""

_LOOKUP = """permit (principal, action, resource)
when { principal.municipality == resource && principal.purpose == action && principal.allowed };"""

# The municipality stands first, because Cedar looks at a policy's principal first and most policies end there.
_RULE = """@id("{id}") permit (principal == Municipality::"{nis}", action, resource)
when {{ action == Action::"{purpose}" && Agreement::"{id}".allowed }};"""

Request = Mapping[str, Any]
Answer = Sequence[str]


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to ask: the requests that each record takes, and which agreements their results name."""

    policies: PolicySet
    entities: Entities
    asked: Sequence[Sequence[Request]]
    named: Callable[[Sequence[Request], Sequence[AuthzResult]], Answer]
    prepare_s: float

    def ask(self, requests: Sequence[Request]) -> Sequence[AuthzResult]:
        return is_authorized_batch(list(requests), self.policies, self.entities) if requests else []


def main() -> None:
    """Measure both forms."""
    cases = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    forms: dict[str, Mapping[str, Any]] = {}
    for name, made in (("lookup", _lookup), ("rules", _rules)):
        whole, engine = _measured(made(cases), cases["checked"], cases["seconds"])
        forms |= {name: whole, f"{name}, engine": engine}
    json.dump({"version": version("cedarpy"), "forms": forms}, sys.stdout)


def _lookup(cases: Mapping[str, Any]) -> _Form:
    began = time.perf_counter()
    policies, entities = PolicySet.from_str(_LOOKUP), _entities(cases)
    prepare_s = time.perf_counter() - began
    under: dict[str, list[str]] = {}
    for agreement in cases["agreements"]:
        under.setdefault(agreement["nis"], []).append(agreement["id"])
    asked = [
        [
            _request(_uid("Agreement", each), record["purpose"], _uid("Municipality", record["nis"]))
            for each in under.get(record["nis"], ())
        ]
        for record in cases["records"]
    ]
    return _Form(policies, entities, asked, _allowed, prepare_s)


def _rules(cases: Mapping[str, Any]) -> _Form:
    began = time.perf_counter()
    policies = PolicySet.from_str("\n".join(_RULE.format(**agreement) for agreement in cases["agreements"]))
    entities = _entities(cases)
    prepare_s = time.perf_counter() - began
    asked = [
        [_request(_uid("Municipality", record["nis"]), record["purpose"], _uid("Exchange", "all"))]
        for record in cases["records"]
    ]
    return _Form(policies, entities, asked, _permitting, prepare_s)


def _entities(cases: Mapping[str, Any]) -> Entities:
    return Entities.from_json_str(
        json.dumps(
            [
                {
                    "uid": _uid("Agreement", agreement["id"]),
                    "attrs": {
                        "municipality": {"__entity": _uid("Municipality", agreement["nis"])},
                        "purpose": {"__entity": _uid("Action", agreement["purpose"])},
                        "allowed": agreement["allowed"],
                    },
                    "parents": [],
                }
                for agreement in cases["agreements"]
            ]
        )
    )


def _uid(kind: str, name: str) -> Mapping[str, str]:
    return {"type": kind, "id": name}


def _request(principal: Mapping[str, str], purpose: str, resource: Mapping[str, str]) -> Request:
    return {"principal": principal, "action": _uid("Action", purpose), "resource": resource}


def _allowed(requests: Sequence[Request], results: Sequence[AuthzResult]) -> Answer:
    return sorted(
        request["principal"]["id"] for request, result in zip(requests, results, strict=True) if result.allowed
    )


def _permitting(_: Sequence[Request], results: Sequence[AuthzResult]) -> Answer:
    return sorted(name for result in results for name in result.diagnostics.id_annotations_by_reason.values())


def _measured(form: _Form, checked: int, seconds: float) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What a record costs in whole calls, and within the engine."""
    told = {"prepare_s": form.prepare_s, "answers": [_answer(form, requests) for requests in form.asked[:checked]]}
    for batches in (2**power for power in count()):
        clocked: list[int] = []
        records, cpu, wall = 0, time.process_time(), time.perf_counter()
        for size, requests in _batches(form, batches):
            clocked += [result.metrics["authz_duration_micros"] for result in form.ask(requests)]
            records += size
        spent, passed = time.process_time() - cpu, time.perf_counter() - wall
        if passed >= seconds:
            break
    fastest = sorted(clocked)[: max(1, int(_KEPT * len(clocked)))]
    engine_ns = 1e3 * sum(fastest) / len(fastest) * len(clocked) / records
    return (
        {**told, "cpu_ns": 1e9 * spent / records, "wall_ns": 1e9 * passed / records},
        {**told, "cpu_ns": engine_ns, "wall_ns": engine_ns},
    )


def _batches(form: _Form, number: int) -> Iterator[tuple[int, Sequence[Request]]]:
    """So many calls, as large as they may be where there are many: how many records each is of, and what it asks."""
    size, at = min(number, _LARGEST_BATCH), 0
    for _ in range(number):
        part = form.asked[at : at + size]
        yield len(part), [request for requests in part for request in requests]
        at = 0 if at + size >= len(form.asked) else at + size


def _answer(form: _Form, requests: Sequence[Request]) -> Answer:
    results = form.ask(requests)
    if wrong := [error for result in results for error in result.diagnostics.errors]:
        raise SystemExit(f"Cedar could not evaluate a policy: {wrong[0]}")
    return form.named(requests, results)


if __name__ == "__main__":
    main()
