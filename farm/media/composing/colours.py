"""Which outputs state a video's colours: its range, and its primaries, transfer and matrix."""

from farm.domain.containers import TRANSPORT
from farm.domain.manifest import VideoStream
from farm.domain.pixels import pixel_format
from farm.media.encoding.holding import LIKE_BT601, ONE_MATRIX

LIMITED, UNSPECIFIED = 1, 2
#: Containers that state the colours whatever the codec is. QuickTime's own box has no range.
_CONTAINERS = frozenset({"mp4", "matroska", "webm"})
#: Codecs whose streams state the range, or have only one. x264 does so only beside other colours, or if it is full.
_CODECS = frozenset({"hevc", "av1", "vp8", "vp9", "mpeg1video", "mpeg2video", "prores", "mjpeg"})
#: Muxers that write H.264's parameter sets into the stream, where a bitstream filter can change them.
_IN_STREAM = TRANSPORT
#: Containers that state no colours, and the codecs that do so themselves.
_COLOURLESS, _COLOURED = TRANSPORT | {"mpeg", "avi", "flv"}, frozenset({"h264", "hevc", "mpeg2video"})


def is_full_yuv(video: VideoStream) -> bool:
    """Whether samples use their full range, where that has to be stated: RGB always does."""
    pixels = pixel_format(video.pix_fmt)
    return video.full_range and not (pixels and pixels.family == "rgb")


def states_full_range(container: str, codec: str) -> bool:
    """Whether an output of full range is decoded as one. Players take what states nothing to be limited."""
    return container in _CONTAINERS or codec in _CODECS or codec == "h264"


def states_colours(container: str, codec: str) -> bool:
    """Whether an output of ``codec`` in ``container`` states primaries, transfer and matrix."""
    return container not in _COLOURLESS or codec in _COLOURED


def states_range(container: str, codec: str, video: VideoStream) -> bool:
    """Whether an output of ``codec`` in ``container`` states the range of ``video`` as the source does."""
    if not video.color_range and not video.full_range:
        return True
    if codec != "h264" or container in _CONTAINERS:
        return states_full_range(container, codec)
    return video.full_range or has_colours(video) or container in _IN_STREAM


def range_note(container: str, codec: str, video: VideoStream) -> str | None:
    """A note for the user if an output does not state the range."""
    if states_range(container, codec, video):
        return None
    return f"the output does not state that its colour range is limited, as {container} files with {codec} cannot"


def range_filter(container: str, codec: str, video: VideoStream) -> str | None:
    """FFmpeg's bitstream filter that states the range, where neither the encoder nor the container does."""
    alone = video.color_range == LIMITED and not video.full_range and not has_colours(video)
    return "h264_metadata=video_full_range_flag=0" if codec == "h264" and container in _IN_STREAM and alone else None


def has_colours(video: VideoStream) -> bool:
    """Whether primaries, transfer or matrix are specified, apart from a matrix that the codec implies."""
    implied = video.codec in ONE_MATRIX and video.color_space in LIKE_BT601
    return any(c != UNSPECIFIED for c in (video.color_primaries, video.color_transfer)) or not (
        implied or video.color_space == UNSPECIFIED
    )
