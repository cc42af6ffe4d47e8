"""What runs where the frames are: detectors, redactors, and the Celery worker around them."""
