"""Redaction styles by name."""

from farm.errors import SettingsError
from workers.vision.redactors.base import Redactor
from workers.vision.redactors.blur import Blur
from workers.vision.redactors.pixelate import Pixelate
from workers.vision.redactors.solid import Solid

REDACTORS: dict[str, Redactor] = {redactor.name: redactor for redactor in (Blur(), Pixelate(), Solid())}


def redactor_named(style: str) -> Redactor:
    """The redactor of a style. Raises SettingsError for an unknown one."""
    if style not in REDACTORS:
        raise SettingsError(f"no redaction style {style!r}", hint=f"use {', '.join(sorted(REDACTORS))}")
    return REDACTORS[style]
