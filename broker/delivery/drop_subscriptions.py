"""What an agency does with its drop beside what it can with every registration: set it, see the key to admit, try it."""

import asyncio
import re
from dataclasses import dataclass, field, replace

from broker.control import keys
from broker.delivery.drop_courier import OpenServer
from broker.delivery.drop_server import NotTaken
from broker.delivery.push_circuit import Failure
from broker.delivery.push_kinds import DROPS
from broker.delivery.push_subscriptions import MOST_TESTS, Pushes, Start
from broker.errors import Invalid
from broker.model import ssh_keys
from broker.model.drop_book import Destination, Drop
from broker.model.push_book import Change

_USERNAME = re.compile(r"[A-Za-z0-9._@][A-Za-z0-9._@-]{0,63}", re.ASCII)
_DIRECTORY = re.compile(r"[A-Za-z0-9._ /-]{1,400}", re.ASCII)
_TEST = b"A test of the data exchange broker, about nobody. It is removed again at once.\n"


@dataclass(slots=True)
class Drops(Pushes[Drop]):
    """Use-cases of an agreement's agency; errors as in `Pushes`."""

    kind = DROPS

    open_server: OpenServer
    _tests: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_TESTS))

    async def set(
        self, agreement: str, agency: str, to: Destination, *, start: Start = Start.OLDEST
    ) -> tuple[Drop, bool]:
        """Have files put there; with whether the drop is new. Raises `AddressRefused` and `Invalid`.

        A drop that there is keeps its position and whether it is suspended; the next file comes at once.
        """
        stream = await self._open(agreement, agency)
        plain = replace(_checked(to), host=(await self._resolved(self.guard.place(to.host, to.port))).host)
        self.keys.ensure(keys.drop_key(agency))
        book = self.control.state.drops
        known = book.live.get(agreement)
        series = known.series if known else book.next_series(agreement)
        if known is None:
            await self._place(agreement, stream.topic, start, series)
        data = {"agency": agency, "series": series} | plain.as_data()
        await self._append(Change.SET, agreement, data, agency)
        return self._live(agreement), known is None

    def public_key(self, drop: Drop) -> str:
        """The line for `authorized_keys` of the drop's user: the broker logs in with this key for this agency only."""
        return ssh_keys.public_line(self.keys.get(keys.drop_key(drop.agency)), f"datanuts-{drop.agency}")

    async def test(self, agreement: str, agency: str) -> Failure | None:
        """Write, rename and remove a file about nobody; why that failed, if it did. Whether it is suspended does not matter."""
        known = await self._known(agreement, agency)
        name = f"{agreement}.test-{self.new_id()}"
        async with self._tests:
            try:
                async with self.open_server(known.to, self.keys.get(keys.drop_key(agency))) as server:
                    async with server.writing(f"{name}.part") as file:
                        await file.write(_TEST)
                        await file.finish()
                        await server.publish(f"{name}.part", name)
                    await server.remove(name)
            except NotTaken as refused:
                return refused.failure
        return None


def _checked(to: Destination) -> Destination:
    """The destination in its plain spelling; raises `Invalid` saying which part is none."""
    if not _USERNAME.fullmatch(to.username):
        raise Invalid("username: at most 64 of letters, digits and . _ @ -; a function's account, never a person's")
    if not _DIRECTORY.fullmatch(to.directory) or ".." in to.directory.split("/"):
        raise Invalid("directory: a path of letters, digits, blanks and . _ - /, without `..`")
    return replace(to, host_key=ssh_keys.host_key(to.host_key))
