"""The domain: standard library only, no input or output. Everything else stands on it."""
