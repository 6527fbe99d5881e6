"""The kit as a pytest plugin: `pytest --adapter mypkg.mymodule:build --source sample.csv --report report.json`.

Without `--adapter` or `--mapping` it does nothing, and loads nothing: every run of pytest beside this package has it.
"""

from importlib import import_module

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the kit."""
    group = parser.getgroup("conformance", "conformance kit for adapters (docs/conformance.md)")
    group.addoption(
        "--adapter", metavar="MODULE[:FACTORY]", help="the adapter to try; the factory is `build` by default"
    )
    group.addoption("--mapping", metavar="FILE", help="the mapping file to try, instead of --adapter")
    group.addoption("--source", metavar="PATH", help="a good sample of some twenty records: a file or a folder")
    group.addoption(
        "--http", action="store_true", help="serve the sample on loopback, and give the adapter its address"
    )
    group.addoption("--product", metavar="PRODUCT", help="what the report is about, where the adapter has several")
    group.addoption("--report", metavar="FILE", help="where to write the report (JSON)")
    group.addoption("--schemas", metavar="FOLDER", help="schemas of products; default: those of this package")


def pytest_configure(config: pytest.Config) -> None:
    """Take the kit in, where it is asked for."""
    if config.getoption("--adapter") or config.getoption("--mapping"):
        run = import_module("adapters.conformance.run")
        config.pluginmanager.register(run.asked(config), "datanuts-conformance-run")
