"""The weights of detection models: where they lie on this machine, and how they are fetched."""
