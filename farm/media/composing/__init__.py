"""Joins segments and the source's other streams into one file."""
