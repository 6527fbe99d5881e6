"""Every refusal and failure as problem+json (RFC 9457), from one table over the error tree.

A problem says what the caller must do and never holds a value of a record, nor of the request. `type` follows the Belgian
REST guide (Belgif): `urn:problem-type:<project>:<name>`; `code` is the error's stable code.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker import errors

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[type[errors.BrokerError], HTTPStatus] = {
    errors.BrokerError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.Stale: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Retriable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Refused: HTTPStatus.BAD_REQUEST,
    errors.SchemaRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.AgreementRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Outdated: HTTPStatus.PRECONDITION_FAILED,
    errors.PositionExpired: HTTPStatus.GONE,
}
"""Status of each error; a class that is not listed has that of its nearest base."""

CHALLENGE = 'Bearer realm="datanuts", Basic realm="datanuts", charset="UTF-8"'
"""What a 401 asks for (RFC 9110 §11.6.1): the bearer token, or organisation and token for stock registry clients."""

_RETRY_AFTER_S = 1
_MOST_FINDINGS = 50


def status_of(error: errors.BrokerError) -> HTTPStatus:
    """HTTP status of an error: its own or its nearest base's."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(error: errors.BrokerError) -> dict[str, Any]:
    """The problem object of an error; a failure of ours shows its code only, its text is for the operator's log."""
    status = status_of(error)
    body: dict[str, Any] = _object(status, error.code)
    if status is not HTTPStatus.INTERNAL_SERVER_ERROR:
        body["detail"] = str(error)
    if isinstance(error, errors.AgreementRefused):
        body["findings"] = [{"code": code, "path": path, "text": text} for code, path, text in error.findings]
    if isinstance(error, errors.SchemaRefused):
        body["findings"] = [{"code": error.rule, "path": error.path, "text": str(error)}]
    return body


def respond(error: errors.BrokerError) -> JSONResponse:
    """The response to a request that failed with `error`."""
    status = status_of(error)
    headers = {"Cache-Control": "no-store"}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = CHALLENGE
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        headers["Retry-After"] = str(ceil(error.after_s if isinstance(error, errors.Retriable) else _RETRY_AFTER_S))
    return JSONResponse(problem(error), status, headers, MEDIA_TYPE)


class LastResort:
    """ASGI middleware: an exception that nobody expected becomes a bare 500; `report` gets it for the operator."""

    def __init__(self, app: ASGIApp, report: Callable[[Exception], None]) -> None:
        self._app = app
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; once an answer has begun, a failure can only cut it short."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - the boundary of the process: nothing above us handles it
            self._report(error)
            if not begun:
                await respond(errors.BrokerError())(scope, receive, send)


def install(app: FastAPI) -> None:
    """Make every failure of `app` a problem, the framework's own included."""

    @app.exception_handler(errors.BrokerError)
    async def refused(_request: Request, error: errors.BrokerError) -> JSONResponse:
        return respond(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        # Places and rules only: the framework's default repeats the input, which may name a subject.
        findings = [
            {"code": "INVALID", "path": _place(line), "text": _rule(line)} for line in error.errors()[:_MOST_FINDINGS]
        ]
        body = _object(HTTPStatus.BAD_REQUEST, "INVALID") | {
            "detail": "the request is malformed: see findings",
            "findings": findings,
        }
        return JSONResponse(body, HTTPStatus.BAD_REQUEST, media_type=MEDIA_TYPE)

    @app.exception_handler(HTTPException)
    async def unrouted(_request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        return JSONResponse(_object(status, status.name), status, error.headers, MEDIA_TYPE)


def _object(status: HTTPStatus, code: str) -> dict[str, Any]:
    first, *rest = code.lower().split("_")
    name = first + "".join(word.capitalize() for word in rest)
    title = code.replace("_", " ").capitalize()
    return {"type": f"urn:problem-type:datanuts:{name}", "title": title, "status": status.value, "code": code}


def _place(line: Mapping[str, Any]) -> str:
    """Where a rule is broken; the name of a field that we do not know is the caller's text, so it is left out."""
    known = line["loc"][:-1] if line["type"] == "extra_forbidden" else line["loc"]
    return ".".join(map(str, known))


def _rule(line: Mapping[str, Any]) -> str:
    """The broken rule; a parser's own message quotes what it read, so only its kind is told."""
    return "not JSON" if line["type"] == "json_invalid" else str(line["msg"])
