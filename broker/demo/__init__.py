"""The demo: a synthetic Flanders over a real broker, its live view, and one fictional person's story in Dutch."""
