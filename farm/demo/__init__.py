"""The parts of ``farm demo``: a clip with a real face, and a contact sheet of frames before and after redaction."""

from farm.demo.clip import render_demo_clip
from farm.demo.sheet import contact_sheet

__all__ = ["contact_sheet", "render_demo_clip"]
