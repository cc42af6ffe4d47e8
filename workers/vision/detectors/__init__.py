"""Detectors: a protocol, a registry, and a module for each model."""
