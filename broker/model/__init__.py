"""Pure values of the domain: no I/O, no clock, no randomness. Everyone may import it; it imports only `broker.errors`."""
