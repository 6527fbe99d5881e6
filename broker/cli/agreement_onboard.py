"""`datanuts agreement onboard|accessions|merge`: one template for many local authorities, and what their mergers ask."""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from broker.api.templates import MOST_AT_ONCE
from broker.cli.client import Client, add_options, connect
from broker.cli.documents import PolicyFolder, read_text
from broker.cli.output import machine, note, say, table
from broker.errors import Invalid
from broker.model.topics import slug
from broker.policy.authorities import Authorities, Authority, Kind, authorities, written
from broker.policy.templates import Template, template

_ALL = {"all-gemeenten": Kind.GEMEENTE, "all-ocmws": Kind.OCMW}
_LOOKED_AT = 100
_SHOWN = 5
_NEEDS = {"draft": "to draft", "amend": "to amend", "nothing": "say the same already", "refused": "cannot be"}
_SIGNS = {"added": "+", "removed": "-"}


def register(verbs: Any) -> None:
    """Add the verbs to the subparsers of `agreement`."""
    onboard = verbs.add_parser(
        "onboard", help="draft one agreement per local authority from a template; ask again for the rest"
    )
    _chosen(onboard)
    onboard.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    onboard.add_argument(
        "--amend", action="store_true", help="draft the next version where the template says something else"
    )
    onboard.add_argument("--sign", choices=["dev"], help="take every actor's step too; only with fictional persons")
    onboard.set_defaults(run=_onboard)
    accessions = verbs.add_parser(
        "accessions", help="where every authority stands under a template, and what it waits for"
    )
    _chosen(accessions)
    accessions.add_argument("--missing", action="store_true", help="only those that are not in force")
    accessions.set_defaults(run=_accessions)
    merge = verbs.add_parser(
        "merge", help="after a merger: move the dossiers to the successor and end the old agreements"
    )
    merge.add_argument("--from", dest="predecessors", required=True, metavar="A,B", help="authorities that merged")
    merge.add_argument("--to", dest="successor", required=True, metavar="C", help="their successor")
    merge.add_argument(
        "--template", action="append", metavar="T", help="default: every template of the authorities' kind"
    )
    merge.add_argument("--dry-run", action="store_true", help="show the plan only")
    _common(merge)
    merge.set_defaults(run=_merge)


def _chosen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--template", required=True, metavar="T", help="its id in the policies, or a file")
    parser.add_argument(
        "--authorities",
        required=True,
        metavar="WHO",
        help="all-gemeenten, all-ocmws, or a file with one id of the table of authorities per line",
    )
    _common(parser)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on", type=date.fromisoformat, metavar="DAY", help="the table as it is on a day; default: today"
    )
    parser.add_argument("--policies", type=Path, help="folder of templates/ and authorities.csv")
    add_options(parser)


def _onboard(given: argparse.Namespace) -> int:
    chosen, rows = _read(given)
    with connect(given) as broker:
        if given.dry_run:
            looked = list(_looked_at(broker, chosen, rows, texts=True))
            _previewed(given, chosen, looked)
            return 1 if any(item["need"] == "refused" for item in looked) else 0
        done: list[dict[str, Any]] = []
        for some in _parts(rows, MOST_AT_ONCE // 2):
            answer = broker.post(
                "/v1/templates/onboard", _body(chosen, some) | {"amend": given.amend, "sign": given.sign}
            )
            done += answer["items"]
            if given.json:
                for item in answer["items"]:
                    machine(item)
            else:
                note(f"{len(done)} of {len(rows)}: {_counted(done)}")
    if not given.json:
        _problems(done)
        left = [item for item in done if item["need"] == "amend"]
        if left and not given.amend:
            say(f"{len(left)} say something else than the template: see --amend --dry-run")
    return 1 if any(item["need"] == "refused" for item in done) else 0


def _accessions(given: argparse.Namespace) -> None:
    chosen, rows = _read(given)
    with connect(given) as broker:
        items = list(_looked_at(broker, chosen, rows, texts=False))
    shown = [item for item in items if not given.missing or item["state"] != "active"]
    if given.json:
        for item in shown:
            machine(item)
        return
    table(
        ("authority", "agreement", "version", "state", "waits for"),
        ((item["authority"], item["agreement"], item["version"], item["state"], item["waitsFor"]) for item in shown),
    )
    say(f"{len(items)}: {_counted(items)}")


def _merge(given: argparse.Namespace) -> int:
    folder = PolicyFolder.of(given.policies)
    whole, on = _table(folder), given.on or datetime.now(UTC).date()
    heir = whole.find(given.successor, on)
    names = tuple(given.predecessors.split(","))
    merged = [row for row in whole.merged_into(heir.id, on) if row.id in names or row.id == heir.id]
    concerned = [row for row in whole.rows if row.id == heir.id or row in merged]
    wanted = given.template or [made.id for made in _templates(folder) if heir.kind in made.kinds]
    refused = 0
    with connect(given) as broker:
        for name in wanted:
            body = _body(_template(folder, name), concerned) | {
                "predecessors": names,
                "successor": heir.id,
                "on": str(on),
            }
            plan = broker.post("/v1/templates/merge", body | {"dry_run": True})
            refused += bool(plan["problems"])
            if not (given.dry_run or plan["problems"]):
                plan = broker.post("/v1/templates/merge", body | {"dry_run": False})
            _planned(given, plan)
    return 1 if refused else 0


def _planned(given: argparse.Namespace, plan: dict[str, Any]) -> None:
    if given.json:
        machine(plan)
        return
    say(f"{plan['template']}: to {plan['agreement']} of {plan['agency']}")
    for problem in plan["problems"]:
        say(f"  cannot be yet: {problem}")
    moved = {item["agreement"]: item for item in plan["moved"] or ()}
    for transfer in plan["transfers"]:
        done = moved.get(transfer["agreement"])
        if done is not None:
            say(f"  {transfer['agreement']}: {done['state']}; {done['dossiers']} dossier(s) moved")
        else:
            what = "dossiers move, then " if transfer["dossiers"] else ""
            say(f"  {transfer['agreement']}: {what}{transfer['stop']} ({transfer['why']})")
    if not plan["transfers"]:
        say("  nothing to move")


def _looked_at(broker: Client, chosen: Template, rows: Sequence[Authority], *, texts: bool) -> Iterator[dict[str, Any]]:
    for some in _parts(rows, _LOOKED_AT):
        yield from broker.post("/v1/templates/preview", _body(chosen, some) | {"texts": texts})["items"]


def _previewed(given: argparse.Namespace, chosen: Template, items: Sequence[dict[str, Any]]) -> None:
    if given.json:
        for item in items:
            machine(item)
        return
    document = chosen.agreement
    what = f"{document['product']} of {document['source']} for {document['purpose']}, {len(document['fields'])} fields"
    say(f"{chosen.id}: {what}")
    say(f"{len(items)}: {_counted(items)}")
    for need, words in _NEEDS.items():
        if names := [item["authority"] for item in items if item["need"] == need]:
            say(f"{len(names)} {words}: {_some(names)}")
    if new := [item["authority"] for item in items if not item["registered"]]:
        say(f"{len(new)} to be registered as organisations")
    for number, group in enumerate(by_difference(items)):
        clauses = Counter(_clause(each) for each in group[0]["differences"])
        told = ", ".join(f"{clause} {_SIGNS.get(label, '~')}{count}" for (clause, label), count in clauses.items())
        names = [item["authority"] for item in group]
        say(f"{len(group)} deviate: {told} ({_some(names)})" if number else f"{len(group)} instances: {told}")
    _problems(items)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + ", …" * (len(names) > _SHOWN)


def by_difference(items: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Agreements that the template changes, those with the same clauses together, the largest group first."""
    groups: dict[tuple[tuple[str, str], ...], list[dict[str, Any]]] = {}
    for item in items:
        if item["differences"]:
            groups.setdefault(tuple((each["path"], each["label"]) for each in item["differences"]), []).append(item)
    return sorted(groups.values(), key=len, reverse=True)


def _clause(difference: dict[str, Any]) -> tuple[str, str]:
    """`fields`, `conditions.quality`: where a reader looks, and what happened there."""
    path = difference["path"]
    head = path.split("[")[0].split(".")
    return ".".join(head[: 2 if head[0] == "conditions" else 1]), difference["label"]


def _problems(items: Iterable[dict[str, Any]]) -> None:
    """Problems with how many have them, the most frequent first."""
    found: dict[str, list[str]] = {}
    for item in items:
        for problem in item["problems"]:
            found.setdefault(problem.replace(item["authority"], "it"), []).append(item["authority"])
    for problem, names in sorted(found.items(), key=lambda each: -len(each[1]))[:_SHOWN]:
        say(f"{len(names)} cannot: {problem} ({_some(names)})")


def _counted(items: Iterable[dict[str, Any]]) -> str:
    """How many stand where: `210 active, 70 draft, 5 not there yet`."""
    counts = Counter(str(item["state"] or "not there yet") for item in items)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())


def _body(chosen: Template, rows: Iterable[Authority]) -> dict[str, Any]:
    document = {"id": chosen.id, "kinds": [kind.value for kind in chosen.kinds], "agreement": chosen.agreement}
    return {"template": document, "authorities": written(rows)}


def _parts(rows: Sequence[Authority], size: int) -> Iterator[Sequence[Authority]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _read(given: argparse.Namespace) -> tuple[Template, list[Authority]]:
    """The template, and the authorities in the order of the table or the file."""
    folder = PolicyFolder.of(given.policies)
    chosen, on = _template(folder, given.template), given.on or datetime.now(UTC).date()
    whole = _table(folder)
    if given.authorities in _ALL:
        return chosen, [_as_of_now(row) for row in whole.on(on, _ALL[given.authorities])]
    lines = (line.split("#")[0].strip() for line in read_text(Path(given.authorities)).splitlines())
    names = list(dict.fromkeys(line for line in lines if line))
    if not names:
        raise Invalid(f"{given.authorities} names nobody: one id of the table of authorities per line")
    return chosen, [_as_of_now(whole.find(name, on)) for name in names]


def _as_of_now(row: Authority) -> Authority:
    """Without its end: a part of the table does not hold who took over."""
    return replace(row, end=None, successor=None)


def _table(folder: PolicyFolder) -> Authorities:
    return authorities(read_text(folder.policies / "authorities.csv"))


def _template(folder: PolicyFolder, name: str) -> Template:
    path = Path(name) if name.endswith(".yaml") else folder.policies / "templates" / f"{slug(name, 'template')}.yaml"
    return template(read_text(path))


def _templates(folder: PolicyFolder) -> list[Template]:
    return [template(read_text(path)) for path in sorted((folder.policies / "templates").glob("*.yaml"))]
