"""The picture of leak against speed, as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDE, _HIGH = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 30, 60
_COLOURS = ("#0b6e4f", "#b5431f", "#3a4fa3", "#7a3e8e")
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True)
class Point:
    """A setting: its cost in core-milliseconds a frame, leaked faces and changed area outside in per cent.

    Without a cost it is a line across the picture. Points of one series are joined.
    """

    name: str
    cost: float | None
    leaked: float
    outside: float
    series: str


def curve(points: Sequence[Point]) -> str:
    """An SVG picture: cost (logarithmic) to the right, leaked faces upwards. Raises ValueError without any cost."""
    costs = [p.cost for p in points if p.cost is not None]
    low, high = math.log(0.8 * min(costs)), math.log(1.6 * max(costs))
    most = 1.1 * max(p.leaked for p in points) or 1.0

    def at(cost: float) -> float:
        return _LEFT + (math.log(cost) - low) / (high - low) * (_WIDE - _LEFT - _RIGHT)

    def level(leaked: float) -> float:
        return _HIGH - _BOTTOM - leaked / most * (_HIGH - _TOP - _BOTTOM)

    parts = [_text(_WIDE / 2, _HIGH - 14, "core-milliseconds a frame, detect stage", "middle")]
    parts.append(_text(_LEFT, 18, "leaked face-frames, % (in brackets: changed outside, %)"))
    for tick in (t for t in _TICKS if low <= math.log(t) <= high):
        x = at(tick)
        parts += [_line(x, level(0), x, level(most), "#e4e4e4"), _text(x, level(0) + 18, tick, "middle")]
    step = _step(most)
    for number in range(int(most / step) + 1):
        y = level(number * step)
        parts += [_line(_LEFT, y, _WIDE - _RIGHT, y, "#e4e4e4"), _text(_LEFT - 8, y + 4, f"{number * step:g}", "end")]
    for p in (p for p in points if p.cost is None):
        y = level(p.leaked)
        parts += [_line(_LEFT, y, _WIDE - _RIGHT, y, "#222", 'stroke-dasharray="6 4"')]
        parts.append(_text(_LEFT + 6, y - 5, f"{p.name} ({p.outside:.1f})"))
    for number, series in enumerate(dict.fromkeys(p.series for p in points if p.cost is not None)):
        colour = _COLOURS[number % len(_COLOURS)]
        own = [(at(p.cost), level(p.leaked), p) for p in points if p.cost is not None and p.series == series]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in own)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for x, y, p in own:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
            parts.append(_text(x + 7, y - 6, f"{p.name} ({p.outside:.1f})"))
    font = 'font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}" {font}>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>", ""])


def _step(most: float) -> float:
    """The distance of horizontal lines: at most eight of them, at round numbers."""
    size = 10.0 ** math.floor(math.log10(most))
    return next(size * part for part in (0.1, 0.2, 0.5, 1, 2) if most / (size * part) <= 8)


def _line(x0: float, y0: float, x1: float, y1: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" {more}/>'


def _text(x: float, y: float, text: object, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(str(text))}</text>'
