"""Programs that turn the changes of one system into records."""
