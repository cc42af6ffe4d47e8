"""Blur Farm: the coordinator's side and the domain that it shares with the workers."""

__version__ = "0.1.0"
