"""Agreements as code: documents to values, static check, the specification and its compiled engine. Pure: no clock, no I/O."""
