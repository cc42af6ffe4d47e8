"""Chooses the encoder of a job and its settings: the source's own codec family if it can hold the video exactly."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from fractions import Fraction

from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import VideoStream
from farm.domain.options import AUTO, CODECS, RedactOptions
from farm.domain.orientation import is_sideways, upright_size
from farm.domain.pixels import FULL_RANGE, pixel_format
from farm.errors import SettingsError, SourceError
from farm.media.encoding.encoders import ENCODERS, Asked, Encoder, encoders_of
from farm.media.encoding.holding import BT601, ONE_MATRIX, decoded_format, layouts, unfit
from farm.media.encoding.sizing import BEST

#: Families whose encoders are tried, in order, if the user names none.
_TRIED = {
    "h264": ("h264", "hevc"),
    "hevc": ("hevc",),
    "av1": ("av1", "hevc"),
    "vp8": ("vp8", "vp9"),
    "vp9": ("vp9", "av1", "hevc"),
    "mpeg1video": ("mpeg1video", "mpeg2video"),
    "mpeg2video": ("mpeg2video", "h264"),
    "mpeg4": ("mpeg4", "h264"),
    "prores": ("prores", "ffv1"),
    "ffv1": ("ffv1",),
    "mjpeg": ("mjpeg", "h264", "hevc", "ffv1"),
    "vvc": ("hevc", "ffv1"),
}
_OTHERS = ("h264", "ffv1")
#: Without loss, or made for it: another family with loss would take away from it.
_LOSSLESS = frozenset({
    "gif", "rawvideo", "png", "apng", "qtrle", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "v210", "v210x", "v308",
    "v408", "v410", "r210", "r10k", "lagarith", "zlib", "mszh", "flashsv", "flashsv2", "zmbv", "tscc", "rle", "bmp",
    "tiff", "targa", "webp", "jpegls", "ffv2", "wrapped_avframe", "camstudio", "fraps", "cscd", "msrle", "8bps",
})  # fmt: skip
#: Families as people write them.
_NAMES = {
    "h264": "H.264", "hevc": "HEVC", "av1": "AV1", "vp8": "VP8", "vp9": "VP9", "mpeg1video": "MPEG-1",
    "mpeg2video": "MPEG-2", "mpeg4": "MPEG-4", "prores": "ProRes", "ffv1": "FFV1", "mjpeg": "MJPEG", "png": "PNG",
}  # fmt: skip
#: FFmpeg's names of where a chroma sample lies, by its number.
_CHROMA_LOCATIONS = {1: "left", 2: "center", 3: "topleft", 4: "top", 5: "bottomleft", 6: "bottom"}


def encoder_settings(
    video: VideoStream, redact: RedactOptions, available: AbstractSet[str], tried: tuple[str, ...] = ()
) -> tuple[EncoderSettings, tuple[str, ...]]:
    """The settings for a video, and notes on the choice for the user.

    The encoder is of the video's own codec family if that holds the video exactly, or what the user chose.
    ``available``: names of the encoders that workers have. ``tried``: families to choose from, in order.
    Raises SettingsError for options that the workers or this video do not allow, SourceError for a video that nothing
    holds exactly.
    """
    width, height = output_size(video, redact.scale)
    encoder, notes = _Choice(video, redact, (width, height), available, tried).made()
    pix_fmt = decoded_format(encoder, video.pix_fmt)
    if pix_fmt is None:
        raise SourceError(f"{encoder.name} cannot hold pixels in {video.pix_fmt}")
    settings = EncoderSettings(
        encoder=encoder.name,
        codec=encoder.family,
        muxer=encoder.muxer,
        options=_options(encoder, video, redact),
        pix_fmt=pix_fmt,
        given=video.pix_fmt,
        layout=layouts(encoder.name)[pix_fmt],
        time_base=video.time_base,
        rate=encoder.clock_rate(video.average_rate),
        width=width,
        height=height,
        sample_aspect=video.sample_aspect,
        color_range=FULL_RANGE if video.pix_fmt.startswith("yuvj") else video.color_range,
        color_primaries=video.color_primaries,
        color_transfer=video.color_transfer,
        color_space=_matrix(encoder, pix_fmt, video.color_space),
        gop=encoder.gop,
        counted=encoder.counted,
        reorders=encoder.reorders,
        fields=video.fields,
    )
    return settings, notes


def flattened(video: VideoStream) -> tuple[VideoStream, ...]:
    """A GIF as videos are usually: without transparency, in BT.601's limited YUV. None for anything else.

    The first has half the colour's resolution, which every player shows; the other holds odd sizes.
    """
    if video.codec != "gif":
        return ()
    formats = ("yuv420p", "yuv444p")
    return tuple(replace(video, codec="", pix_fmt=f, color_range=1, color_space=BT601) for f in formats)


def encoded_video(video: VideoStream, settings: EncoderSettings) -> VideoStream:
    """The video as it is passed to the encoder: ``video``, or what :func:`flattened` makes of it."""
    return next((v for v in flattened(video) if v.pix_fmt == settings.given), video)


def other_families(video: VideoStream) -> tuple[str, ...]:
    """The codec families that are tried, in order, where no container holds what the first choice writes."""
    return _TRIED.get(video.codec, _OTHERS)[1:]


def at_rate(settings: EncoderSettings, rate: Fraction | None) -> EncoderSettings:
    """The settings for another average frame rate, which is known exactly once the whole source is demuxed."""
    return replace(settings, rate=ENCODERS[settings.encoder].clock_rate(rate))


def in_order(settings: EncoderSettings) -> EncoderSettings:
    """The settings without B-frames: each frame is decoded when it is shown."""
    if not settings.reorders:
        return settings
    return replace(settings, options={**settings.options, "bf": "0"}, reorders=False)


def output_video(video: VideoStream, settings: EncoderSettings) -> VideoStream:
    """What the output's video stream has to be: the source's, with the settings' codec, size and order of samples."""
    return replace(
        video,
        codec=settings.codec,
        width=settings.width,
        height=settings.height,
        pix_fmt=settings.pix_fmt,
        color_range=settings.color_range,
        color_space=settings.color_space,
        profile=None,
        timing="stamped",
    )


def output_size(video: VideoStream, scale: int | None) -> tuple[int, int]:
    """Width and height of the output as it is coded: the source's, or smaller in proportion.

    ``scale``: the width in pixels of what is shown, which is the coded height of a video that is turned. Both are
    rounded down to whole chroma samples. Raises SettingsError if nothing would shrink, SourceError for interlaced
    video, whose fields would be mixed.
    """
    if scale is None:
        return video.width, video.height
    if video.interlaced:
        hint = "leave out redact.scale, or deinterlace it first"
        raise SourceError("interlaced video cannot be made smaller", hint=hint, field="redact.scale")
    shown, _ = upright_size(video.width, video.height, video.orientation)
    if scale >= shown:
        raise _scale_error(scale, f"the video is {shown} pixels wide already", "use a smaller width")
    pixels = pixel_format(video.pix_fmt)
    across, down = (pixels.across, pixels.down) if pixels else (2, 2)
    if is_sideways(video.orientation):
        height = scale // down * down
        width = video.width * height // video.height // across * across
    else:
        width = scale // across * across
        height = video.height * width // video.width // down * down
    if not width or not height:
        raise _scale_error(scale, "nothing would be left of the picture", "use a larger width")
    return width, height


def _scale_error(scale: int, what: str, hint: str) -> SettingsError:
    return SettingsError(f'redact.scale: "{scale}" is not valid: {what}; {hint}', field="redact.scale")


@dataclass(frozen=True, slots=True)
class _Choice:
    """The choice of an encoder for a video whose output has ``size``; see :func:`encoder_settings`."""

    video: VideoStream
    redact: RedactOptions
    size: tuple[int, int]
    available: AbstractSet[str]
    tried: tuple[str, ...] = ()

    def made(self) -> tuple[Encoder, tuple[str, ...]]:
        """The encoder, and notes on the choice."""
        encoder, notes = self._usual() if self.redact.encoder is None else self._named(self.redact.encoder)
        given, decoded = self.video.pix_fmt, decoded_format(encoder, self.video.pix_fmt)
        same = decoded is None or pixel_format(decoded) == pixel_format(given) or given.startswith("yuvj")
        if not same:
            notes += (f"{encoder.family} keeps {given} as {decoded}: the same samples in another order",)
        return encoder, notes

    def _usual(self) -> tuple[Encoder, tuple[str, ...]]:
        video, codec = self.video, self.redact.codec
        default = self.tried or _TRIED.get(video.codec, ("ffv1",) if video.codec in _LOSSLESS else _OTHERS)
        tried = default if codec is None else (codec,)
        reasons: list[str] = []
        for family in tried:
            for encoder in encoders_of(family):
                reason = self._reason(encoder)
                if reason is None:
                    if codec is not None or family == video.codec:
                        return encoder, ()
                    own = any(e.name in self.available for e in encoders_of(video.codec))
                    what = f"{video.codec} with {reasons[0]}" if own and reasons else video.codec
                    return encoder, (f"{what} has no encoder here: the output is {family}",)
                reasons.append(reason)
        names = " or ".join(_NAMES[family] for family in tried)
        message = f"{names} cannot hold {reasons[0] if reasons else 'this video'} here"
        if codec is not None:
            raise SettingsError(f'redact.codec: "{codec}": {message}; {self._hint()}', field="redact.codec")
        raise SourceError(message, hint=self._hint(), field="redact.codec")

    def _named(self, name: str) -> tuple[Encoder, tuple[str, ...]]:
        video, codec, encoder = self.video, self.redact.codec, ENCODERS.get(name)
        if encoder is None:
            what = f'"{name}" is not an encoder that can be used'
            known = ", ".join(sorted(e.name for e in ENCODERS.values() if not e.hardware))
            hint = f"use one of {known}, or for example h264_nvenc"
        elif name not in self.available:
            what, hint = f'no worker has "{name}"', "leave out redact.encoder, or start a worker that has it"
        elif codec is not None and codec != encoder.family:
            what, hint = f'"{name}" writes {encoder.family}, not redact.codec {codec}', "leave one of them out"
        elif reason := unfit(encoder, video, self.size):
            what, hint = f'"{name}" cannot hold {reason}', self._hint()
        else:
            changed = codec is None and encoder.family != video.codec
            note = f"--encoder {name} writes {encoder.family}: the source is {video.codec}"
            return encoder, (note,) if changed else ()
        raise SettingsError(f"redact.encoder: {what}; {hint}", field="redact.encoder")

    def _reason(self, encoder: Encoder) -> str | None:
        """Why an encoder cannot be used, as text to follow "cannot hold"; None if it can."""
        if encoder.name not in self.available:
            return f"video, as no worker has {encoder.name},"
        return unfit(encoder, self.video, self.size)

    def _hint(self) -> str:
        able = [c for c in CODECS if any(self._reason(e) is None for e in encoders_of(c))]
        if not able:
            return "convert it first, for example with ffmpeg to -pix_fmt yuv420p"
        return "use " + " or ".join(f"redact.codec {codec}" for codec in able)


def _matrix(encoder: Encoder, pix_fmt: str, color_space: int) -> int:
    """The colour matrix that the stream's header states, for a video of ``color_space``.

    Decoders know RGB samples by the matrix 0 alone. JPEG and VP8 have one matrix and do not name it.
    """
    pixels = pixel_format(pix_fmt)
    if pixels and pixels.family == "rgb" and encoder.family in {"h264", "hevc", "vp9", "png"}:
        return 0
    return BT601 if encoder.family in ONE_MATRIX else color_space


def _options(encoder: Encoder, video: VideoStream, redact: RedactOptions) -> dict[str, str]:
    """All options of an encoder, with its own list of parameters if it has one.

    With ``crf`` auto they are of the best quality; :mod:`farm.media.encoding.sizing` finds each chunk's.
    """
    sized = redact.crf == AUTO
    if sized and encoder.sized is None:
        hint = "give redact.crf a number, or use another encoder"
        raise SettingsError(f"redact.crf auto: {encoder.name} cannot aim at a size", hint=hint, field="redact.crf")
    crf = BEST if sized else float(redact.crf)
    options = encoder.quality(Asked(crf, redact.preset, video.profile)) | dict(encoder.extra)
    flags = options.pop("flags", "") + "+bitexact"  # the parameter sets name no version of the encoder
    if video.interlaced:
        flags += "+ildct+ilme"
        options["field_order"] = "tb" if video.fields == "tff" else "bt"
    options["flags"] = flags
    if video.chroma_location in _CHROMA_LOCATIONS:
        options["chroma_sample_location"] = _CHROMA_LOCATIONS[video.chroma_location]
    if encoder.full_range and not video.full_range:
        options["strict"] = "unofficial"  # JPEG is full range by its standard; FFmpeg notes the other in a comment
    if encoder.parameters:
        option, *parameters = encoder.parameters
        parameters += [f"{video.fields}=1"] if video.interlaced else []
        parameters += encoder.hdr.parameters(video.mastering, video.light) if encoder.hdr else []
        options[option] = ":".join(parameters)
    for option, value in encoder.joining if sized else ():
        options[option] = f"{options[option]}:{value}" if option in options else value
    return options
