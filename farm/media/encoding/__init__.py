"""Which encoder writes a video, how it is set up, and the segments it writes."""
