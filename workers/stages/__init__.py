"""What a worker does for one order: detect, redact, compose."""
