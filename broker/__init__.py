"""The inter-government data-exchange broker; docs/design lies in the rooms' own docstrings, their order in pyproject.toml."""
