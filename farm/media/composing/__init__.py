"""Segments and all else of the source become one file."""
