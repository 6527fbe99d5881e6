"""The command line's way to the broker: its HTTP interface, with one organisation's credential."""

import argparse
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from broker import errors
from broker.cli import datadir
from broker.cli.datadir import DataDir
from broker.client.certificate import Certificate, tls_refusal
from broker.client.problems import problem_of, raised

OPERATOR = "operator"
"""Organisation under which the broker's own operator acts on a local stack."""

_TIMEOUT_S = 60.0  # a delivery pull may wait 30 s, a revocation fences lanes


def add_options(parser: argparse.ArgumentParser, *, acting: str | None = OPERATOR, certificate: bool = False) -> None:
    """Declare `--data-dir`, `--as` (required where `acting` is None) and `--json`.

    With `certificate` there are `--cert`, in place of `--as`, `--key` and `--ca`.
    """
    datadir.add_option(parser)
    shown = "whose credential to use" + (f"; default: {acting}" if acting else "")
    who: Any = parser
    required = acting is None
    if certificate:
        who, required = parser.add_mutually_exclusive_group(required=required), False
        who.add_argument("--cert", type=Path, metavar="FILE", help="a client certificate (PEM), over HTTPS")
        parser.add_argument("--key", type=Path, metavar="FILE", help="its private key (PEM, without password)")
        parser.add_argument("--ca", type=Path, metavar="FILE", help="who vouches for the broker; default: its own")
    who.add_argument("--as", dest="acting", metavar="ORG", required=required, default=acting, help=shown)
    parser.add_argument("--json", action="store_true", help="one JSON value per line")


def connect(given: argparse.Namespace) -> "Client":
    """Client for the options of `add_options`."""
    home = DataDir(given.data_dir)
    connection = home.connection()
    if getattr(given, "cert", None) is None:
        return Client(connection.api, home.credential_of(given.acting).token)
    if given.key is None or connection.https is None:
        raise errors.Invalid("--cert needs --key, and a broker that listens with TLS")
    shown = Certificate(given.cert, given.key, given.ca or home.ca)
    return Client(connection.https, None, verify=shown.context())


class Client:
    """Speaks to one broker; every problem it answers is raised as the error it came from."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        transport: httpx.BaseTransport | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # `trust_env`: a proxy of the environment must not see tokens meant for this broker.
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=_TIMEOUT_S, transport=transport, verify=verify, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """JSON object at `path`."""
        return self._answer("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None, **query: str) -> dict[str, Any]:
        """JSON object that the broker answers to `body`."""
        return self._answer("POST", path, json=body, params=query or None)

    def put(
        self, path: str, body: Mapping[str, Any], *, if_match: str | None = None, **query: object
    ) -> dict[str, Any]:
        """JSON object that the broker answers to `body`, set over the version `if_match` if one is given."""
        return self._answer("PUT", path, json=body, params=query, headers=_matching(if_match))

    def delete(self, path: str, *, if_match: str | None = None, **query: object) -> dict[str, Any]:
        """JSON object that the broker answers to the removal of what is at `path`."""
        return self._answer("DELETE", path, params=query, headers=_matching(if_match))

    def every(self, path: str) -> Iterator[dict[str, Any]]:
        """All items of a paged list."""
        after: str | None = None
        while True:
            page = self.get(path, after=after)
            yield from page["items"]
            after = page.get("next")
            if after is None:
                return

    def stream(self, path: str, **query: int | str) -> Iterator[bytes]:
        """Bytes at `path`, piece by piece, for what must not be held in memory at once."""
        with self.download(path, **query) as response:
            yield from response.iter_bytes()

    @contextmanager
    def download(self, path: str, **query: int | str) -> Iterator[httpx.Response]:
        """The answer at `path`, to be read in the block; raises `BrokerUnavailable` where it breaks off."""
        try:
            with self._http.stream("GET", path, params=query) as response:
                if not response.is_success:
                    response.read()
                    raise raised(problem_of(response), response.status_code)
                yield response
        except httpx.HTTPError as error:
            raise _silence(error) from error

    def post_file(
        self, path: str, content: bytes, kind: str, *, key: str | None = None, **query: str
    ) -> Sequence[dict[str, Any]]:
        """Objects, one per line, that the broker answers to a file of this media type; `key` is its idempotency key."""
        headers = {"Content-Type": kind} | ({} if key is None else {"Idempotency-Key": key})
        try:
            response = self._http.post(path, content=content, params=query or None, headers=headers)
            if response.is_success:
                return [json.loads(line) for line in response.text.splitlines()]
        except httpx.HTTPError as error:
            raise _silence(error) from error
        except ValueError as error:
            raise errors.BrokerUnavailable("what answers there is not a broker") from error
        refusal, after = raised(problem_of(response), response.status_code), response.headers.get("Retry-After", "")
        if isinstance(refusal, errors.Retriable) and after.isdecimal():
            refusal.after_s = int(after)
        raise refusal

    def lines(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The JSON objects of an answer that comes line by line; a `problem` among them is raised."""
        try:
            with self._http.stream("POST", path, json=body) as response:
                if not response.is_success:
                    response.read()
                    raise raised(problem_of(response), response.status_code)
                for line in filter(None, response.iter_lines()):
                    told = json.loads(line)
                    if "problem" in told:
                        raise raised(told["problem"], told["problem"]["status"])
                    yield told
        except httpx.HTTPError as error:
            raise _silence(error) from error
        except ValueError as error:
            raise errors.BrokerUnavailable("what answers there is not a broker") from error

    def _answer(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **request)
            body: Any = response.json()
        except httpx.HTTPError as error:
            raise _silence(error) from error
        except ValueError as error:
            raise errors.BrokerUnavailable("what answers there is not a broker") from error
        if response.is_success and isinstance(body, dict):
            return body
        raise raised(body if isinstance(body, dict) else {}, response.status_code)


def _silence(error: httpx.HTTPError) -> errors.BrokerError:
    """Why no answer came."""
    return tls_refusal(error) or errors.BrokerUnavailable("the broker does not answer: is it running?")


def _matching(version: str | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"{version}"'}
