"""Masks in files of other programs: written, and read again."""
