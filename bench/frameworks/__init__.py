"""Peers written in frameworks of Python; each runs in a virtual environment of its own and imports nothing of ours."""
