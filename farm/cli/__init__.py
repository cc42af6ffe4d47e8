"""``farm``: the command line."""
