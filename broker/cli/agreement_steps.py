"""`datanuts agreement draft|request|approve|advise|sign|publish|withdraw|suspend|resume|end|revoke`: the life cycle.

Each step is taken with the credential of its own actor (`--as`); what a person reads ends with the step that follows.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from broker.cli.client import OPERATOR, Client, add_options, connect
from broker.cli.documents import read_text
from broker.cli.output import machine, say
from broker.errors import Invalid
from broker.model.lifecycle import Method, Verdict
from broker.policy.yamltext import load

_PLAIN = {
    "request": ("request the draft as it stands, as its agency", None),
    "publish": ("make the signed text known, as the source's owner; active once its term has begun", OPERATOR),
    "withdraw": ("give up the version that is being negotiated, as one of its sides", None),
    "suspend": ("withhold everything until resumed", OPERATOR),
    "resume": ("release again, as the source's owner", OPERATOR),
    "end": ("end it for good, as one of its sides", OPERATOR),
}
"""Steps that state nothing of their own, and who takes them where nobody is named."""

_COMMANDS = {
    "requested": ("request", ""),
    "approved": ("approve", ""),
    "advised": ("advise", " --verdict favourable --reference R"),
    "signed": ("sign", " --function F --mandate M"),
    "published": ("publish", ""),
}
"""The command behind each step that an agreement may await."""


def register(verbs: Any) -> None:
    """Add the verbs to those of `datanuts agreement`."""
    draft = verbs.add_parser("draft", help="keep versions that are being written, for their agencies to request")
    draft.add_argument("files", nargs="+", type=Path, metavar="FILE")
    add_options(draft)
    draft.set_defaults(run=_draft)
    for verb, (meaning, acting) in _PLAIN.items():
        _step(verbs, verb, meaning, _plain, acting=acting).set_defaults(verb=verb)
    approve = _step(verbs, "approve", "agree with its text, as the source's owner", _approve)
    _text(approve)
    advise = _step(verbs, "advise", "the advice of one side's data protection officer", _advise, acting=None)
    advise.add_argument("--verdict", required=True, choices=[verdict.value for verdict in Verdict])
    advise.add_argument("--reference", required=True, metavar="R", help="where the advice is kept")
    advise.add_argument("--departure", metavar="WHY", help="why this side departs from it")
    _text(advise)
    sign = _step(verbs, "sign", "sign for one side", _sign, acting=None, function=True)
    sign.add_argument("--mandate", required=True, metavar="M", help="on what ground that function may")
    sign.add_argument(
        "--method",
        choices=[method.value for method in Method],
        default=Method.DEV.value,
        help="default: dev, which counts with fictional persons only",
    )
    sign.add_argument("--document", type=Path, metavar="FILE", help="the signed PDF of method qes-document")
    _text(sign)
    _step(verbs, "revoke", "stop deliveries now; returns when no more can follow", _revoke)


def next_step(entry: Mapping[str, Any]) -> str | None:
    """What an agreement as the broker shows it awaits first, with the command; None where it awaits nobody."""
    for awaited in entry["awaits"]:
        who, (verb, options) = awaited["by"], _COMMANDS[awaited["step"]]
        return f"{who}: datanuts agreement {verb} {entry['id']}{options} --as {who}"
    return None


def told(given: argparse.Namespace, entry: Mapping[str, Any]) -> None:
    """Show where an agreement stands, and what follows."""
    if given.json:
        machine(entry)
        return
    say(f"{entry['id']} version {entry['version']}: {entry['state']}")
    if (following := next_step(entry)) is not None:
        say(f"next: {following}")


def _step(
    verbs: Any,
    verb: str,
    meaning: str,
    run: Callable[[argparse.Namespace], None],
    *,
    acting: str | None = OPERATOR,
    function: bool = False,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(verb, help=meaning)
    parser.add_argument("agreement")
    parser.add_argument("--why", metavar="TEXT", help="the reason, for the history; names no person")
    parser.add_argument("--function", metavar="F", required=function, help="in which function; names no person")
    add_options(parser, acting=acting)
    parser.set_defaults(run=run)
    return parser


def _text(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", metavar="SHA256", help="hash of the text that was read; default: of the present one")


def _draft(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        for path in given.files:
            document = load(read_text(path))
            if not isinstance(document, dict):
                raise Invalid(f"{path}: not an agreement document")
            told(given, broker.post("/v1/agreements/drafts", document))


def _plain(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        told(given, broker.post(_path(given, given.verb), _said(given) or None))


def _approve(given: argparse.Namespace) -> None:
    stated = _said(given) | ({} if given.text is None else {"textSha256": given.text})
    with connect(given) as broker:
        told(given, broker.post(_path(given, "approve"), stated))


def _advise(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        stated = {"verdict": given.verdict, "reference": given.reference, "textSha256": _present(given, broker)}
        departure = {} if given.departure is None else {"departure": given.departure}
        told(given, broker.post(_path(given, "advice"), _said(given) | stated | departure))


def _sign(given: argparse.Namespace) -> None:
    if (given.method == Method.QES_DOCUMENT) != (given.document is not None):
        raise Invalid("--document goes with --method qes-document, and only with it: the signed PDF of the protocol")
    with connect(given) as broker:
        stated = _said(given) | {"mandate": given.mandate, "textSha256": _present(given, broker)}
        if given.document is None:
            told(given, broker.post(_path(given, "signatures"), stated))
            return
        stated.pop("why", None)
        path = f"{_path(given, 'signatures')}?{urlencode(stated)}"
        (entry,) = broker.post_file(path, _read(given.document), "application/pdf")
        told(given, entry)


def _revoke(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        done = broker.post(_path(given, "revoke"), _said(given) or None)
    if given.json:
        machine(done)
        return
    fenced = f", {len(done['fencedLanes'])} fenced" if done["fencedLanes"] else ""
    say(
        f"{done['id']}: {done['state']} in {done['durationMs']} ms; barriers of {len(done['barriers'])} lanes{fenced}; "
        "after them: 0 records"
    )


def _path(given: argparse.Namespace, step: str) -> str:
    return f"/v1/agreements/{given.agreement}/{step}"


def _said(given: argparse.Namespace) -> dict[str, str]:
    return {name: stated for name in ("why", "function") if (stated := getattr(given, name)) is not None}


def _present(given: argparse.Namespace, broker: Client) -> str:
    """Hash of the text that is stated, else of the one being negotiated."""
    if given.text is not None:
        return str(given.text)
    held = broker.get(f"/v1/agreements/{given.agreement}")
    text = (held["amendment"] or held)["textSha256"]
    if text is None:
        raise Invalid(f"{given.agreement} has no text yet: its agency requests it first")
    return str(text)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from None
