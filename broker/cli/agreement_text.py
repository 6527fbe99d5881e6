"""`datanuts agreement check|render|diff`: a document's text, its faults, and what differs; files need no broker."""

import argparse
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.documents import PolicyFolder, read_text
from broker.cli.output import machine, note, say
from broker.errors import ConfigError, Invalid
from broker.model.agreement import Agreement
from broker.model.control_state import ControlState
from broker.model.purpose import Purposes
from broker.policy import documents
from broker.policy.check import check
from broker.policy.clauses import gaps
from broker.policy.difference import Difference, Label, difference
from broker.policy.findings import Finding
from broker.policy.limits import Ceilings, effective_ceiling
from broker.policy.protocol_text import render, stated_at, text_hash
from broker.policy.quasi_identifiers import warnings
from broker.schema.avro import Schema, encode_literal

_SIGNS = {Label.ADDED: "+", Label.REMOVED: "-", Label.CHANGED: "~", Label.REORDERED: "~"}


def register(verbs: Any) -> None:
    """Add the verbs to those of `datanuts agreement`."""
    checks = verbs.add_parser("check", help="check documents against schemas, ceilings and clauses; works offline")
    checks.add_argument("files", nargs="+", type=Path, metavar="FILE")
    _folders(checks)
    checks.add_argument("--json", action="store_true", help="one JSON object per file")
    checks.set_defaults(run=_check)
    shows = verbs.add_parser("render", help="the Dutch protocol of an agreement, or of a document offline")
    shows.add_argument("agreement", metavar="ID|FILE")
    shows.add_argument("--version", type=int, help="version of ID; default: the one in force, else the latest")
    shows.add_argument("--pdf", type=Path, metavar="FILE", help="write it as a PDF to sign")
    _folders(shows)
    add_options(shows)
    shows.set_defaults(run=_render)
    differs = verbs.add_parser("diff", help="clauses in which two documents differ, or two versions of an agreement")
    differs.add_argument("before", metavar="FILE|ID")
    differs.add_argument("after", metavar="FILE|VERSION")
    differs.add_argument("later", nargs="?", type=int, metavar="VERSION")
    add_options(differs)
    differs.set_defaults(run=_diff)


def _folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policies", type=Path, help="folder of purposes.yaml, organisations.yaml and ceilings/")
    parser.add_argument("--schemas", type=Path, help="folder of *.avsc")


@dataclass(frozen=True, slots=True)
class _Rules:
    """What documents are checked against, read once."""

    purposes: Purposes
    ceilings: Ceilings
    schemas: Mapping[str, Schema]
    offered: Collection[tuple[str, str]]
    organisations: Collection[str]

    @classmethod
    def of(cls, folder: PolicyFolder) -> "_Rules":
        state = folder.state()
        return cls(folder.purposes(), folder.ceilings(), folder.product_schemas(), state.products, state.organisations)

    def judge(self, path: Path) -> "_Judgement":
        """What stands in the way of this file, in the order of its parts, and what to think of beside it."""
        try:
            text = read_text(path)
        except Invalid as error:
            return _Judgement((Finding("UNREADABLE", "document", f"{error}: name a file of UTF-8 text"),))
        malformed = documents.faults(text)
        return _Judgement(malformed) if malformed else self._clauses(documents.agreement(text))

    def _clauses(self, agreement: Agreement) -> "_Judgement":
        source, product = agreement.source, agreement.product
        schema = self.schemas.get(product)
        if schema is None or (source, product) not in self.offered:
            text = f"{source} offers no {product}: name a declared product and its source"
            return _Judgement((Finding("UNKNOWN_PRODUCT", "product", text),))
        broken = check(
            agreement,
            purposes=self.purposes,
            ceilings=self.ceilings,
            schema=schema,
            encode=partial(encode_literal, schema),
            organisations=self.organisations,
        )
        refused = (*broken, *gaps(agreement, schema))
        if agreement.purpose not in self.purposes.by_code:
            return _Judgement(refused)
        ceiling = effective_ceiling(self.purposes, self.ceilings, source, product, agreement.purpose)
        return _Judgement(refused, warnings(agreement, schema, ceiling))


@dataclass(frozen=True, slots=True)
class _Judgement:
    """Findings that refuse a file, and warnings that do not."""

    findings: tuple[Finding, ...]
    warnings: tuple[Finding, ...] = ()


def _check(given: argparse.Namespace) -> int:
    rules = _Rules.of(PolicyFolder.of(given.policies, given.schemas))
    refused = 0
    for path in given.files:
        judged = rules.judge(path)
        refused += bool(judged.findings)
        if given.json:
            kinds = {"findings": judged.findings, "warnings": judged.warnings}
            shown = {kind: [found._asdict() for found in listed] for kind, listed in kinds.items()}
            machine({"file": str(path), "ok": not judged.findings, **shown})
            continue
        say(f"{path}: {f'refused, {len(judged.findings)} clause(s)' if judged.findings else 'ok'}")
        for mark, listed in (("", judged.findings), ("warning: ", judged.warnings)):
            for found in listed:
                say(f"  {mark}{found.path}: {found.text} [{found.code}]")
    return 1 if refused else 0


def _render(given: argparse.Namespace) -> None:
    file = Path(given.agreement)
    if file.is_file():
        shown = _rendered(_read(file), PolicyFolder.of(given.policies, given.schemas).state())
    else:
        with connect(given) as broker:
            shown = broker.get(f"/v1/agreements/{given.agreement}/text", version=given.version)
    if given.pdf is not None:
        from broker.policy.protocol_pdf import pdf  # noqa: PLC0415 - fonts and layout, for this option only

        content = pdf(shown["text"], title=shown["title"], at=datetime.fromisoformat(shown["statedAt"]))
        _written(given.pdf, content)
        note(f"{given.pdf}: {len(content)} bytes; SHA-256 of the text {shown['sha256']}")
    if given.json:
        machine(shown)
    elif given.pdf is None:
        for line in shown["text"].splitlines():
            say(line)


def _rendered(agreement: Agreement, state: ControlState) -> dict[str, Any]:
    """What the broker would answer for this document."""
    text = render(agreement, state)
    stated = {"title": agreement.title, "statedAt": stated_at(agreement).isoformat()}
    return {"text": text, "sha256": text_hash(text), "version": agreement.version, **stated}


def _read(path: Path) -> Agreement:
    try:
        return documents.agreement(read_text(path))
    except Invalid as error:
        raise Invalid(f"{path}: {error}") from None


def _written(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _diff(given: argparse.Namespace) -> None:
    if given.later is None:
        found = difference(_read(Path(given.before)), _read(Path(given.after)))
    else:
        with connect(given) as broker:
            path = f"/v1/agreements/{given.before}/difference"
            items = broker.get(path, **{"from": given.after, "to": given.later})["items"]
        found = tuple(Difference(**(item | {"label": Label(item["label"])})) for item in items)
    if given.json:
        machine([item._asdict() for item in found])
        return
    say(f"{len(found)} clause(s) differ" if found else "no difference")
    for item in found:
        say(f"{_SIGNS[item.label]} {item.path}: {item.label}")
        for sign, value in (("-", item.before), ("+", item.after)):
            if value is not None:
                say(f"    {sign} {_plain(value)}")


def _plain(value: Any) -> str:
    """The whole value on one line: what is left out could be what matters."""
    return " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
