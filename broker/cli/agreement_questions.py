"""`datanuts agreement explain|compare`: questions about agreements, offline for documents, else to the broker.

A record to explain comes from a file or standard input, never from the command line: its values may be somebody's.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.documents import PolicyFolder, read_text
from broker.cli.output import machine, say
from broker.errors import Invalid
from broker.policy import documents, questions
from broker.policy.compare import compare
from broker.policy.limits import Limits
from broker.policy.yamltext import load
from broker.schema.avro import Schema

_LARGEST = 1 << 18
_MARKS = {"holds": "yes", "fails": "no", "not-asked": "-", "released": "out", "withheld": "-"}


def register(verbs: Any) -> None:
    """Add the verbs to `datanuts agreement`."""
    explain = verbs.add_parser(
        "explain",
        help="why a record would be released or not, clause by clause",
        description="Asks as a party to the agreement (--as), or offline for a document. The record is JSON: an object "
        "of leaf paths with text, or null where absent; null for a deletion.",
    )
    explain.add_argument("agreement", metavar="ID|FILE", help="an id, ID@VERSION, or a document")
    explain.add_argument(
        "--record", required=True, metavar="FILE", help="the hypothetical record; - for standard input"
    )
    explain.add_argument("--kind", metavar="KIND", help="what the record says happened; default: changed")
    explain.add_argument("--dossier", action="store_true", help="the agency has an open file on the subject")
    explain.add_argument("--consent", action="store_true", help="the subject agrees")
    explain.add_argument("--at", metavar="INSTANT", help="default: now")
    explain.set_defaults(run=_explain)
    comparing = verbs.add_parser(
        "compare",
        help="whether the second lets through more or less than the first, with example records",
        description="Offline for two documents, else asks as a party to the agreements (--as).",
    )
    for name in ("old", "new"):
        comparing.add_argument(name, metavar=name.upper(), help="an id, ID@VERSION, or a document")
    comparing.set_defaults(run=_compare)
    for verb in (explain, comparing):
        verb.add_argument("--policies", type=Path, help="folder of purposes.yaml and ceilings/, for documents")
        verb.add_argument("--schemas", type=Path, help="folder of *.avsc, for documents")
        add_options(verb)


def _explain(given: argparse.Namespace) -> None:
    options = {"kind": given.kind, "at": given.at}
    asked = {"dossier": given.dossier, "consent": given.consent, "record": _record(given.record)}
    asked |= {name: value for name, value in options.items() if value is not None}
    about = named(given.agreement)
    if "document" in about:
        folder = PolicyFolder.of(given.policies, given.schemas)
        agreement = documents.agreement(about["document"])
        case = questions.case(asked, _schema(folder, agreement.product), now=datetime.now(UTC))
        limits = Limits(folder.purposes(), folder.ceilings())
        answer = questions.explained(case.explained(questions.as_if_active(agreement), limits))
    else:
        with connect(given) as broker:
            answer = broker.post("/v1/policy/explain", about | asked)
    if given.json:
        machine(answer)
        return
    say(f"{_result(answer['result'])}, by {answer['rule']}")
    _tree(answer["clauses"], depth=0)


def _result(result: Mapping[str, Any]) -> str:
    match result:
        case {"outcome": "release", "reason": None, "kind": kind}:
            return f"released as {kind}"
        case {"outcome": "release", "reason": reason, "kind": kind}:
            return f"released as {kind} [{reason}]"
        case {"outcome": "withhold", "reason": reason}:
            return f"withheld [{reason}]"
    return f"not a member, no receipt [{result['reason']}]"


def _tree(clauses: Iterable[Mapping[str, Any]], *, depth: int) -> None:
    for clause in clauses:
        place = clause.get("path") or ("" if depth else clause["clause"])
        say(f"  {_MARKS[clause['outcome']]:>3}  {'  ' * depth}{f'{place}: ' if place else ''}{clause['text']}")
        _tree(clause.get("parts", ()), depth=depth + 1)


def _compare(given: argparse.Namespace) -> None:
    old, new = named(given.old), named(given.new)
    if "document" in old and "document" in new:
        before, after = documents.agreement(old["document"]), documents.agreement(new["document"])
        schema = _schema(PolicyFolder.of(given.policies, given.schemas), after.product)
        answer = questions.compared(compare(before, after, schema))
    else:
        with connect(given) as broker:
            answer = broker.post("/v1/policy/compare", {"old": old, "new": new})
    if given.json:
        machine(answer)
        return
    say(f"{given.new} is {_VERDICTS[answer['verdict']]} {given.old}")
    for example in answer["counterexamples"]:
        _counterexample(example)
    if answer["beside"]:
        say(f"  differs too, beside what is released: {', '.join(answer['beside'])}")


_VERDICTS = {
    "equal": "equal to",
    "wider": "wider than",
    "narrower": "narrower than",
    "incomparable": "incomparable with",
}


def _counterexample(example: Mapping[str, Any]) -> None:
    say(f"  {example['clause']}: only the {example['only']} one releases")
    told = ", ".join(f"{part['path']} ({part['as']})" for part in example["released"]) or "a notification"
    values = (f"{path} = {'absent' if text is None else text}" for path, text in example["record"].items())
    shown = ", ".join(values) or "any"
    file = "with" if example["dossier"] else "without"
    consent = "with" if example["consent"] else "without"
    say(f"    {told}")
    say(f"    for the record {shown}; {file} an open file, {consent} consent, at {example['instant']}")


def named(text: str) -> dict[str, Any]:
    """What the API names an agreement by: a document if it is a file, else an id with or without its version; raises `Invalid`."""
    if Path(text).suffix or Path(text).exists():
        document = load(read_text(Path(text)))
        if not isinstance(document, dict):
            raise Invalid(f"{text}: not an agreement document")
        return {"document": document}
    name, _, version = text.partition("@")
    if not version:
        return {"agreement": name}
    if not version.isdecimal():
        raise Invalid(f"{text}: a version is a number, such as {name}@2")
    return {"agreement": name, "version": int(version)}


def _record(source: str) -> Any:
    text = sys.stdin.read(_LARGEST + 1) if source == "-" else read_text(Path(source))
    if len(text) > _LARGEST:
        raise Invalid("the record is too large")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("the record is not JSON") from None


def _schema(folder: PolicyFolder, product: str) -> Schema:
    schema = folder.product_schemas().get(product)
    if schema is None:
        raise Invalid(f"product: no schema {product}.avsc in {folder.schemas}")
    return schema
