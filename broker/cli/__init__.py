"""The `datanuts` command: one module per noun; what changes the broker goes through its HTTP interface."""
