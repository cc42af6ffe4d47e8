"""How well faces are covered, measured: ``python -m tests.quality`` writes the tables of docs/quality.md."""
