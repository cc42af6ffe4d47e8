"""What each decoded frame says of how it is shown."""

from av.video.frame import VideoFrame

from farm.domain.pixels import is_full_range


def frame_facts(frame: VideoFrame) -> dict[str, object]:
    """By name: whether it uses the full range, its primaries, transfer and matrix (H.273), whether it has fields."""
    return {
        "colour range": is_full_range(frame.format.name, int(frame.color_range)),
        "colour primaries": int(frame.color_primaries),
        "colour transfer": int(frame.color_trc),
        "colour matrix": int(frame.colorspace),
        "fields": bool(frame.interlaced_frame),
    }
