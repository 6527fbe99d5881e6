"""What an installation calls outside of itself: a guard for webhooks with trusted certificates, and one for drops."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.delivery.drop_server import DropServers
from broker.delivery.egress_guard import AllowList, EgressGuard, SystemResolver
from broker.delivery.webhook_calls import Limits, Receiver
from broker.settings import Settings, variable


@dataclass(frozen=True, slots=True)
class Outside:
    """Makes receivers, and connections to SFTP servers."""

    guard: EgressGuard
    trust: ssl.SSLContext
    limits: Limits
    drop_guard: EgressGuard
    servers: DropServers

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """A receiver of its own, closed with the block."""
        made = Receiver(self.guard, self.trust, self.limits, lambda: datetime.now(UTC))
        try:
            yield made
        finally:
            await made.close()


@contextmanager
def outside(settings: Settings) -> Iterator[Outside]:
    """By these settings; raises `ConfigError` for an allow-list that is none."""
    resolver = SystemResolver()
    try:
        guard = EgressGuard(AllowList.parse(settings.webhook_allow or ""), resolver)
        total = float(settings.webhook_timeout_s)
        limits = Limits(total, min(5.0, total), min(10.0, total))
        drop_guard = EgressGuard(AllowList.parse(settings.drop_allow or "", variable("drop_allow")), resolver)
        servers = DropServers(drop_guard, float(settings.drop_timeout_s))
        yield Outside(guard, ssl.create_default_context(), limits, drop_guard, servers)
    finally:
        resolver.close()
