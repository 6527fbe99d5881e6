"""Adapters by name: the ones of this package, and any importable module of somebody else's."""

from importlib import import_module

from adapters.sdk import Adapter
from broker.errors import Invalid
from broker.model import topics

NAMES = (
    "basisregisters",
    "bestuurseenheden",
    "example",
    "ipdc",
    "ldes",
    "magda",
    "mandatarissen",
    "synthetic",
)


def load(name: str, source: str) -> Adapter:
    """Adapter `name` over `source`, a path or a URL.

    `name` is one of `NAMES`, or the dotted name of a module with a factory `build(source)`. Raises `Invalid`, and what
    the factory raises for a source it cannot read.
    """
    parts = name.split(".")
    if name not in NAMES and (len(parts) == 1 or not all(part.isidentifier() for part in parts)):
        raise Invalid(f"no adapter {name}: there are {', '.join(NAMES)}, or name a module such as pkg.module")
    module = f"adapters.{name}" if name in NAMES else name
    try:
        build = import_module(module).build
    except ModuleNotFoundError as error:
        raise Invalid(f"no module {error.name}: is it installed, or its folder on PYTHONPATH?") from None
    except AttributeError:
        raise Invalid(f"module {module} has no factory build(source)") from None
    adapter: Adapter = build(source)
    if not adapter.sources:
        raise Invalid(f"adapter {name} declares no product in `sources`")
    for product, organisation in adapter.sources.items():
        topics.source(organisation, product)
    topics.cursors(adapter.name)
    return adapter


def describe(name: str) -> str:
    """First line of an adapter's documentation."""
    return (import_module(f"adapters.{name}").__doc__ or "").partition("\n")[0]
