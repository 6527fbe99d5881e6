"""Which articles of a protocol's text differ from those of another text of it, line by line. Pure.

The form is that of `broker.policy.protocol_text`: every article begins with a heading that states its number and title.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ARTICLE = re.compile(r"^## Artikel (\d+)\. (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Clause:
    """An article that reads otherwise: its number and title, and the lines that go and that come."""

    article: int
    title: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def differing(before: str, after: str) -> tuple[Clause, ...]:
    """Articles of two texts that are not the same, by number; one that only one of them has, with all of its lines."""
    return tuple(_differing(_articles(before), _articles(after)))


def _differing(
    old: dict[int, tuple[str, Sequence[str]]], new: dict[int, tuple[str, Sequence[str]]]
) -> Iterator[Clause]:
    for number in sorted({*old, *new}):
        (title, was), (other, now) = old.get(number, ("", ())), new.get(number, ("", ()))
        if (title, was) != (other, now):
            gone = tuple(line for line in was if line not in now)
            yield Clause(number, title or other, gone, tuple(line for line in now if line not in was))


def _articles(text: str) -> dict[int, tuple[str, Sequence[str]]]:
    """Title and lines of each article by number."""
    parts = _ARTICLE.split(text)[1:]
    triples = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return {int(number): (title, tuple(filter(None, body.splitlines()))) for number, title, body in triples}
