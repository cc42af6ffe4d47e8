"""What a source is, where its frames lie in time, and how they are decoded."""
