"""Redaction styles: a protocol, a registry, a module for each style, and the painting on planes."""
