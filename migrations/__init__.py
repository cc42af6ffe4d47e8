"""Alembic migrations of the farm's database. ``farm`` applies them by itself."""
