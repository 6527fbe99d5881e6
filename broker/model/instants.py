"""Instants as facts state them."""

from datetime import datetime


def stated_instant(text: str) -> datetime:
    """The instant of an ISO 8601 text with its zone; raises `ValueError` or `TypeError` for anything else."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant without its zone")
    return at


def optional_instant(text: str | None) -> datetime | None:
    """As `stated_instant`; None where nothing is stated."""
    return None if text is None else stated_instant(text)
