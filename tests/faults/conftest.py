"""One installation of four lanes for the whole folder; every test watches agreements of its own and people of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.faults.crowd import PRODUCT, SOURCE, Crowd
from tests.faults.oracle import Oracle
from tests.stage import Stage, installation


@pytest.fixture(scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The installation, without routers."""
    async with installation(tmp_path_factory.mktemp("faults"), lanes=4, webhook_allow="127.0.0.1") as made:
        yield made


@pytest.fixture(scope="session")
def crowd() -> Crowd:
    """People."""
    return Crowd()


@pytest.fixture(scope="session")
async def agreements(stage: Stage) -> tuple[str, ...]:
    """Two municipalities between which people move, and a pseudonymous stream over everyone."""
    names = ("inwoners-gent", "inwoners-leuven", "statistiek-vlaanderen")
    return tuple([await stage.agreement(name) for name in names])


@pytest.fixture
async def oracle(stage: Stage, agreements: tuple[str, ...]) -> Oracle:
    """Watches from the start of the test."""
    return await Oracle.watching(stage, SOURCE, PRODUCT, *agreements)
