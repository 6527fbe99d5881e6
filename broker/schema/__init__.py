"""Schemas of products, the guard over untrusted bytes, and the projections that cut them; a pure room."""
