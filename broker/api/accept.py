"""Which of the offered media types an Accept header asks for (RFC 9110 §12.5.1)."""

from collections.abc import Sequence

from broker.errors import NotAcceptable

_LONGEST = 1000


def negotiated(accept: str | None, offered: Sequence[str]) -> str:
    """The offered type that the caller prefers; the first one where it has no preference.

    A more specific range goes before a wildcard; parameters other than `q` are ignored. Raises `NotAcceptable`, with the
    offered types, where none will do.
    """
    if not accept or not accept.strip():
        return offered[0]
    ranges = dict(_ranges(accept[:_LONGEST]))
    rated = [(_quality(kind, ranges), -place, kind) for place, kind in enumerate(offered)]
    quality, _, kind = max(rated)
    if quality <= 0:
        raise NotAcceptable(f"this is offered as {', '.join(offered)}")
    return kind


def _ranges(accept: str) -> list[tuple[str, float]]:
    found = []
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        stated = next((given[2:] for given in parameters if given.startswith("q=")), "1")
        try:
            quality = float(stated)
        except ValueError:
            quality = 0.0
        found.append((kind, quality if 0 <= quality <= 1 else 0.0))
    return found


def _quality(kind: str, ranges: dict[str, float]) -> float:
    family = f"{kind.partition('/')[0]}/*"
    return next((ranges[known] for known in (kind, family, "*/*") if known in ranges), 0.0)
