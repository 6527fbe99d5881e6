"""Pages of JSON over HTTP, one after another, as a mapping's `source:` describes them."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from adapters import web
from adapters.json_body import answered
from adapters.mapping_values import getter
from adapters.rest_form import BodyLink, HeaderLink, Offset, PageNumber, RestSource, Token
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


@dataclass(slots=True)
class Pages:
    """Asks for the pages at `url`; secrets of files are below `folder`."""

    form: RestSource
    url: str
    folder: Path
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
            answer, document, broken = await answered(ask, self.form.most_depth)
            if answer.status == _NOT_MODIFIED:
                return
            items = [] if broken else _list(getter(self.form.items)(document))
            if items is None or broken:
                yield Page(number, [], answer.headers, broken=broken or "ITEMS_MISSING")
                return
            asked.add(_digest(url))
            following = self._following(answer, document, len(items), number, parameters)
            total = getter(self.form.total)(document) if self.form.total is not None else None
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
        headers = {"accept": "application/json", **unless}
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
                return self._led_to(answer.url, getter(at)(document))
            case HeaderLink():
                return self._led_to(answer.url, answer.next_link)
            case Token(parameter=parameter, at=at):
                token = getter(at)(document)
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


def _list(found: Any) -> list[Any] | None:
    """The items; one object is a list of one."""
    return found if isinstance(found, list) else [found] if isinstance(found, dict) else None


def _digest(url: str) -> bytes:
    return sha256(url.encode()).digest()
