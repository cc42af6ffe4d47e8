"""Pixels in, boxes or pixels out: detectors, redactors and what they need. Knows no queue, store or message."""
