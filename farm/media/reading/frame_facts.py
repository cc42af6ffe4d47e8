"""What each decoded frame says of how it is shown."""

from av.video.frame import VideoFrame

FULL_RANGE = 2  # AVCOL_RANGE_JPEG


def frame_facts(frame: VideoFrame) -> dict[str, object]:
    """By name: whether it uses the full range, its primaries, transfer and matrix (H.273), whether it has fields."""
    return {
        "colour range": frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj"),
        "colour primaries": int(frame.color_primaries),
        "colour transfer": int(frame.color_trc),
        "colour matrix": int(frame.colorspace),
        "fields": bool(frame.interlaced_frame),
    }
