"""Pages of JSON over HTTP, one after another, as a mapping's `source:` describes them."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import httpx

from adapters import web
from adapters.json_body import answered, parsed
from adapters.mapping_values import Get, getter
from adapters.rest_form import BodyLink, HeaderLink, Offset, PageNumber, Token, WebForm
from adapters.web_auth import Secret, Tokens
from broker.errors import Invalid

_NOT_MODIFIED, _UNAUTHORIZED = 304, 401


@dataclass(frozen=True, slots=True)
class Page:
    """Items of page `number`, counted from 0, with the answer's headers; nothing comes after the `last` one.

    `broken` is why it could not be read, `total` how many items the source says that there are on all pages.
    """

    number: int
    items: list[Any]
    headers: httpx.Headers
    last: bool = True
    broken: str = ""
    total: Any = None


class Body(Protocol):
    """What answers are made of."""

    @property
    def media_type(self) -> str:
        """What is asked for in `Accept`."""

    def parsed(self, body: bytes | None, most_depth: int) -> Any:
        """The document in `body` (None: it was larger than allowed); raises `PoisonRecord`."""

    def one(self, path: str) -> Get:
        """Reads a value of a document."""

    def listed(self, document: Any) -> list[Any] | None:
        """The items of a document; None where it has no list of them."""


@dataclass(frozen=True, slots=True)
class JsonBody:
    """Answers of JSON, with the list at the source path `items`; one object is a list of one."""

    items: str
    media_type: str = "application/json"

    def parsed(self, body: bytes | None, most_depth: int) -> Any:
        """As `json_body.parsed`."""
        return parsed(body, most_depth)

    def one(self, path: str) -> Get:
        """As `mapping_values.getter`."""
        return getter(path)

    def listed(self, document: Any) -> list[Any] | None:
        """The list."""
        found = getter(self.items)(document)
        return found if isinstance(found, list) else [found] if isinstance(found, dict) else None


@dataclass(slots=True)
class Pages:
    """Asks for the pages at `url`; secrets of files are below `folder`."""

    form: WebForm
    url: str
    folder: Path
    body: Body
    _tokens: Tokens | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.form.oauth2 is not None:
            self._tokens = Tokens(self.form.oauth2, self.folder)

    @property
    def numbered(self) -> bool:
        """Whether a page can be asked for without the ones before it."""
        return isinstance(self.form.paging, PageNumber | Offset)

    async def read(
        self, client: httpx.AsyncClient, since: str, first: int, unless: Mapping[str, str]
    ) -> AsyncGenerator[Page, None]:
        """Pages from number `first` on (0 unless `numbered`); none where the list is as in the headers `unless`.

        Raises `Retriable` and `Invalid`.
        """
        parameters = {self.form.since.parameter: since} if self.form.since is not None and since else {}
        url, asked = self._address(parameters | self._numbers(first)), set[bytes]()
        for number in range(first, first + self.form.most_pages):
            ask = partial(self._answer, client, url, unless if number == 0 else {})
            answer, document, broken = await answered(ask, self.form.most_depth, self.body.parsed)
            if answer.status == _NOT_MODIFIED:
                return
            items = [] if broken else self.body.listed(document)
            if items is None or broken:
                yield Page(number, [], answer.headers, broken=broken or "ITEMS_MISSING")
                return
            asked.add(_digest(url))
            following = self._following(answer, document, len(items), number, parameters)
            total = self.body.one(self.form.total)(document) if self.form.total is not None else None
            yield Page(number, items, answer.headers, following is None, total=total)
            if following is None:
                return
            if _digest(following) in asked:
                raise Invalid("the source's pages lead in a circle: ask its owner to mend the link to the next page")
            url = following
        raise Invalid(f"the source has more than {self.form.most_pages} pages: raise `most_pages` if that is meant")

    async def _answer(self, client: httpx.AsyncClient, url: str, unless: Mapping[str, str]) -> web.Answer:
        form = self.form
        accepted = {_NOT_MODIFIED} if unless else set[int]()
        headers = {"accept": self.body.media_type, **unless}
        own = web.origin(url) == web.origin(self.url)
        if own:
            for name, value in form.headers.items():
                headers[name] = value.read(self.folder) if isinstance(value, Secret) else value
        limits = {"most_bytes": form.most_bytes, "timeout_s": form.timeout_s}
        if self._tokens is None or not own:
            return await web.get(client, url, headers=headers, accepted=accepted, **limits)
        headers["authorization"] = await self._tokens.header(client)
        answer = await web.get(client, url, headers=headers, accepted={*accepted, _UNAUTHORIZED}, **limits)
        if answer.status == _UNAUTHORIZED:  # revoked before its time, or not by our clock
            self._tokens.forget()
            headers["authorization"] = await self._tokens.header(client)
            answer = await web.get(client, url, headers=headers, accepted=accepted, **limits)
        return answer

    def _following(
        self, answer: web.Answer, document: Any, items: int, number: int, parameters: Mapping[str, str]
    ) -> str | None:
        """Address of the next page."""
        match self.form.paging:
            case None:
                return None
            case BodyLink(at=at):
                return self._led_to(answer.url, self.body.one(at)(document))
            case HeaderLink():
                return self._led_to(answer.url, answer.next_link)
            case Token(parameter=parameter, at=at):
                token = self.body.one(at)(document)
                if type(token) is int:
                    token = str(token)
                return self._address({**parameters, parameter: token}) if isinstance(token, str) and token else None
            case PageNumber(size=size) | Offset(size=size):
                last = items < size if size is not None else not items
                return None if last else self._address({**parameters, **self._numbers(number + 1)})

    def _led_to(self, here: str, stated: Any) -> str | None:
        if not isinstance(stated, str) or not stated:
            return None
        target = web.same_origin(here, stated, {each for each in map(web.origin, (self.url, *self.form.also)) if each})
        if target is None:
            raise Invalid("the next page is on another host: name it in `also` if you trust it")
        return target

    def _numbers(self, number: int) -> dict[str, str]:
        match self.form.paging:
            case PageNumber(parameter=parameter, first=first, size=size, size_parameter=sized):
                found = {parameter: str(first + number)}
            case Offset(parameter=parameter, size=size, size_parameter=sized):
                found = {parameter: str(number * size)}
            case _:
                return {}
        return found | ({sized: str(size)} if sized is not None and size is not None else {})

    def _address(self, parameters: Mapping[str, str]) -> str:
        return str(httpx.URL(self.url).copy_merge_params(dict(parameters))) if parameters else self.url


def _digest(url: str) -> bytes:
    return sha256(url.encode()).digest()
