"""Who may do what: one row per operation of the HTTP interface. A new route needs a row here, and one in docs/identity.md.

`passes` names the callers that are let through; nobody else is. What the others get is in `expected`.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.model import roles
from tests.unit.api.conftest import EGRESS, ROOT, document, state

OWN_AGENCY, OTHER_AGENCY, OWN_SOURCE = "gent-parkeren", "jeugddienst-leuven", "rijksregister"

CALLERS: Mapping[str, tuple[str, str]] = {
    "agency": (OWN_AGENCY, roles.AGENCY),
    "other-agency": (OTHER_AGENCY, roles.AGENCY),
    "source": (OWN_SOURCE, roles.SOURCE_OWNER),
    "other-source": ("kbo", roles.SOURCE_OWNER),
    "operator": ("operator", roles.OPERATOR),
    "dpo": (OWN_AGENCY, roles.DPO),
    "source-dpo": (OWN_SOURCE, roles.DPO),
    "other-dpo": (OTHER_AGENCY, roles.DPO),
    "auditor": (OWN_AGENCY, roles.AUDITOR),
    "source-auditor": (OWN_SOURCE, roles.AUDITOR),
    "other-auditor": (OTHER_AGENCY, roles.AUDITOR),
    "supervisor": ("vtc", roles.SUPERVISOR),
    "processor": ("softwarehuis", roles.PROCESSOR),
    "citizen": (OWN_AGENCY, roles.CITIZEN),
}
"""Organisation and role of each. Own and other: of the agreements `parkeren`, `wachtend` and `onderzoek`, and of the source."""

ANONYMOUS = ("nobody", "stranger")
"""Without a credential, and with one that is not known."""

NONE: frozenset[str] = frozenset()
READERS = frozenset(name for name, (_, role) in CALLERS.items() if role in roles.READING)
ALL = frozenset(CALLERS) - {"citizen"}
AGENCY = frozenset({"agency"})
AGENCIES = frozenset({"agency", "other-agency"})
SOURCE = frozenset({"source"})
SIDES = AGENCY | SOURCE
OPERATOR = frozenset({"operator"})
SEE = SIDES | OPERATOR | {"dpo", "source-dpo", "auditor", "source-auditor", "supervisor"}
"""Who knows of the agreement."""


@dataclass(frozen=True)
class Row:
    """One operation, by method and path template of the OpenAPI document, with an example that its `passes` succeed with.

    `otherwise` None: 403 for who `knows` of the thing (usually the agreement), 404 for who does not. `named` are the example's path parameters
    where they are not the usual ones; `public`: without a credential too.
    """

    method: str
    template: str
    passes: frozenset[str]
    otherwise: int | None = None
    body: Any = None
    query: str = ""
    form: str = "application/json"
    named: Mapping[str, str] = field(default_factory=dict)
    public: bool = False
    knows: frozenset[str] = SEE

    @property
    def operation(self) -> str:
        """As the tests call it."""
        return f"{self.method} {self.template}"

    def path(self, **named: str) -> str:
        """Its path, with the example's names but for the given ones."""
        return self.template.format(**{**_NAMED, **self.named, **named}) + self.query


def expected(row: Row, who: str) -> int | None:
    """Status of the refusal; None for who passes.

    Whoever is not known is 401 everywhere and a citizen has no door yet (403). Who may only read is 403 on everything else.
    """
    if row.public or who in row.passes:
        return None
    if who in ANONYMOUS:
        return 401
    if who == "citizen" or (row.method != "GET" and who in READERS):
        return 403
    return row.otherwise or (403 if who in row.knows else 404)


_NAMED = {
    "agreement": "parkeren",
    "organisation": "rijksregister",
    "source": "rijksregister",
    "product": "persoon.v1",
    "purpose": "handhaving",
    "code": "statistiek",
    "trace": "01" * 16,
    "certificate": "kaart",
    "name": "personen",
}
_WAITING, _STUDY = {"agreement": "wachtend"}, {"agreement": "onderzoek"}
_EGRESS = {"subject": "delivery.gent-parkeren.parkeren-value", "version": "1", "identifier": "2"}
_OWN_PRODUCT = {"subject": "source.rijksregister.persoon.v1-value", "version": "1"}
_SCHEMA = {"schema": (ROOT / "schemas" / "persoon.v1.avsc").read_text()}
_SUNSET = {"sunset": "2027-06-30T00:00:00Z", "reason": "Nieuwe versie"}
_FILE = {"subject": "00000000000", "reference": "P-1", "capacity": "schuldeiser"}
_CONSENT = {"subject": "00000000000", "reference": "T-1"}
_CSV = "insz;referentie\n00000000000;P-1\n"
_ADVICE = {"verdict": "favourable", "reference": "DPO-1", "textSha256": "ab" * 32}
_SIGNATURE = {"function": "burgemeester", "mandate": "besluit 1", "textSha256": "ab" * 32}
_NEW = document("nieuw", OWN_AGENCY)
_SAME = {"old": {"agreement": "parkeren"}, "new": {"agreement": "parkeren"}}
_DRAFT = {name: value for name, value in document("parkeren", OWN_AGENCY).items() if name != "conditions"}
_WHAT_IF = {"document": _DRAFT, "since": "2026-11-01T00:00:00Z"}
_CLIENT = {"issuer": "https://idp.example", "client": "gent-toepassing"}
_BINDING = {**_CLIENT, "organisation": OWN_AGENCY, "roles": ["agency"]}
_HOUSE = frozenset({"agency", "dpo", "auditor", "operator"})
_SPARE = {"organisation": OWN_AGENCY, "credential": "m-spare"}
_COMPROMISED = {"lastKnownGood": "2026-11-01T00:00:00Z"}
_TABLE = "id,kind,name,nis,kbo,ovo,from,to,successor\ngemeente-aalst,gemeente,Aalst,41002,,,,,\n"
TEMPLATE = {"template": {}, "authorities": _TABLE}
_MERGER = {**TEMPLATE, "predecessors": ["gemeente-aalst"], "successor": "gemeente-ronse", "on": "2026-11-26"}

_CERTIFICATES = "/v1/adapters/certificates"
_ITS_SIDE = frozenset({"source", "source-dpo", "source-auditor", "operator"})
_REPORT = {
    "format": "datanuts-conformance/1",
    "kit": "1",
    "adapter": "wegen",
    "module": "wegen.adapter",
    "package": f"sha256:{'ab' * 32}",
    "source": OWN_SOURCE,
    "product": "persoon.v1",
    "http": False,
    "at": "2026-11-26T08:00:00Z",
    "versions": {"python": "3.11.7"},
    "passed": True,
    "checks": [{"code": "READS_THE_SAMPLE", "outcome": "passed", "seen": "", "seconds": 0.1}],
}

_A = "/v1/agreements/{agreement}"
_M = "/v1/organisations/{organisation}/mandates/{processor}"
_HELPER = {"organisation": OWN_AGENCY, "processor": "softwarehuis"}
_P = "/v1/products/{source}/{product}"
_R = "/v1/sources/{organisation}/raw"
_C = "/v1/organisations/{organisation}/credentials"
_Q = "/v1/quarantine/{organisation}/{product}"
_QUARANTINED = {"partition": "0", "offset": "7"}

ROWS = (
    Row("GET", "/v1/agreements", ALL),
    Row("POST", "/v1/agreements", AGENCY, 403, _NEW),
    Row("POST", "/v1/agreements/drafts", AGENCY | OPERATOR, 403, _NEW),
    Row("GET", "/v1/agreements/events", ALL),
    Row("GET", _A, SEE),
    Row("GET", f"{_A}/text", SEE),
    Row("GET", f"{_A}/text.pdf", SEE),
    Row("GET", f"{_A}/difference", SEE, query="?from=1&to=1"),
    Row("GET", f"{_A}/odrl", SEE, named=_WAITING),
    Row("POST", f"{_A}/request", AGENCY, named=_WAITING),
    Row("POST", f"{_A}/advice", SIDES | {"dpo", "source-dpo"}, body=_ADVICE, named=_WAITING),
    Row("POST", f"{_A}/signatures", SIDES, body=_SIGNATURE, named=_WAITING),
    Row("POST", f"{_A}/publish", SOURCE, named=_WAITING),
    Row("POST", f"{_A}/withdraw", SIDES, named=_WAITING),
    Row("POST", f"{_A}/approve", SOURCE, named=_WAITING),
    Row("POST", f"{_A}/suspend", SOURCE | OPERATOR),
    Row("POST", f"{_A}/resume", SOURCE),
    Row("POST", f"{_A}/revoke", SOURCE | OPERATOR),
    Row("POST", f"{_A}/end", SIDES),
    Row("POST", f"{_A}/dossiers", AGENCY, body=_FILE),
    Row("GET", f"{_A}/dossiers", AGENCY),
    Row("POST", f"{_A}/dossiers/end", AGENCY, body={"subject": "1", "reference": "P-1"}),
    Row("GET", f"{_A}/dossiers/count", AGENCY),
    Row("POST", f"{_A}/dossiers/bulk", AGENCY, body=_CSV, form="text/csv"),
    Row("POST", f"{_A}/dossiers/end/bulk", AGENCY, body=_CSV, form="text/csv"),
    Row("POST", f"{_A}/consents", AGENCY, body=_CONSENT),
    Row("GET", f"{_A}/consents", AGENCY),
    Row("POST", f"{_A}/consents/withdraw", AGENCY, body=_CONSENT),
    Row("GET", f"{_A}/pseudonyms", SEE, named=_STUDY),
    Row("POST", f"{_A}/pseudonyms/rotate", AGENCY | OPERATOR, named=_STUDY),
    Row("GET", f"{_A}/pseudonyms/map", AGENCY, query="?from=1&to=2", named=_STUDY),
    Row("POST", f"{_A}/replays", AGENCY | OPERATOR),
    Row("GET", f"{_A}/subscription", SEE),
    Row("PUT", f"{_A}/webhook", AGENCY, body={"url": "https://gent.example/"}),
    Row("GET", f"{_A}/webhook", AGENCY),
    Row("DELETE", f"{_A}/webhook", AGENCY),
    Row("POST", f"{_A}/webhook/resume", AGENCY),
    Row("POST", f"{_A}/webhook/rotate", AGENCY),
    Row("POST", f"{_A}/webhook/test", AGENCY),
    Row("PUT", f"{_A}/drop", AGENCY, body={"host": "gent.example", "username": "u", "hostKey": "ssh-ed25519 A"}),
    Row("GET", f"{_A}/drop", AGENCY),
    Row("DELETE", f"{_A}/drop", AGENCY),
    Row("POST", f"{_A}/drop/resume", AGENCY),
    Row("POST", f"{_A}/drop/test", AGENCY),
    Row("GET", "/v1/deliveries/{agreement}", AGENCY, 404),
    Row("GET", "/v1/deliveries/{agreement}/events", AGENCY, 404),
    Row("GET", "/v1/deliveries/{agreement}/file", AGENCY, 404),
    Row("GET", "/v1/ldes/{agreement}", AGENCY, 404),
    Row("GET", "/v1/ldes/{agreement}/pages/{number}", AGENCY, 404, named={"number": "0"}),
    Row("GET", "/v1/ldes/{agreement}/members/{delivery}", AGENCY, 404, named={"delivery": "0" * 32}),
    Row("GET", "/v1/catalogue", ALL),
    Row("GET", "/v1/catalogue/asyncapi", ALL | {"nobody"}),
    Row("GET", "/v1/catalogue/{organisation}/{product}/context", ALL),
    Row("GET", "/v1/catalogue/{organisation}/{product}/shape", ALL),
    Row("GET", "/v1/catalogue/{organisation}/{product}/example", ALL),
    Row("GET", "/v1/products", ALL),
    Row("GET", "/v1/products/{organisation}/{product}", ALL),
    Row("PUT", "/v1/products/{organisation}/{product}", SOURCE | OPERATOR, 403, _SCHEMA),
    Row("POST", "/v1/products/{organisation}/{product}/changes", SOURCE | OPERATOR, 403, _SCHEMA),
    Row("POST", "/v1/products/{organisation}/{product}/halt", SOURCE | OPERATOR, 403),
    Row("POST", "/v1/products/{organisation}/{product}/resume", SOURCE | OPERATOR, 403),
    Row("POST", "/v1/products/{organisation}/{product}/launch", SOURCE, 403),
    Row("POST", "/v1/products/{organisation}/{product}/deprecate", SOURCE, 403, _SUNSET),
    Row("GET", "/v1/products/{organisation}/{product}/succession", ALL),
    Row("POST", "/v1/products/{organisation}/{product}/end", SOURCE, 403),
    Row("GET", "/v1/products/{organisation}/{product}/seal-keys", ALL),
    Row(
        "POST",
        "/v1/announcements",
        SOURCE | OPERATOR,
        403,
        {"reason": "OUTAGE", "text": "Onderhoud", "source": "rijksregister"},
    ),
    Row("GET", "/v1/products/{organisation}/{product}/growth", ALL, query="?since=persoon.v1"),
    Row("GET", _Q, SOURCE | OPERATOR, 403),
    Row("GET", f"{_Q}/{{partition}}/{{offset}}", SOURCE, 403, named=_QUARANTINED),
    Row(
        "POST",
        f"{_Q}/{{partition}}/{{offset}}/open",
        SOURCE,
        403,
        {"why": "Herstel van de bron"},
        named=_QUARANTINED,
    ),
    Row("POST", f"{_Q}/{{partition}}/{{offset}}/retry", SOURCE, 403, named=_QUARANTINED),
    Row("GET", f"{_P}/ceilings", ALL),
    Row("GET", f"{_P}/ceilings/{{purpose}}", ALL),
    Row("PUT", f"{_P}/ceilings/{{purpose}}", SOURCE, 403, {"fields": []}),
    Row("DELETE", f"{_P}/ceilings/{{purpose}}", SOURCE, 403),
    Row("POST", f"{_P}/replacements", SOURCE, 403, {"old": "1", "new": "2"}),
    Row("GET", "/v1/purposes", ALL),
    Row("GET", "/v1/purposes/{code}", ALL),
    Row("PUT", "/v1/purposes", OPERATOR, 403, {"purposes": list(state().purposes)}),
    Row("GET", "/v1/organisations", ALL),
    Row("POST", "/v1/organisations", OPERATOR, 403, {"id": "nieuw", "name": "Nieuw"}),
    Row("GET", "/v1/register-of-processing", ALL),
    Row("GET", "/v1/mandates", ALL),
    Row("PUT", _M, AGENCY, 403, {"reference": "VO-1"}, named=_HELPER),
    Row("DELETE", _M, AGENCY, 403, named=_HELPER),
    Row("GET", _CERTIFICATES, ALL),
    Row("POST", _CERTIFICATES, SOURCE, 403, _REPORT),
    Row("POST", f"{_CERTIFICATES}/{{certificate}}/countersign", OPERATOR, 403),
    Row("DELETE", f"{_CERTIFICATES}/{{certificate}}", SOURCE | OPERATOR, knows=_ITS_SIDE),
    Row("GET", _R, SOURCE | OPERATOR, 403),
    Row("PUT", f"{_R}/{{name}}", SOURCE | OPERATOR, 403),
    Row("POST", f"{_R}/{{name}}/writers", SOURCE | OPERATOR, 403),
    Row("POST", f"{_R}/{{name}}", SOURCE, 403, {"insz": "00000000000"}),
    Row("POST", f"{_R}/{{name}}/bulk", SOURCE, 403, '{"insz": "00000000000"}\n', form="application/x-ndjson"),
    Row("GET", "/v1/credentials", ALL),
    Row("GET", _C, AGENCY | OPERATOR, named=_SPARE, knows=_HOUSE),
    Row("POST", _C, AGENCY | OPERATOR, body={"roles": ["agency"]}, named=_SPARE, knows=_HOUSE),
    Row("POST", f"{_C}/{{credential}}/rotate", AGENCY | OPERATOR, named=_SPARE, knows=_HOUSE),
    Row("DELETE", f"{_C}/{{credential}}", AGENCY | OPERATOR, named=_SPARE, knows=_HOUSE),
    Row("POST", f"{_C}/{{credential}}/compromised", AGENCY | OPERATOR, body=_COMPROMISED, named=_SPARE, knows=_HOUSE),
    Row("GET", "/v1/clients", ALL),
    Row("POST", "/v1/clients", OPERATOR, 403, _BINDING),
    Row("POST", "/v1/clients/unbind", OPERATOR, 403, _CLIENT),
    Row("POST", "/v1/issuer/rotate", OPERATOR, 403),
    Row("POST", "/v1/policy/explain", SIDES, body={"agreement": "parkeren", "record": {}}),
    Row("POST", "/v1/policy/compare", SIDES, body=_SAME),
    Row("POST", "/v1/policy/what-if", SIDES, 403, _WHAT_IF),
    Row("POST", "/v1/policy/redecide", SIDES | OPERATOR | {"dpo", "source-dpo"}, body={"delivery": "02" * 16}),
    Row("POST", "/v1/templates/preview", OPERATOR, 403, TEMPLATE),
    Row("POST", "/v1/templates/onboard", OPERATOR, 403, TEMPLATE),
    Row("POST", "/v1/templates/merge", OPERATOR, 403, _MERGER),
    Row("GET", "/v1/traces/{trace}", OPERATOR | {"supervisor"}, 403),
    Row("GET", "/subjects", ALL),
    Row("GET", "/schemas/types", ALL),
    Row("GET", "/schemas/ids/{identifier}", AGENCY | OPERATOR | {"dpo", "auditor"}, 404, named=_EGRESS),
    Row("GET", "/schemas/ids/{identifier}/versions", AGENCY | OPERATOR | {"dpo", "auditor"}, 404, named=_EGRESS),
    Row("GET", "/subjects/{subject}/versions", AGENCY | OPERATOR | {"dpo", "auditor"}, 404, named=_EGRESS),
    Row("GET", "/subjects/{subject}/versions/{version}", AGENCY | OPERATOR | {"dpo", "auditor"}, 404, named=_EGRESS),
    Row("POST", "/subjects/{subject}", AGENCY | OPERATOR | {"dpo"}, 404, {"schema": EGRESS}, named=_EGRESS),
    Row("POST", "/subjects/{subject}/versions", SOURCE | OPERATOR, 403, _SCHEMA, named=_OWN_PRODUCT),
    Row(
        "POST",
        "/compatibility/subjects/{subject}/versions/{version}",
        ALL - READERS,
        403,
        _SCHEMA,
        named=_OWN_PRODUCT,
    ),
    Row("GET", "/config", ALL),
    Row("GET", "/config/{subject}", ALL, named=_OWN_PRODUCT),
    Row("GET", "/mode", ALL),
    Row("GET", "/livez", ALL, public=True),
    Row("GET", "/readyz", ALL, public=True),
    Row("GET", "/oauth/jwks", ALL, public=True),
    Row("GET", "/.well-known/openid-configuration", ALL, public=True),
    Row("GET", "/protocollen", ALL, public=True),
    Row("GET", "/protocollen/{agreement}", ALL, public=True),
    Row("GET", "/protocollen/{agreement}/tekst", ALL, public=True),
    Row("GET", "/catalogus", ALL, public=True),
    Row("GET", "/catalogus/{organisation}/{product}", ALL, public=True),
)
"""Every operation but `POST /oauth/token`, whose credential is Basic only: `test_oauth.py`."""

ELSEWHERE = frozenset({"POST /oauth/token"})


def as_table() -> str:
    """The rows as docs/identity.md shows them."""
    shown = ("agency", "source-owner", "operator", "dpo", "auditor", "supervisor", "processor")
    lines = [f"| operation | {' | '.join(shown)} |", f"|---|{'---|' * len(shown)}"]
    for row in ROWS:
        cells = ("public",) * len(shown) if row.public else (_cell(row, role) for role in shown)
        lines.append(f"| `{row.operation}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(row: Row, role: str) -> str:
    holders = {who for who, (_, held) in CALLERS.items() if held == role}
    return "yes" if holders <= row.passes else "own" if holders & row.passes else ""


if __name__ == "__main__":
    sys.stdout.write(as_table())
