"""Who calls with an access token: its form, its issuer's keys, its claims, and the organisation behind it (docs/identity.md)."""
