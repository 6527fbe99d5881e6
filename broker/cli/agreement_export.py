"""`datanuts agreement export-odrl|import-odrl|export-register`: the open forms of agreements, written as they are to standard output."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.documents import read_text
from broker.cli.output import machine
from broker.policy.documents import agreement_document
from broker.policy.odrl import from_odrl
from broker.policy.odrl_terms import BASE


def register(verbs: Any) -> None:
    """Add the verbs to those of `datanuts agreement`."""
    exports = verbs.add_parser("export-odrl", help="an agreement as ODRL and DPV (JSON-LD)")
    exports.add_argument("agreement")
    exports.add_argument("--version", type=int, help="default: the one in force, else the latest")
    add_options(exports)
    exports.set_defaults(run=_export_odrl)
    imports = verbs.add_parser("import-odrl", help="the agreement document in an ODRL export (JSON); works offline")
    imports.add_argument("file", type=Path, metavar="FILE")
    imports.add_argument(
        "--base", default=BASE, help=f"what the exporting installation's IRIs begin with; default: {BASE}"
    )
    imports.set_defaults(run=_import_odrl)
    registers = verbs.add_parser(
        "export-register", help="the organisation's records of processing activities (art. 30 GDPR)"
    )
    registers.add_argument("--format", choices=("csv", "json"), default="csv", help="default: csv, for a spreadsheet")
    add_options(registers)
    registers.set_defaults(run=_export_register)


def _export_odrl(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        document = broker.get(f"/v1/agreements/{given.agreement}/odrl", version=given.version)
    if given.json:
        machine(document)
    else:
        _write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def _import_odrl(given: argparse.Namespace) -> None:
    document = agreement_document(from_odrl(read_text(given.file), base=given.base))
    _write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def _export_register(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        if given.json or given.format == "json":
            for row in broker.get("/v1/register-of-processing")["items"]:
                machine(row)
            return
        _write(b"".join(broker.stream("/v1/register-of-processing", format="csv")).decode())


def _write(text: str) -> None:
    """As it is: line ends and the byte order mark are part of the form."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
