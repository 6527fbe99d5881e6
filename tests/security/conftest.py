"""One installation for the whole folder, which admits the published sample personas beside synthetic people."""

from collections.abc import AsyncIterator

import pytest

from adapters import registry
from adapters.sdk import Change
from tests.faults.crowd import Crowd
from tests.stage import ROOT, Stage, installation

SAMPLES = ROOT.parent / "shared" / "data"


async def sample_numbers() -> list[str]:
    """National numbers of the sample personas."""
    items = [item async for item, _ in registry.load("magda", str(SAMPLES / "magda")).changes(None)]
    values = [item.value for item in items if isinstance(item, Change) and item.product == "persoon.v1"]
    return sorted({value["insz"] for value in values if value})


@pytest.fixture(scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """The installation, without routers."""
    root = tmp_path_factory.mktemp("security")
    listed = root / "admitted.txt"
    numbers = await sample_numbers() if SAMPLES.exists() else []
    listed.write_text("".join(f"{number}\n" for number in numbers))
    async with installation(
        root / "data", lanes=4, admitted_subjects=listed, webhook_allow="127.0.0.1", drop_allow="127.0.0.1"
    ) as made:
        yield made


@pytest.fixture(scope="session")
def crowd() -> Crowd:
    """People."""
    return Crowd()
