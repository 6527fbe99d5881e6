"""The error behind a broker's refusal (problem+json, RFC 9457): the same class of the tree on both sides of the wire."""

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import ceil
from typing import Any

import httpx

from broker import errors

_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_BY_STATUS: Mapping[int, type[errors.BrokerError]] = {
    HTTPStatus.UNAUTHORIZED: errors.Unauthenticated,
    HTTPStatus.FORBIDDEN: errors.Forbidden,
    HTTPStatus.NOT_FOUND: errors.NotFound,
    HTTPStatus.GONE: errors.PositionExpired,
}


def raised(problem: Mapping[str, Any], status: int) -> errors.BrokerError:
    """The error that a problem object tells of; `BrokerError` where it names none of ours."""
    detail = str(problem.get("detail") or problem.get("title") or f"the broker answered {status}")
    findings = [(str(line["code"]), str(line["path"]), str(line["text"])) for line in problem.get("findings", ())]
    kind = _BY_CODE.get(str(problem.get("code")), errors.BrokerError)
    if issubclass(kind, errors.AgreementRefused):
        return kind(tuple(findings))
    if issubclass(kind, errors.SchemaRefused) or issubclass(kind, errors.PoisonRecord | errors.Skip):
        return errors.Invalid(detail)
    return kind("; ".join([detail, *(f"{path}: {text}" for _, path, text in findings)]))


def refusal(response: httpx.Response) -> errors.BrokerError:
    """The error of an answer that is no success: `Retriable` exactly where the same request may succeed later."""
    error = raised(problem_of(response), response.status_code)
    if response.is_server_error or response.status_code in _AGAIN:
        again = error if isinstance(error, errors.Retriable) else errors.BrokerUnavailable(str(error))
        again.after_s = ceil(_asked_s(response))
        return again
    if isinstance(error, errors.Refused):
        return error
    # A proxy's or a registry's own words: the status is all that is understood.
    return _BY_STATUS.get(response.status_code, errors.Refused)(str(error))


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem object of an answer, empty where it holds none."""
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def _asked_s(response: httpx.Response) -> float:
    """Seconds of Retry-After (RFC 9110 §10.2.3); a date counts from the answer's own, so that no clock matters."""
    asked = response.headers.get("retry-after", "")
    if asked.isdecimal() and asked.isascii():
        return float(asked[:9])
    try:
        until, now = (parsedate_to_datetime(text) for text in (asked, response.headers.get("date", "")))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _tree(kind: type[errors.BrokerError]) -> Iterator[type[errors.BrokerError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


_BY_CODE = {kind.code: kind for kind in _tree(errors.BrokerError)}
