"""How the segments of a job are encoded: one value for the whole job, chosen when it is submitted."""

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How every segment of a job is encoded. Equal settings give equal parameter sets, whatever the chunk and worker.

    ``encoder`` and ``codec``: FFmpeg's names of the encoder and of what it writes. ``muxer``: libavformat's name of the
    segments' container. ``given``: the pixel format of the frames passed to the encoder, ``layout``: the one they are
    rearranged to for it, ``pix_fmt``: the one that the segment is decoded to; all three hold the same samples.
    Colour fields are H.273 code points. ``time_base`` in seconds per tick; ``rate`` in frames per second, as the
    stream's header states it; ``options`` are the encoder's own. ``gop``: most frames between key frames. ``counted``:
    the encoder is given frame numbers instead of times. ``reorders``: it writes B-frames. ``fields``: as in
    :class:`farm.domain.manifest.VideoStream`. ``copies``: groups of frames on which nothing is painted are not encoded:
    their packets are copied from the source, see :mod:`farm.media.splicing`.
    """

    encoder: str
    codec: str
    muxer: str
    options: dict[str, str]
    pix_fmt: str
    given: str
    layout: str
    time_base: Fraction
    rate: Fraction
    width: int
    height: int
    sample_aspect: Fraction | None
    color_range: int
    color_primaries: int
    color_transfer: int
    color_space: int
    gop: int
    counted: bool
    reorders: bool
    fields: str
    copies: bool = False

    def row(self) -> dict[str, Any]:
        """The settings as JSON: fractions as text. :func:`load_encoder` is the inverse."""
        return {name: str(value) if isinstance(value, Fraction) else value for name, value in asdict(self).items()}


def load_encoder(row: dict[str, Any]) -> EncoderSettings:
    """The settings of :meth:`EncoderSettings.row`. Raises KeyError or TypeError for other fields."""
    fractions = {name: row[name] and Fraction(row[name]) for name in ("time_base", "rate", "sample_aspect")}
    return EncoderSettings(**{**row, **fractions})
