"""Style ``image``: what lies beneath the picture. Where the picture is transparent nothing of the face shows."""

from workers.vision.redactors.solid import create

__all__ = ["create"]
