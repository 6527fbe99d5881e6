"""What a run of the kit found, as a document: of which package, for which product, with which sample; never a value of it."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from adapters.conformance.catalogue import KIT
from adapters.conformance.kit import Outcome, Verdict
from adapters.sdk import Adapter
from adapters.sources import whole_seconds
from broker.errors import Invalid

FORMAT = "datanuts-conformance/1"
_CACHE = "__pycache__"


@dataclass(frozen=True, slots=True)
class TriedAdapter:
    """The adapter that a report is about, and the product it is about; `package` is `package_digest`."""

    module: str
    name: str
    package: str
    organisation: str
    product: str


def subject_of(module: str, adapter: Adapter, product: str | None, documents: Iterable[Path]) -> TriedAdapter:
    """The subject of a report; raises `Invalid` where the adapter has other products, or several and none is named."""
    if product is None and len(adapter.sources) == 1:
        product = next(iter(adapter.sources))
    if product is None or product not in adapter.sources:
        raise Invalid(f"name one product of the adapter with --product: {', '.join(sorted(adapter.sources))}")
    digest = package_digest(module, documents)
    return TriedAdapter(module, adapter.name, digest, adapter.sources[product], product)


def package_digest(module: str, documents: Iterable[Path] = ()) -> str:
    """`sha256:<hex>` over the package of a module: path and contents of each Python source, sorted; then of `documents`.

    A mapping file is such a document. A module in no package is its one file. What is installed is read, so that any
    other version has another digest. Raises `Invalid` where there is no such module.
    """
    top = module.partition(".")[0]
    try:
        found = import_module(top)
    except ModuleNotFoundError as error:
        raise Invalid(f"no module {error.name}: is it installed, or its folder on PYTHONPATH?") from None
    whole = sha256()
    places = [Path(place) for place in getattr(found, "__path__", ())]
    files = [
        (file.relative_to(place).as_posix(), file)
        for place in places
        for file in place.rglob("*.py")
        if _CACHE not in file.parts
    ]
    if not places and found.__file__ is not None:
        files = [(Path(found.__file__).name, Path(found.__file__))]
    stated = [*sorted(files), *((f"document {number}", file) for number, file in enumerate(documents, 1))]
    for name, file in stated:
        body = file.read_bytes()
        whole.update(b"%d %d " % (len(name.encode()), len(body)) + name.encode() + body)
    return f"sha256:{whole.hexdigest()}"


def mapping_documents(file: Path) -> tuple[Path, ...]:
    """A mapping file, and the Python beside it that its rules may call; tests of it are no part of it."""
    beside = (each for each in file.parent.glob("*.py") if not each.name.startswith("test_"))
    return (file, *sorted(beside))


def report(about: TriedAdapter, verdicts: Mapping[str, Verdict], at: datetime, *, http: bool) -> dict[str, Any]:
    """JSON object of a run that ended at `at`; `verdicts` in the order of the catalogue."""
    return {
        "format": FORMAT,
        "kit": KIT,
        "adapter": about.name,
        "module": about.module,
        "package": about.package,
        "source": about.organisation,
        "product": about.product,
        "http": http,
        "at": whole_seconds(at),
        "versions": {
            "datanutsbedrijf": metadata.version("datanutsbedrijf"),
            "python": ".".join(map(str, sys.version_info[:3])),
        },
        "passed": passed(verdicts),
        "checks": [
            {"code": each.code, "outcome": each.outcome.value, "seen": each.seen, "seconds": each.seconds}
            for each in verdicts.values()
        ],
    }


def passed(verdicts: Mapping[str, Verdict]) -> bool:
    """Whether nothing failed, and nothing was left untried."""
    return not any(each.outcome in {Outcome.BROKEN, Outcome.NOT_TRIED} for each in verdicts.values())


def as_text(document: Mapping[str, Any]) -> str:
    """The report as a file."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
