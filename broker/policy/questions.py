"""Questions about policies as JSON objects: the hypothetical record of `explain`, and the answers of explain, compare and growth.

A refusal names paths that the schema has, and never a value or an unknown name: both may be somebody's data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from broker.errors import Invalid
from broker.model.agreement import Agreement, Consent, Dossier, State
from broker.model.decision import RECORD_KINDS, Kind, Release, Withhold
from broker.policy.compare import Comparison, Counterexample
from broker.policy.explain import Clause, Explanation, explain
from broker.policy.forms import Document, Form, Instant, read
from broker.policy.growth import Candidate, NewField
from broker.policy.limits import Limits
from broker.policy.reference import Known, Values
from broker.policy.standing import Standing
from broker.schema.avro import Schema, encode_literal

_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_Record = Annotated[dict[str, Any], Field(max_length=500)]
"""Checked by hand: a refusal of pydantic would repeat a key that is not ours."""


class _BeforeForm(Form):
    record: _Record
    at: Instant


class _CaseForm(Form):
    record: _Record | None
    kind: Kind = Kind.CHANGED
    dossier: Annotated[bool, Field(strict=True)] = False
    consent: Annotated[bool, Field(strict=True)] = False
    at: Instant | None = None
    previous: _BeforeForm | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A hypothetical record: its values (None: a deletion) and those before, and what holds of its subject, at an instant."""

    after: Values | None
    before: Known | None
    kind: Kind
    now: datetime
    dossier: bool
    consent: bool

    def explained(self, standing: Standing, limits: Limits) -> Explanation:
        """Explanation of this case under one agreement."""
        name = standing.agreement.id
        return explain(
            standing,
            limits,
            self.before,
            self.after,
            kind=self.kind,
            now=self.now,
            dossiers=[Dossier(name, b"", "", "", _ALWAYS, None, registered=_ALWAYS)] if self.dossier else [],
            consents=[Consent(name, b"", _ALWAYS, None, registered=_ALWAYS)] if self.consent else [],
        )


def case(document: Document, schema: Schema, *, now: datetime) -> Case:
    """`{record, dossier, consent, at, kind, previous: {record, at}}`, all but `record` optional; `now` is the default of `at`.

    A record maps leaf paths to text as in a population (null, or left out: absent); `record: null` is a deletion. Raises
    `Invalid` for a path that is no single-valued leaf, and for a value that its leaf cannot hold.
    """
    form = read(_CaseForm, document)
    if form.kind not in RECORD_KINDS:
        raise Invalid("kind: must be one that a source can state")
    at, before = (form.at or now).astimezone(UTC), None
    if form.previous is not None:
        before = Known(_values(form.previous.record, schema), form.previous.at.astimezone(UTC))
        if before.at > at:
            raise Invalid("previous.at: lies after the record's own instant")
    after = None if form.record is None else _values(form.record, schema)
    return Case(after, before, form.kind, at, form.dossier, form.consent)


def as_if_active(agreement: Agreement) -> Standing:
    """An agreement that is only a document, as if it had been activated at the beginning of its term."""
    return Standing(agreement, State.ACTIVE, min(agreement.term.start, _ALWAYS))


def explained(explanation: Explanation) -> dict[str, Any]:
    """JSON object of an explanation; without the dossier's own reference."""
    decision = explanation.decision
    result: dict[str, Any] = {"outcome": "not-a-member", "kind": None, "reason": None}
    match decision:
        case Release(kind=kind, departure=departure):
            result |= {"outcome": "release", "kind": kind.value, "reason": departure and departure.value}
        case Withhold(reason=reason):
            result |= {"outcome": "withhold", "reason": reason.value}
        case reason:
            result |= {"reason": reason.value}
    return {
        "result": result,
        "rule": explanation.rule,
        "clauses": [_clause(clause) for clause in explanation.clauses],
    }


def compared(comparison: Comparison) -> dict[str, Any]:
    """JSON object of a comparison."""
    return {
        "verdict": comparison.verdict.value,
        "counterexamples": [_counterexample(example) for example in comparison.counterexamples],
        "beside": list(comparison.beside),
    }


def grown(fields: Sequence[NewField]) -> list[dict[str, Any]]:
    """JSON objects of a new version's new fields."""
    return [
        {
            "path": added.path,
            "class": added.field_class.value,
            "reveals": added.reveals,
            "doc": added.doc,
            "receivedBy": [],
            "mayAsk": [_candidate(each) for each in added.may_ask],
            "ownerFirst": [_candidate(each) for each in added.owner_first],
        }
        for added in fields
    ]


def _values(record: Mapping[str, Any], schema: Schema) -> Values:
    for path, text in record.items():
        leaf = schema.fields.get(path)
        if leaf is None or leaf.repeated:
            raise Invalid(
                f"record: names what is no single-valued leaf of {schema.product}: see `datanuts product show`"
            )
        if not isinstance(text, str | None):
            raise Invalid(f"record: {path} is given as text, or null where it is absent")
        if text is not None:
            encode_literal(schema, path, text)
    return dict(record)


def _clause(clause: Clause) -> dict[str, Any]:
    shown: dict[str, Any] = {"clause": clause.clause, "outcome": clause.outcome.value, "text": clause.text}
    if clause.path is not None:
        shown["path"] = clause.path
    if clause.parts:
        shown["parts"] = [_clause(part) for part in clause.parts]
    return shown


def _counterexample(example: Counterexample) -> dict[str, Any]:
    return {
        "only": example.only.value,
        "clause": example.clause,
        "record": dict(example.record),
        "instant": example.instant.isoformat(),
        "dossier": example.dossier,
        "consent": example.consent,
        "released": [{"path": path, "as": str(grain)} for path, grain in example.released],
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    transforms = sorted(transform.value for transform in candidate.transforms)
    return {
        "agreement": candidate.agreement,
        "agency": candidate.agency,
        "purpose": candidate.purpose,
        "transforms": transforms,
    }
