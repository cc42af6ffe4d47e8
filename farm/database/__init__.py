"""The only truth: SQLite by default, PostgreSQL by changing one URL."""
