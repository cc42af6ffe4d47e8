"""Where the video of a composed file ends, as ffmpeg has to be told to copy it once more."""

from array import array
from pathlib import Path

from farm.domain.manifest import Manifest
from farm.media.composing.decode_times import Ending
from farm.media.reading.opening import open_source


def ending_of(path: Path, manifest: Manifest) -> Ending | None:
    """How the only video of a file that was composed by a plan ends, in that file's ticks.

    None if its end is no whole number of ticks. Memory: 8 bytes per frame.
    """
    pts, first, last = array("q"), None, 0
    with open_source(path) as opened:
        stream = opened.streams.video[0]
        if stream.time_base is None:
            return None
        end = (manifest.chunks[-1].pts_end - manifest.shift) * (manifest.source.video.time_base / stream.time_base)
        for packet in opened.demux(stream):
            if packet.size and packet.pts is not None:
                pts.append(packet.pts)
                last = packet.pts if packet.dts is None else packet.dts
                first = last if first is None else first
    if first is None or end.denominator != 1:
        return None
    decoded, shown, before = pts[-1], max(pts), min(pts) - first
    following = min((value for value in pts if value > decoded), default=int(end))
    return Ending(shown, decoded, int(end), int(end) - last - before, following)
