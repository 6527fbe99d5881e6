"""`datanuts agreement plan|apply`: the reviewed folder `policies/` and the control log, compared and brought together.

Nothing here can approve, sign or publish: a plan registers organisations, sets purposes and ceilings, and requests
agreements, each with the credential of the organisation whose act it is. What the folder no longer holds stays.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.cli.ceiling import put_ceiling, say_cut
from broker.cli.client import OPERATOR, Client, add_options, connect
from broker.cli.datadir import DataDir
from broker.cli.documents import PolicyFolder
from broker.cli.output import machine, say
from broker.cli.plan_sides import held, reviewed
from broker.errors import AgreementRefused, Refused
from broker.policy import limit_documents
from broker.policy.findings import Finding
from broker.policy.policy_items import Action, Item, Kind, Plan
from broker.policy.policy_plan import plan

NOTHING, REFUSED, CHANGES, UNAVAILABLE = 0, 1, 2, 69
"""Exit codes of `plan`; a broker that does not answer gives 69, since 2 says that there is something to do."""

_SIGNS = {
    Action.CREATE: "+",
    Action.CHANGE: "~",
    Action.UNCHANGED: " ",
    Action.REFUSED: "!",
}
_MOST_GONE = 10
_CODES = "exit codes: 0 nothing to do   1 something is refused   2 there are changes   69 the broker does not answer"


def register(verbs: Any) -> None:
    """Add the verbs to those of `datanuts agreement`."""
    planning = verbs.add_parser("plan", help="what the reviewed folder would change; changes nothing", epilog=_CODES)
    planning.set_defaults(run=_plan, failed=UNAVAILABLE)
    applying = verbs.add_parser("apply", help="carry the plan out: up to requesting agreements, never approving them")
    applying.add_argument("files", nargs="*", type=Path, metavar="FILE", help="only the agreements in these files")
    applying.set_defaults(run=_apply)
    for verb in (planning, applying):
        verb.add_argument("--policies", type=Path, help="the reviewed folder; default: that of this installation")
        verb.add_argument("--schemas", type=Path, help="folder of *.avsc")
        add_options(verb)


@dataclass(slots=True)
class _Doors:
    """Clients by organisation: of every local credential where the operator acts, else of the one who acts only."""

    given: argparse.Namespace
    held_open: ExitStack
    _clients: dict[str, Client | None] = field(default_factory=dict)

    def of(self, organisation: str) -> Client | None:
        """The organisation's, or None without its credential."""
        if organisation not in self._clients:
            self._clients[organisation] = self._client(organisation)
        return self._clients[organisation]

    def _client(self, organisation: str) -> Client | None:
        if self.given.acting not in {OPERATOR, organisation}:
            return None
        home = DataDir(self.given.data_dir)
        credential = home.credential(organisation)
        if credential is None:
            return None
        return self.held_open.enter_context(Client(home.connection().api, credential.token))


@dataclass(frozen=True, slots=True)
class _Step:
    """One request to the broker, with the credential of `by`; the list of purposes is set at once, for all their items."""

    kind: Kind
    name: str
    by: str
    action: Action
    document: Mapping[str, Any]

    def take(self, broker: Client, *, preview: bool = False) -> dict[str, Any]:
        """What the broker answers; raises what it refuses with."""
        match self.kind:
            case Kind.ORGANISATION:
                return broker.post("/v1/organisations", self.document)
            case Kind.PURPOSE:
                return broker.put("/v1/purposes", self.document, preview=str(preview).lower())
            case Kind.CEILING:
                source, product, purpose = (str(self.document[part]) for part in ("source", "product", "purpose"))
                return put_ceiling(broker, f"{source}/{product}", purpose, self.document, preview=preview)
            case Kind.AGREEMENT:
                return broker.post("/v1/agreements", self.document)


def _steps(made: Plan) -> Iterator[_Step]:
    purposes = [item for item in made.changes if item.kind is Kind.PURPOSE]
    for item in made.changes:
        if item.kind is not Kind.PURPOSE:
            yield _Step(item.kind, item.name, item.by or OPERATOR, item.action, item.document)
        elif item is purposes[0]:
            names = ", ".join(each.name for each in purposes)
            document = {"purposes": limit_documents.purpose_documents(made.purposes)}
            yield _Step(Kind.PURPOSE, names, OPERATOR, Action.CHANGE, document)


def _made(given: argparse.Namespace, broker: Client, files: list[Path]) -> Plan:
    folder = reviewed(PolicyFolder.of(given.policies, given.schemas), files)
    return plan(folder, held(broker, given.acting, [asked for _, asked in folder.agreements]))


def _plan(given: argparse.Namespace) -> int:
    with ExitStack() as stack:
        broker, doors = stack.enter_context(connect(given)), _Doors(given, stack)
        made = _made(given, broker, [])
        cuts = list(_cuts(made, doors))
    summary = Counter(item.action.value for item in made.items)
    if given.json:
        items = [_shown(item) for item in made.items]
        machine({"items": items, "cuts": cuts, "summary": {action.value: summary[action.value] for action in Action}})
    else:
        for item in made.items:
            if item.action is not Action.GONE and (item.action is not Action.UNCHANGED or item.kind is Kind.AGREEMENT):
                _say_item(item)
        _say_gone(made)
        for each in cuts:
            say(f"{each['kind']} {each['name']}:")
            say_cut(each)
        say(f"plan: {', '.join(f'{summary[action.value]} {action.value}' for action in Action)}")
    if made.of(Action.REFUSED):
        return REFUSED
    return CHANGES if made.changes else NOTHING


def _cuts(made: Plan, doors: _Doors) -> Iterator[dict[str, Any]]:
    """What each changed limit would cut and restore, as far as its owner's credential is here to ask."""
    for step in _steps(made):
        if step.kind in {Kind.PURPOSE, Kind.CEILING} and step.action is Action.CHANGE:
            broker = doors.of(step.by)
            done = step.take(broker, preview=True) if broker else {}
            if done.get("cut") or done.get("restored"):
                yield {"kind": step.kind.value, "name": step.name, "cut": done["cut"], "restored": done["restored"]}


def _apply(given: argparse.Namespace) -> int:
    with ExitStack() as stack:
        broker, doors = stack.enter_context(connect(given)), _Doors(given, stack)
        made = _made(given, broker, given.files)
        refused = made.of(Action.REFUSED)
        for item in refused:
            _say_outcome(given, item.kind, item.name, "refused", findings=item.findings)
        stopped = len(refused)
        for step in _steps(made):
            stopped += not _taken(given, step, doors)
    if not given.json:
        _say_gone(made)
        unchanged, gone = len(made.of(Action.UNCHANGED)), len(made.of(Action.GONE))
        say(f"apply: {len(list(_steps(made)))} step(s), {stopped} stopped, {unchanged} unchanged, {gone} gone")
    return REFUSED if stopped else NOTHING


def _taken(given: argparse.Namespace, step: _Step, doors: _Doors) -> bool:
    """Take one step and say how it went; another one may still be taken where this one was refused."""
    broker = doors.of(step.by)
    if broker is None:
        text = f"needs the credential of {step.by}, which is not in {given.data_dir}: {step.by} does this itself"
        _say_outcome(given, step.kind, step.name, "missing credential", text)
        return False
    try:
        done = step.take(broker)
    except AgreementRefused as error:
        _say_outcome(given, step.kind, step.name, "refused", findings=[Finding(*each) for each in error.findings])
        return False
    except Refused as error:
        _say_outcome(given, step.kind, step.name, "refused", f"{error} [{error.code}]")
        return False
    state = f"version {done['version']} {done['state']}" if step.kind is Kind.AGREEMENT else "set"
    _say_outcome(given, step.kind, step.name, "done", state, done=done)
    return True


def _say_outcome(
    given: argparse.Namespace,
    kind: Kind,
    name: str,
    result: str,
    text: str = "",
    *,
    findings: Iterable[Finding] = (),
    done: Mapping[str, Any] | None = None,
) -> None:
    told = [each._asdict() for each in findings]
    if given.json:
        machine({"kind": kind.value, "name": name, "result": result, "text": text, "findings": told} | {"answer": done})
        return
    say(f"{kind} {name}: {result}" + (f", {text}" if text else ""))
    for mark, listed in (("", told), ("warning: ", (done or {}).get("warnings", ()))):
        for each in listed:
            say(f"    {mark}{each['path']}: {each['text']} [{each['code']}]")
    if done and "cut" in done:
        say_cut(done)


def _say_gone(made: Plan) -> None:
    """What stays though the folder does not hold it; from templates that may be hundreds, so most are only counted."""
    for kind in Kind:
        gone = [item for item in made.of(Action.GONE) if item.kind is kind]
        for item in gone[:_MOST_GONE]:
            say("; ".join(part for part in (f"- {kind} {item.name}: not in the folder, it stays", item.note) if part))
        if len(gone) > _MOST_GONE:
            say(f"- and {len(gone) - _MOST_GONE} more of kind {kind}: see --json")


def _shown(item: Item) -> dict[str, Any]:
    return {
        "kind": item.kind.value,
        "name": item.name,
        "action": item.action.value,
        "file": item.file,
        "by": item.by,
        "note": item.note,
        "findings": [each._asdict() for each in item.findings],
    }


def _say_item(item: Item) -> None:
    told = f"{_SIGNS[item.action]} {item.kind} {item.name}: {item.action}"
    say("; ".join(part for part in (told, item.note) if part) + (f"  ({item.file})" if item.file else ""))
    mark = "" if item.action is Action.REFUSED else "warning: "
    for each in item.findings:
        say(f"    {mark}{each.path}: {each.text} [{each.code}]")
