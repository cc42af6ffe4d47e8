"""What an output must hold, as far as its container decides it."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from farm.domain.manifest import VIDEO, OtherStream, VideoStream
from farm.domain.options import ComposeOptions
from farm.domain.orientation import Matrix
from farm.media.composing.colours import has_colours, is_full_yuv
from farm.media.composing.held import LOSABLE, encoded_as, holds
from farm.media.composing.streams import USUAL, wanted


@dataclass(frozen=True, slots=True)
class Needs:
    """What an output must hold: video of ``codec`` with ticks of ``time_base`` seconds, and ``others`` of the source.

    ``width`` and ``height`` in pixels. ``rate``: frames a second. ``colours``: primaries, transfer and matrix are not
    all unspecified. ``whole``: nothing is cut off at the beginning. ``beside``: further videos in the same file.
    ``options``: what of the source is kept, and how; ``source``: FFmpeg's name of its container.
    """

    codec: str
    time_base: Fraction
    others: tuple[OtherStream, ...] = ()
    matrix: Matrix | None = None
    sample_aspect: Fraction | None = None
    width: int = 0
    full_range: bool = False
    height: int = 0
    rate: Fraction | None = None
    colours: bool = False
    whole: bool = True
    beside: tuple["Needs", ...] = ()
    options: ComposeOptions = USUAL
    source: str = ""

    @classmethod
    def of(
        cls,
        video: VideoStream,
        others: Sequence[OtherStream] = (),
        options: ComposeOptions = USUAL,
        source: str = "",
        *,
        whole: bool = True,
    ) -> "Needs":
        """The needs of an output with the video ``video`` and the streams of the source that ``options`` keep."""
        return cls(
            codec=video.codec,
            time_base=video.time_base,
            others=tuple(other for other in wanted(others, options) if other.kind != VIDEO),
            matrix=video.matrix,
            sample_aspect=video.sample_aspect,
            width=video.width,
            full_range=is_full_yuv(video),
            height=video.height,
            rate=video.average_rate,
            colours=has_colours(video),
            whole=whole,
            options=options,
            source=source,
        )

    @property
    def timescale(self) -> int | None:
        """The ticks per second in which an MP4 holds the times of all videos exactly; None if there are none."""
        ticks = lcm(*(each.time_base.denominator for each in (self, *self.beside)))
        return ticks if ticks < 2**31 else None

    def held(self, container: str, other: OtherStream) -> bool:
        """Whether a container holds a stream, as it is or encoded as the options say."""
        known = holds(container, other, self.source)
        return known or encoded_as(container, other, self.options, self.source) is not None

    def lost(self, container: str) -> list[OtherStream]:
        """The sound and subtitles that a container cannot hold."""
        return [other for other in self.others if other.kind in LOSABLE and not self.held(container, other)]
