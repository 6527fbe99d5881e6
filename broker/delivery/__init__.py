"""Exits of a delivery stream: the same decision and the same values, whichever way an agency fetches them."""
