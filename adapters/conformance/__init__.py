"""Conformance kit: plays a source's bad days to an adapter and reports how it takes them; `pytest --adapter`."""
