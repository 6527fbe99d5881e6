"""Composes what an installation checks and issues access tokens with, from its settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from broker.api.identity.door import Tokens
from broker.api.identity.issuers import Issuer, issuers
from broker.api.identity.key_sets import PublishedKeys, over_http
from broker.cli.documents import read_text
from broker.cli.site import Site
from broker.control.clients import Clients
from broker.control.local_issuer import LocalIssuer
from broker.errors import ConfigError, Invalid
from broker.settings import Settings, variable


@dataclass(frozen=True, slots=True)
class Identities:
    """Clients of trusted issuers, the check of tokens, and our own issuer."""

    clients: Clients
    tokens: Tokens
    issuer: LocalIssuer


@asynccontextmanager
async def identities(here: Site) -> AsyncIterator[Identities]:
    """What the settings say; raises `ConfigError` where the file of issuers cannot be used."""
    trusted = trusted_issuers(here.settings)
    # `trust_env`: a proxy of the environment must not stand between an issuer and us.
    async with httpx.AsyncClient(trust_env=False) as http:
        fetch, own = over_http(http), LocalIssuer(here.control, here.keys)
        outside = [(each, PublishedKeys(each.name, each.url, each.algorithm, fetch)) for each in trusted]
        urls = frozenset(each.url for each in trusted)
        yield Identities(Clients(here.control, urls), Tokens(outside, own), own)


def trusted_issuers(settings: Settings) -> tuple[Issuer, ...]:
    """Issuers of the file that the settings name; raises `ConfigError`."""
    if settings.issuers is None:
        return ()
    try:
        return issuers(read_text(settings.issuers))
    except Invalid as error:
        raise ConfigError(f"{variable('issuers')}: {error}") from None
