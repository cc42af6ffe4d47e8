"""What a worker does for one order: one module per stage, with the function ``run``."""
