"""Measurements: always two contenders in one run on one node, so that the ratio means something."""
