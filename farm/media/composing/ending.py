"""Where a composed video ends, as ffmpeg has to be told."""

from pathlib import Path

from farm.domain.manifest import Manifest
from farm.media.composing.arguments import Ending
from farm.media.reading.opening import open_source


def ending_of(joined: Path, manifest: Manifest, pts: int) -> Ending | None:
    """The end of a video file whose last frame is at ``pts`` of the source, in that file's ticks.

    None if it is not exact.
    """
    with open_source(joined) as opened:
        stream = opened.streams.video[0]
        if stream.time_base is None:
            return None
        scale = manifest.source.video.time_base / stream.time_base
        shown, end = (pts - manifest.shift) * scale, (manifest.chunks[-1].pts_end - manifest.shift) * scale
        opened.seek(int(shown), stream=stream, backward=True)
        decoded = [packet.pts for packet in opened.demux(stream) if packet.pts is not None]
    if shown.denominator != 1 or end.denominator != 1 or not decoded:
        return None
    return Ending(int(shown), decoded[-1], int(end))
