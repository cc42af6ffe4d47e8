"""Copying packets of the source between encoded ones: what of each codec can be spliced, and how."""
