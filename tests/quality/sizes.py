"""Size classes of faces, as leakcheck.py has them: by the short side, in pixels of the source."""

from farm.domain.geometry import Box

CLASSES = ("12-24", "24-48", "48+")
#: Heights that recall is told by.
HEIGHTS = (8, 12, 16, 24, 48, 96)


def size_class(box: Box) -> str | None:
    """The class of a face; None for one below 12 pixels, which counts nowhere."""
    short = min(box.w, box.h)
    if short < 12:
        return None
    return CLASSES[0] if short < 24 else CLASSES[1] if short < 48 else CLASSES[2]


def height_class(box: Box) -> int | None:
    """The largest of HEIGHTS that a face reaches; None for one that reaches none."""
    reached = [height for height in HEIGHTS if box.h >= height]
    return reached[-1] if reached else None
