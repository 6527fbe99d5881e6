"""The native core: what the router does for a whole batch at once, in Zig, each part with its twin in Python."""
