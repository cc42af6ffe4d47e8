"""Reading and writing of media files: probe, index, encode, join, compose, verify. No detection, no painting."""
