"""Redaction styles: their protocol, how they are created, a module for each, and painting on planes."""
