"""HTTP interface: one thin router per noun over the use-cases; errors are problem+json (RFC 9457)."""
