"""What ``farm demo`` shows: a clip with a real face, and a sheet of pictures before and after."""

from farm.demo.clip import render_demo_clip
from farm.demo.sheet import contact_sheet

__all__ = ["contact_sheet", "render_demo_clip"]
