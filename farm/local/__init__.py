"""A farm on this machine: Redis, coordinator, workers and Flower, and the supervision of all children."""
