"""Chooses the encoder of a job: the source's own codec family where it can hold the video exactly."""

from farm.domain.manifest import VideoStream
from farm.domain.options import CODECS, RedactOptions
from farm.domain.orientation import is_sideways, upright_size
from farm.domain.pixels import pixel_format
from farm.errors import SettingsError, SourceError
from farm.media.encoding.codecs import (
    ENCODERS,
    Encoder,
    decoded_format,
    encoder_named,
    encoders_of,
    families,
    family_name,
    has_encoder,
    unfit,
)


def output_size(video: VideoStream, scale: int | None) -> tuple[int, int]:
    """Width and height of the output as it is coded: the source's, or smaller in proportion.

    ``scale``: the width in pixels of what is shown, which is the coded height of a video that is turned. Both are
    rounded down to whole chroma samples. Raises SettingsError where nothing would shrink, SourceError for interlaced
    video, whose fields would be mixed.
    """
    if scale is None:
        return video.width, video.height
    if video.interlaced:
        raise SourceError("interlaced video cannot be made smaller", hint="leave out --scale, or deinterlace it first")
    shown, _ = upright_size(video.width, video.height, video.orientation)
    if scale >= shown:
        raise SettingsError(f"--scale {scale}: the video is {shown} pixels wide already", hint="use a smaller width")
    pixels = pixel_format(video.pix_fmt)
    across, down = (pixels.across, pixels.down) if pixels else (2, 2)
    if is_sideways(video.orientation):
        height = scale // down * down
        width = video.width * height // video.height // across * across
    else:
        width = scale // across * across
        height = video.height * width // video.width // down * down
    if not width or not height:
        raise SettingsError(f"--scale {scale}: nothing would be left of the picture", hint="use a larger width")
    return width, height


def choose_encoder(video: VideoStream, redact: RedactOptions, size: tuple[int, int]) -> tuple[Encoder, tuple[str, ...]]:
    """The encoder for a video whose output has ``size``, and what the person should know of the choice.

    Raises SettingsError for ``--encoder`` and ``--codec`` that this machine or this video does not allow, SourceError
    where nothing holds the video exactly that would be taken without asking.
    """
    if redact.encoder is not None:
        return _named(redact.encoder, video, redact.codec, size)
    tried = families(video.codec) if redact.codec is None else (redact.codec,)
    reasons: list[str] = []
    for family in tried:
        for encoder in encoders_of(family):
            reason = _reason(encoder, video, size)
            if reason is None:
                notes = _notes(video, family, reasons) if redact.codec is None else ()
                return encoder, (*notes, *_order(encoder, video))
            reasons.append(reason)
    names = " or ".join(family_name(family) for family in tried)
    message = f"{names} cannot hold {reasons[0] if reasons else 'this video'} here"
    hint = _hint(video, size)
    if redact.codec is not None:
        raise SettingsError(f"--codec {redact.codec}: {message}", hint=hint)
    raise SourceError(message, hint=hint)


def _named(name: str, video: VideoStream, codec: str | None, size: tuple[int, int]) -> tuple[Encoder, tuple[str, ...]]:
    encoder = encoder_named(name)
    if encoder is None:
        known = ", ".join(sorted(ENCODERS))
        raise SettingsError(
            f"--encoder {name}: not an encoder that can be used", hint=f"use one of {known}, or for example h264_nvenc"
        )
    if not has_encoder(name):
        raise SettingsError(f"--encoder {name}: this machine's FFmpeg has no such encoder", hint="leave out --encoder")
    if codec is not None and codec != encoder.family:
        raise SettingsError(
            f"--encoder {name}: writes {encoder.family}, not --codec {codec}", hint="leave one of them out"
        )
    reason = _reason(encoder, video, size)
    if reason is not None:
        raise SettingsError(f"--encoder {name}: cannot hold {reason}", hint=_hint(video, size))
    changed = codec is None and encoder.family != video.codec
    notes = (f"--encoder {name} writes {encoder.family}: the source is {video.codec}",) if changed else ()
    return encoder, (*notes, *_order(encoder, video))


def _reason(encoder: Encoder, video: VideoStream, size: tuple[int, int]) -> str | None:
    if not has_encoder(encoder.name):
        return f"video, as FFmpeg was built without {encoder.name},"
    return unfit(encoder, video, size)


def _notes(video: VideoStream, family: str, reasons: list[str]) -> tuple[str, ...]:
    if family == video.codec:
        return ()
    own = any(has_encoder(encoder.name) for encoder in encoders_of(video.codec))
    what = f"{video.codec} with {reasons[0]}" if own else video.codec
    return (f"{what} has no encoder here: the output is {family}",)


def _order(encoder: Encoder, video: VideoStream) -> tuple[str, ...]:
    """A line where the output's samples lie in another order than the source's."""
    decoded = decoded_format(encoder, video.pix_fmt)
    if decoded is None or decoded == video.pix_fmt or pixel_format(decoded) == pixel_format(video.pix_fmt):
        return ()
    if video.pix_fmt.startswith("yuvj"):
        return ()
    return (f"{encoder.family} keeps {video.pix_fmt} as {decoded}: the same samples in another order",)


def _hint(video: VideoStream, size: tuple[int, int]) -> str:
    able = [codec for codec in CODECS if any(_reason(e, video, size) is None for e in encoders_of(codec))]
    if not able:
        return "convert it first, for example with ffmpeg to -pix_fmt yuv420p"
    return "use " + " or ".join(f"--codec {codec}" for codec in able)
