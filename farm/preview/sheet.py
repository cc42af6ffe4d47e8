"""A preview as one PNG: a contact sheet."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from farm.domain.time import time_text
from farm.preview.collect import CROP, FRAME, Preview, Shot, View
from farm.preview.words import covered_words, heading, track_words

_COLUMNS, _GAP, _LINE, _EDGE = 8, 12, 15, 16  # tracks in a row; pixels
_WIDTH = 2 * _EDGE + _COLUMNS * CROP + (_COLUMNS - 1) * _GAP
_TEXT_LINES = 4
_PAPER, _INK, _GREY, _GREEN, _RED = (255, 255, 255), (26, 26, 26), (217, 217, 217), (31, 111, 67), (190, 20, 20)
_COVERED, _SHOWN = (61, 220, 132), (255, 77, 77)


def sheet(preview: Preview) -> Image.Image:
    """The whole sheet."""
    columns = (_WIDTH - 2 * _EDGE + _GAP) // (FRAME + _GAP)
    frames_high = max((view.picture.height for view in preview.views if view.picture), default=0) + _LINE + _GAP
    shots_high = CROP + _TEXT_LINES * _LINE + _GAP
    rows, frame_rows = -(-len(preview.shots) // _COLUMNS), -(-len(preview.views) // columns)
    top = _EDGE + 5 * _LINE + 26
    height = top + rows * shots_high + _GAP + frame_rows * frames_high + _EDGE
    image = Image.new("RGB", (_WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(image)
    fonts = ImageFont.load_default(18), ImageFont.load_default(12)
    draw.text((_EDGE, _EDGE), f"{preview.name}: job {preview.job}", _INK, fonts[0])
    draw.text((_EDGE, _EDGE + 24), heading(preview), _INK, fonts[1])
    _strip(draw, preview, _EDGE + 44)
    draw.text((_EDGE, _EDGE + 74), covered_words(preview), _INK, fonts[1])
    for n, shot in enumerate(preview.shots):
        at = _EDGE + n % _COLUMNS * (CROP + _GAP), top + n // _COLUMNS * shots_high
        _shot(image, draw, shot, at, fonts[1])
    top += rows * shots_high + _GAP
    for n, view in enumerate(preview.views):
        at = _EDGE + n % columns * (FRAME + _GAP), top + n // columns * frames_high
        _view(image, draw, view, at, fonts[1])
    return image


def _strip(draw: ImageDraw.ImageDraw, preview: Preview, y: int) -> None:
    width = _WIDTH - 2 * _EDGE
    draw.rectangle((_EDGE, y, _EDGE + width - 1, y + 25), _GREEN)
    for begin, end in preview.open_times:
        left, right = (_EDGE + seconds / (preview.seconds or 1.0) * width for seconds in (begin, end))
        draw.rectangle((left, y, max(left, right - 1), y + 25), _GREY)


def _shot(image: Image.Image, draw: ImageDraw.ImageDraw, shot: Shot, at: tuple[int, int], font: object) -> None:
    x, y = at
    if shot.picture is not None:
        image.paste(shot.picture, (x + (CROP - shot.picture.width) // 2, y + (CROP - shot.picture.height) // 2))
    number, lines = track_words(shot)
    colour = _INK if shot.facts.covered else _RED
    _lines(draw, [f"{number}  {lines[0]}", *lines[1:]], (x, y + CROP + 1), colour, font)


def _view(image: Image.Image, draw: ImageDraw.ImageDraw, view: View, at: tuple[int, int], font: object) -> None:
    x, y = at
    if view.picture is None:
        _lines(draw, [f"{time_text(view.seconds)}: cannot be decoded"], (x, y), _RED, font)
        return
    picture = view.picture.copy()
    on = ImageDraw.Draw(picture)
    for mark in view.marks:
        colour, box = _COVERED if mark.covered else _SHOWN, mark.outline.bounds
        on.polygon(mark.outline.corners, outline=colour)
        on.text((box.x, max(0.0, box.y - 12)), mark.number, colour, ImageFont.load_default(10))
    image.paste(picture, (x, y))
    _lines(draw, [time_text(view.seconds)], (x, y + picture.height + 1), _INK, font)


def _lines(
    draw: ImageDraw.ImageDraw, lines: Sequence[str], at: tuple[int, int], colour: tuple[int, int, int], font: object
) -> None:
    for n, line in enumerate(lines[:_TEXT_LINES]):
        draw.text((at[0], at[1] + n * _LINE), line, colour, font)  # type: ignore[arg-type]  # load_default's own type
