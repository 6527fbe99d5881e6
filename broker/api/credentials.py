"""Credentials over HTTP: an organisation keeps its own, the operator all; a secret is shown once, in the answer that made it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import AGENCY, OPERATOR, SOURCE_OWNER, Caller, Principal
from broker.api.credential_scope import remove_planted, scope_of
from broker.api.services import Broker, Services
from broker.api.uses import Uses
from broker.control.client_authority import MOST_CHARACTERS
from broker.control.credentials import Issued
from broker.errors import Forbidden, Invalid, NotFound
from broker.model import roles
from broker.model.credentials import Credential
from broker.policy.forms import Instant
from broker.telemetry import Event, log

routes = APIRouter(tags=["credentials"])

_OWN = "/v1/organisations/{organisation}/credentials"
_ONE = f"{_OWN}/{{credential}}"
USUAL_DAYS = 365
"""How long a credential lasts where nobody says otherwise."""

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

OrganisationId = Annotated[str, Path(max_length=80, description="Slug of the organisation.")]
CredentialId = Annotated[
    str, Path(max_length=40, description="Id of the credential: what stands between `dn_` and `_`.")
]
Lasting = Annotated[int, Field(ge=1, le=730, description="Days after which it expires by itself.")]
Csr = Annotated[
    str,
    Field(
        max_length=MOST_CHARACTERS,
        description="PKCS#10 request in PEM: the credential is a client certificate for its key, instead of a token. "
        "Only the key counts; the name is ours.",
    ),
]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _IssueForm(_Form):
    roles: Annotated[list[str], Field(min_length=1, max_length=10)] | None = None
    csr: Csr | None = None
    valid_days: Annotated[Lasting, Field(alias="validDays")] = USUAL_DAYS


class _RotateForm(_Form):
    overlap_hours: Annotated[float, Field(alias="overlapHours", ge=0, le=168)] = 24
    csr: Csr | None = None
    valid_days: Annotated[Lasting, Field(alias="validDays")] = USUAL_DAYS


class _CompromisedForm(_Form):
    last_known_good: Annotated[Instant, Field(alias="lastKnownGood")]


@routes.get("/v1/credentials")
async def list_all_credentials(broker: Broker, caller: Caller, request: Request) -> dict[str, Any]:
    """Credentials of the caller's organisation; of all of them for the operator."""
    return _listed(request, broker, None if caller.is_operator else caller.organisation)


@routes.get(_OWN)
async def list_credentials(
    organisation: OrganisationId, broker: Broker, caller: Caller, request: Request
) -> dict[str, Any]:
    """Credentials of one organisation, expired and revoked ones included, never their secrets."""
    _administers(broker, caller, organisation)
    return _listed(request, broker, organisation)


@routes.post(_OWN, status_code=201)
async def issue_credential(
    organisation: OrganisationId,
    broker: Broker,
    caller: Caller,
    response: Response,
    form: Annotated[_IssueForm | None, Body()] = None,
) -> dict[str, Any]:
    """A token for HTTP, and a Kafka user for an agency or a processor; roles are the caller's or fewer, the operator names them.

    With `csr` one client certificate opens both.
    """
    _administers(broker, caller, organisation)
    require_one_of_ours(caller)
    asked = form or _IssueForm()
    held = _roles(caller, organisation, asked.roles)
    issued = await broker.credentials.issue(
        organisation,
        held,
        by=caller.organisation,
        kafka=not {AGENCY, roles.PROCESSOR}.isdisjoint(held),
        lasting=timedelta(days=asked.valid_days),
        shown=caller.credential,
        csr=asked.csr,
    )
    return shown_once(response, issued)


@routes.post(f"{_ONE}/rotate", status_code=201)
async def rotate_credential(
    organisation: OrganisationId,
    credential: CredentialId,
    broker: Broker,
    caller: Caller,
    response: Response,
    form: Annotated[_RotateForm | None, Body()] = None,
) -> dict[str, Any]:
    """One that replaces it; the old one works beside it until `replacedUntil`, then it is refused by itself."""
    held = await _held(broker, caller, organisation, credential)
    require_one_of_ours(caller)
    if not caller.is_operator and not caller.roles.issuperset(held.roles):
        raise Forbidden("this credential has a role that yours has not: rotate it with one that has")
    asked = form or _RotateForm()
    issued = await broker.credentials.rotate(
        credential,
        by=caller.organisation,
        overlap=timedelta(hours=asked.overlap_hours),
        lasting=timedelta(days=asked.valid_days),
        shown=caller.credential,
        csr=asked.csr,
    )
    return shown_once(response, issued) | {"replaces": credential}


@routes.delete(_ONE)
async def revoke_credential(
    organisation: OrganisationId, credential: CredentialId, broker: Broker, caller: Caller, request: Request
) -> dict[str, Any]:
    """Refuse it from now on, on HTTP and on Kafka."""
    await _held(broker, caller, organisation, credential)
    await broker.credentials.revoke(credential, by=caller.organisation)
    return _shown(broker.control.state.revoked_credentials[credential], request.app.state.uses)


@routes.post(f"{_ONE}/compromised")
async def report_compromised(
    organisation: OrganisationId,
    credential: CredentialId,
    form: Annotated[_CompromisedForm, Body()],
    broker: Broker,
    caller: Caller,
    request: Request,
) -> dict[str, Any]:
    """Revoke it, with all that was issued with it since its last known good use, and tell what could have been read.

    Webhooks and drops that were set since are removed: they would go on without the credential. Issues nothing; asked again, it
    tells the same anew.
    """
    await _held(broker, caller, organisation, credential, revoked=True)
    stated = form.last_known_good
    if stated > datetime.now(UTC) or stated < _LONG_AGO:
        raise Invalid("lastKnownGood: must lie in the past, and after 2000")
    since = stated.astimezone(UTC)
    fallen = await broker.credentials.compromised(credential, since, by=caller.organisation)
    log(Event.CREDENTIAL_COMPROMISED, organisation=organisation, records=len(fallen))
    removed = await remove_planted(broker, fallen, since)
    uses: Uses = request.app.state.uses
    return {
        "id": credential,
        "organisation": organisation,
        "lastKnownGood": since.isoformat(),
        "revoked": [_shown(each, uses) for each in fallen],
        "scope": await scope_of(broker, uses, fallen, since) | removed,
    }


def _administers(broker: Services, caller: Principal, organisation: str) -> None:
    """Raise `NotFound` alike for another's organisation and an unknown one, `Forbidden` for roles that only read."""
    if caller.is_operator:
        if organisation not in broker.control.state.organisations:
            raise NotFound("no such organisation, or not yours")
        return
    if caller.organisation != organisation:
        raise NotFound("no such organisation, or not yours")
    caller.require(AGENCY, SOURCE_OWNER)


async def _held(
    broker: Services, caller: Principal, organisation: str, credential: str, *, revoked: bool = False
) -> Credential:
    """A credential of this organisation; raises `NotFound` for another's."""
    _administers(broker, caller, organisation)
    await broker.control.read_to_head()
    state = broker.control.state
    held = state.credential(credential) if revoked else state.credentials.get(credential)
    if held is None or held.organisation != organisation:
        raise NotFound("no such credential of this organisation")
    return held


def require_one_of_ours(caller: Principal) -> None:
    """A credential outlives an access token, and the binding of its client: it is not had on one."""
    if caller.credential is None and not caller.is_operator:
        raise Forbidden("an access token gets no credential: show one of the broker's own, or ask the operator")


def _roles(caller: Principal, organisation: str, asked: list[str] | None) -> tuple[str, ...]:
    if asked is None and caller.is_operator:
        raise Invalid("roles: name those of the organisation, such as agency")
    held = roles.held(caller.roles if asked is None else asked)
    if caller.is_operator:
        if OPERATOR in held and organisation != caller.organisation:
            raise Forbidden("only the operator's own organisation operates")
    elif not caller.roles.issuperset(held):
        raise Forbidden(f"a credential gives no more than yours: {', '.join(sorted(caller.roles))}")
    return held


def _listed(request: Request, broker: Services, organisation: str | None) -> dict[str, Any]:
    state, uses = broker.control.state, request.app.state.uses
    held = [*state.credentials.values(), *state.revoked_credentials.values()]
    own = (each for each in held if organisation in {None, each.organisation})
    items = sorted(own, key=lambda each: (each.organisation, _iso(each.issued) or "", each.id))
    known = uses.since.isoformat()
    return {"items": [_shown(each, uses) for each in items], "next": None, "lastUsedKnownSince": known}


def _shown(held: Credential, uses: Uses) -> dict[str, Any]:
    """A credential as its organisation sees it: when it was last used to the day, and here only since this process began."""
    day = uses.last_day(held.id)
    return {
        "id": held.id,
        "organisation": held.organisation,
        "roles": list(held.roles),
        "kafkaUser": held.kafka_user,
        "thumbprint": held.thumbprint,
        "writes": held.writes,
        "created": _iso(held.issued),
        "createdBy": held.issued_by,
        "createdWith": held.issued_with,
        "replaces": held.replaces,
        "expires": _iso(held.expires),
        "revoked": _iso(held.revoked),
        "lastUsed": day and day.isoformat(),
    }


def shown_once(response: Response, issued: Issued) -> dict[str, Any]:
    """What was issued, with its secrets, in an answer that nobody may keep; there is no token where it is for Kafka only."""
    response.headers["Cache-Control"] = "no-store"
    kafka = {"username": issued.kafka_username} if issued.kafka_username else None
    if issued.certificate is None:
        secrets = {"token": issued.token or None, "kafka": kafka and {**kafka, "password": issued.kafka_password}}
    else:
        secrets = {"certificate": issued.certificate, "kafka": kafka}
    return {
        "id": issued.id,
        "organisation": issued.organisation,
        "roles": list(issued.roles),
        **secrets,
        "expires": _iso(issued.expires),
        "replacedUntil": _iso(issued.replaced_until),
    }


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
