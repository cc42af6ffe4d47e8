"""Detectors: their protocol, how they are created, and a module for each."""
