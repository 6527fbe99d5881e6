"""What an installation calls outside of itself: one guard and one set of trusted certificates for all of it."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.delivery.egress_guard import AllowList, EgressGuard, SystemResolver
from broker.delivery.webhook_calls import Limits, Receiver
from broker.settings import Settings


@dataclass(frozen=True, slots=True)
class Outside:
    """Makes receivers."""

    guard: EgressGuard
    trust: ssl.SSLContext
    limits: Limits

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
        yield Outside(guard, ssl.create_default_context(), Limits(total, min(5.0, total), min(10.0, total)))
    finally:
        resolver.close()
