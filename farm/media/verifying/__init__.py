"""What was written is compared with what was planned, and with the source."""
