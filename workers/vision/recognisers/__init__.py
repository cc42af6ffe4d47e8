"""What tells people apart: pictures of faces in, vectors out."""
