"""Creates redactors by style: the one named ``NAME`` is ``create`` in ``workers.vision.redactors.NAME``."""

from importlib import import_module
from typing import cast

from farm.domain.options import RedactOptions
from workers.vision.redactors.base import Redactor


def create_redactor(options: RedactOptions) -> Redactor:
    """The redactor of ``options.style``, with the style's own options."""
    return cast("Redactor", import_module(f"workers.vision.redactors.{options.style}").create(options))
