"""Cases with an intended change or a refusal, and the reason. All other cases must come out unchanged."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """An intended difference between output and source; ``said``: a pattern that a note to the user must match."""

    said: str
    codec: str | None = None
    container: str | None = None
    pixels: str | None = None


@dataclass(frozen=True)
class Refusal:
    """An expected refusal. ``line``: a pattern for the error line; ``why``: why refusing is correct."""

    line: str
    why: str


_ANOTHER = "has no encoder here: the output is"
CHANGED: dict[str, Change] = {
    "av1_yuv444p.mkv": Change(_ANOTHER, codec="hevc"),  # SVT-AV1 supports 4:2:0 only
    "vp9_yuv420p10le.webm": Change(_ANOTHER, codec="av1"),  # libvpx is built for 8 bits
    "prores_4.mov": Change(_ANOTHER, codec="ffv1"),  # decoded with 12 bits, which no ProRes encoder accepts
    "alpha_prores.mov": Change(_ANOTHER, codec="ffv1"),
    "huffyuv.mkv": Change(_ANOTHER, codec="ffv1"),
    "raw_video.avi": Change(_ANOTHER, codec="ffv1"),
    "moving.gif": Change(_ANOTHER, codec="ffv1"),
    **{name: Change("is not written here; the output is") for name in ("bare.h264", "bare.hevc")},
    **{name: Change("", container="avi") for name in ("mjpeg.avi", "odd_mjpeg.avi", "no_b_mpeg4.avi")},
    "h264.avi": Change("avi cannot hold h264 video here"),
    "mpeg4.avi": Change("avi begins at 0, and this video at", container="mov"),  # B-frames: the first is shown later
    "not_on_key.ts": Change("before its first key frame cannot be decoded"),
    # footage
    "androidx/roadtrip-vp92-10bit.webm": Change(_ANOTHER, codec="av1"),
}
REFUSED: dict[str, Refusal] = {
    "alpha_vp9.webm": Refusal("is partly transparent", "FFmpeg's own decoder drops the transparency"),
    # footage
    "androidx/sample_ac3.ts": Refusal("holds audio only", "nothing to redact"),
    "androidx/sample_audio_only.mp4": Refusal("holds audio only", "nothing to redact"),
    "androidx/sample_missing_stsd.mp4": Refusal(
        r"stream 1 \(audio, unknown\)", "the audio has no sample description: damaged"
    ),
    "androidx/sample_with_invalid_nalu.mp4": Refusal("cannot be decoded between", "ffmpeg reports the same damage"),
    "derived/bad_empty.mp4": Refusal("is empty", "the file has no bytes"),
    "derived/bad_midfile_garbage.mp4": Refusal("cannot be decoded between", "garbage in the middle"),
    "derived/bad_text_named.mp4": Refusal("is not a video", "a text file"),
    "derived/bad_truncated.mkv": Refusal("is cut off", "the end is missing"),
    "derived/bad_truncated_faststart.mp4": Refusal("is cut off", "the end is missing"),
    "derived/bad_truncated_no_moov.mp4": Refusal("is cut off", "the end and the index are missing"),
    "real/odd_broken_18bytes.mp4": Refusal("is not a video", "only 18 bytes"),
    "real/odd_streamio_empty.flv": Refusal("is not a video", "a header without content"),
    "real/odd_transparent.webm": Refusal("is partly transparent", "FFmpeg's own decoder drops the transparency"),
    "resized.ts": Refusal("192x144, not 160x120|changes its size", "no container holds two sizes in one H.264 stream"),
}
