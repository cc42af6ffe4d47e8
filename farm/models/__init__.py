"""Which detection models there are, where their weights come from, and where they lie."""

from farm.models.catalog import MODELS, Cache, Directory, Model, Source, Url, Wheel, find_model
from farm.models.store import LocatedModel, ModelStatus, ModelStore

__all__ = [
    "MODELS",
    "Cache",
    "Directory",
    "LocatedModel",
    "Model",
    "ModelStatus",
    "ModelStore",
    "Source",
    "Url",
    "Wheel",
    "find_model",
]
