"""A preview as one HTML file: no script, nothing from a network."""

import base64
import io
from collections.abc import Iterator
from html import escape

from PIL import Image

from farm.domain.time import time_text
from farm.preview.collect import Preview, Shot, View
from farm.preview.words import covered_words, heading, track_words

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:78rem;padding:0 1rem;background:#fff;color:#1a1a1a}
h1{font-size:1.3rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .6rem}p{margin:.3rem 0 1rem;color:#444}
.strip{width:100%;height:26px;display:block;background:#1f6f43}
.grid{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fill,minmax(160px,1fr))}
.wide{grid-template-columns:repeat(auto-fill,minmax(300px,1fr))}
figure{margin:0}figcaption{font-size:.82rem;color:#333}.crop{width:100%;aspect-ratio:1;object-fit:contain;background:#eee}
.frame{position:relative;display:block}.frame img{width:100%;display:block}
.frame svg{position:absolute;inset:0;width:100%}
.off{color:#a11}b{font-variant-numeric:tabular-nums}
@media (prefers-color-scheme:dark){body{background:#161616;color:#eee}p,figcaption{color:#bbb}.crop{background:#222}}
"""
_COVERED, _SHOWN = "#3ddc84", "#ff4d4d"


def page(preview: Preview) -> str:
    """The whole page."""
    return "".join(_parts(preview))


def beginning(title: str, text: str) -> str:
    """The beginning of a page, up to a line of text below its title."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1><p>{escape(text)}</p>"
    )


def _parts(preview: Preview) -> Iterator[str]:
    yield beginning(f"{preview.name}: job {preview.job}", heading(preview))
    yield "<h2>When anything is covered</h2>"
    yield _strip(preview)
    yield f"<p>{escape(covered_words(preview))}</p>"
    yield '<h2>Tracks</h2><div class="grid">'
    yield from map(_shot, preview.shots)
    yield '</div><h2>Frames</h2><div class="grid wide">'
    yield from map(_view, preview.views)
    yield "</div></html>\n"


def _strip(preview: Preview) -> str:
    seconds = preview.seconds or 1.0
    gaps = "".join(
        f'<rect x="{begin:.3f}" width="{end - begin:.3f}" height="1" fill="#d9d9d9"><title>{time_text(begin)} to '
        f"{time_text(end)}: nothing is covered</title></rect>"
        for begin, end in preview.open_times
    )
    return f'<svg class="strip" viewBox="0 0 {seconds:.3f} 1" preserveAspectRatio="none" role="img">{gaps}</svg>'


def _shot(shot: Shot) -> str:
    number, lines = track_words(shot)
    picture = image(shot.picture, "crop", f"track {number}") or '<div class="crop"></div>'
    state = "" if shot.facts.covered else ' class="off"'
    text = "<br>".join(map(escape, lines))
    return f"<figure{state}>{picture}<figcaption><b>{escape(number)}</b> {text}</figcaption></figure>"


def _view(view: View) -> str:
    if view.picture is None:
        return f"<figure><figcaption>{time_text(view.seconds)}: cannot be decoded</figcaption></figure>"
    width, height = view.picture.size
    marks = "".join(
        f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in m.outline.corners)}" fill="none" '
        f'stroke="{_COVERED if m.covered else _SHOWN}" stroke-width="1.5"/>'
        f'<text x="{m.outline.bounds.x:.1f}" y="{max(8.0, m.outline.bounds.y - 2):.1f}" font-size="9" '
        f'font-family="sans-serif" '
        f'fill="{_COVERED if m.covered else _SHOWN}">{escape(m.number)}</text>'
        for m in view.marks
    )
    picture = image(view.picture, "", f"frame at {time_text(view.seconds)}")
    return (
        f'<figure><span class="frame">{picture}<svg viewBox="0 0 {width} {height}">{marks}</svg></span>'
        f"<figcaption>{time_text(view.seconds)}</figcaption></figure>"
    )


def image(picture: Image.Image | None, kind: str, alt: str) -> str:
    """A picture as an element of the page; empty without one."""
    if picture is None:
        return ""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=85)
    text = base64.b64encode(content.getvalue()).decode("ascii")
    return f'<img class="{kind}" alt="{escape(alt)}" src="data:image/jpeg;base64,{text}">'
