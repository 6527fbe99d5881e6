"""The only place that makes topic names, transactional ids and consumer groups; every part is checked, never escaped."""

import re

from broker.errors import Invalid

CONTROL_LOG = "control.log"
LANES = "lanes"
RECEIPTS = "receipts"
DOSSIERS = "subjects.dossiers"
CURSORS = "cursors."
"""What the names of all adapters' state topics begin with."""
INTAKE = "intake.keys"
INTAKE_SLOTS = 8
"""Partitions of `INTAKE`: so many pushes with an idempotency key are written at one time."""

_SLUG = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_PRODUCT = re.compile(r"[a-z][a-z0-9]*\.v[1-9][0-9]{0,3}")
_LONGEST_SLUG = 80  # three parts and their dots stay below Kafka's 249 characters


def slug(text: str, what: str = "identifier") -> str:
    """Return `text` if it is a lower-case slug of at most 80 characters; raise `Invalid` otherwise."""
    if len(text) > _LONGEST_SLUG or not _SLUG.fullmatch(text):
        raise Invalid(
            f"{what} must be a lower-case slug (a-z, 0-9, single hyphens), at most {_LONGEST_SLUG} characters"
        )
    return text


def product_id(text: str) -> str:
    """Return `text` if it names a versioned product such as `persoon.v1`; raise `Invalid` otherwise."""
    if len(text) > _LONGEST_SLUG or not _PRODUCT.fullmatch(text):
        raise Invalid("product must look like `persoon.v1`")
    return text


def source(organisation: str, product: str) -> str:
    """Topic that the source `organisation` publishes `product` on."""
    return f"source.{slug(organisation, 'organisation')}.{product_id(product)}"


def raw(organisation: str, name: str) -> str:
    """Topic that the programs of `organisation` write to as their system states it, before any mapping.

    `name` is a slug like every other. A table's name is not derived from it: whoever routes to the topic states both.
    """
    return f"raw.{slug(organisation, 'organisation')}.{slug(name, 'raw name')}"


def delivery(agency: str, agreement: str) -> str:
    """Topic that holds what one agreement releases."""
    return f"delivery.{slug(agency, 'agency')}.{slug(agreement, 'agreement')}"


def quarantine(organisation: str, product: str) -> str:
    """Topic that holds coordinates and reasons of records that could not be routed."""
    return f"quarantine.{slug(organisation, 'organisation')}.{product_id(product)}"


def seals(organisation: str, product: str) -> str:
    """Topic of the source's seals on what adapters publish as `product`."""
    return f"seals.{slug(organisation, 'organisation')}.{product_id(product)}"


def webhook_group(agreement: str) -> str:
    """Consumer group under which the position of an agreement's webhook is committed."""
    return f"webhook.{slug(agreement, 'agreement')}"


def drop_group(agreement: str) -> str:
    """Consumer group under which the position of an agreement's drop is committed."""
    return f"drop.{slug(agreement, 'agreement')}"


def cursors(adapter: str) -> str:
    """Compacted topic in which an adapter's runner keeps its cursor and content hashes (design R9)."""
    return f"{CURSORS}{slug(adapter, 'adapter')}"


def lane_transactional_id(lane: int) -> str:
    """Transactional id of one lane: one id, one owner (design R1)."""
    return f"lane-{lane}"


def adapter_transactional_id(adapter: str) -> str:
    """Transactional id of an adapter's runner: one id, one owner (design R9)."""
    return f"adapter-{slug(adapter, 'adapter')}"


def intake_transactional_id(slot: int) -> str:
    """Transactional id of a slot of pushes: one id, one owner, whichever process needs it now."""
    return f"intake-{slot}"


ROUTER_GROUP = "router"
"""Group under which the lanes' offsets on source topics are committed."""

LANE_GROUP = "router-lanes"
"""Group whose coordinator assigns lanes; it carries no offsets of data."""

WEBHOOK_GROUP = "webhooks"
"""Group whose coordinator shares subscriptions out among webhook workers, over the partitions of `LANES`."""

DROP_GROUP = "drops"
"""Likewise drops among theirs."""
