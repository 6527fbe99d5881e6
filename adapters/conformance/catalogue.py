"""All checks of the kit, in the order of the report."""

from adapters.conformance import checks_cursor, checks_damage, checks_http, checks_reading
from adapters.conformance.kit import Check, checks_of

KIT = "1"
"""Version of the kit: moves when a check is added, removed or means something else."""

CHECKS: tuple[Check, ...] = checks_of((*checks_reading.ALL, *checks_cursor.ALL, *checks_damage.ALL, *checks_http.ALL))


def table() -> str:
    """The checks as a table in Markdown: code, what it guarantees, what to do where it fails."""
    lines = ["| check | guarantees | where it fails |", "|---|---|---|"]
    lines += [f"| `{each.code}` | {each.guarantee} | {each.remedy} |" for each in CHECKS]
    return "\n".join(lines) + "\n"
