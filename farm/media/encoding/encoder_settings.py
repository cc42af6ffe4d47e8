"""How the segments of a job are encoded: one set of settings for all of them, from the video and the user's options."""

from dataclasses import dataclass, replace
from fractions import Fraction

from farm.domain.manifest import Mastering, VideoStream
from farm.domain.options import RedactOptions
from farm.domain.pixels import FULL_RANGE, pixel_format
from farm.errors import SourceError
from farm.media.encoding.choice import choose_encoder, output_size
from farm.media.encoding.codecs import BT601, ONE_MATRIX, Encoder, decoded_format, layouts
from farm.media.encoding.hdr import CHROMA_LOCATIONS, hdr_parameters
from farm.media.encoding.quality import quality_options
from farm.media.encoding.rates import clock_rate

#: libavformat's muxer for a codec's segments.
_SEGMENTS = {"vp8": "matroska", "prores": "mov"}


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How every segment of a job is encoded. Equal settings give equal parameter sets, whatever the chunk.

    ``codec``: FFmpeg's name of what the encoder writes. ``given``: the pixel format of the frames that come,
    ``layout``: how the encoder wants their samples in memory, ``pix_fmt``: what the segment is decoded to; all three
    hold the same samples. Colour fields are H.273 code points; ``time_base`` in seconds a tick; ``rate`` in frames a
    second, as the stream's header says it; ``options`` are the encoder's own; ``notes`` for the person, a line each.
    """

    encoder: str
    codec: str
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
    counted: bool = False
    reorders: bool = True
    fields: str = "progressive"
    mastering: Mastering | None = None
    light: tuple[int, int] | None = None
    chroma_location: int = 0
    notes: tuple[str, ...] = ()

    @property
    def segment_format(self) -> str:
        """FFmpeg's muxer for the segments: ``mp4``, ``mov`` or ``matroska``."""
        return _SEGMENTS.get(self.codec, "mp4")


def encoder_settings(video: VideoStream, redact: RedactOptions) -> EncoderSettings:
    """The settings for a video: its own codec family where that holds the video exactly, or what the user chose.

    Raises SettingsError for options that this machine or this video does not allow, SourceError for a video that
    nothing holds exactly.
    """
    width, height = output_size(video, redact.scale)
    encoder, notes = choose_encoder(video, redact, (width, height))
    pix_fmt = decoded_format(encoder, video.pix_fmt)
    if pix_fmt is None:
        raise SourceError(f"{encoder.name} cannot hold pixels in {video.pix_fmt}")
    return EncoderSettings(
        encoder=encoder.name,
        codec=encoder.family,
        options=_options(encoder, video, redact),
        pix_fmt=pix_fmt,
        given=video.pix_fmt,
        layout=layouts(encoder.name)[pix_fmt],
        time_base=video.time_base,
        rate=clock_rate(encoder.name, video.average_rate),
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
        mastering=video.mastering,
        light=video.light,
        chroma_location=video.chroma_location,
        notes=notes,
    )


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


def _matrix(encoder: Encoder, pix_fmt: str, said: int) -> int:
    """The colour matrix that a stream names.

    Where its samples are RGB, decoders know it by the matrix 0 alone. JPEG and VP8 have one matrix and do not name it.
    """
    pixels = pixel_format(pix_fmt)
    if pixels and pixels.family == "rgb" and encoder.family in {"h264", "hevc", "vp9"}:
        return 0
    return BT601 if encoder.family in ONE_MATRIX else said


def _options(encoder: Encoder, video: VideoStream, redact: RedactOptions) -> dict[str, str]:
    """All options of an encoder; its own list of parameters among them, where it has one."""
    options = quality_options(encoder.name, redact.crf, redact.preset, video.profile)
    flags = options.pop("flags", "") + "+bitexact"  # the parameter sets name no version of the encoder
    if video.interlaced:
        flags += "+ildct+ilme"
        options["field_order"] = "tb" if video.fields == "tff" else "bt"
    options["flags"] = flags
    if video.chroma_location in CHROMA_LOCATIONS:
        options["chroma_sample_location"] = CHROMA_LOCATIONS[video.chroma_location]
    if encoder.name == "mjpeg" and not video.full_range:
        options["strict"] = "unofficial"  # JPEG is full range by its standard; FFmpeg notes the other in a comment
    hdr = hdr_parameters(encoder.name, video.mastering, video.light)
    if encoder.name == "libx264":
        options["a53cc"] = "1"  # closed captions, which the decoder hands on with the frames
        order = {"tff": ["tff=1"], "bff": ["bff=1"]}.get(video.fields, [])
        options["x264-params"] = ":".join(["open-gop=0", *order, *hdr])
    elif encoder.name == "libx265":
        options["a53cc"] = "1"
        # info=0: no options in the parameter sets, which differ with the number of threads
        fixed = ["log-level=error", "open-gop=0", "info=0", "repeat-headers=0"]
        options["x265-params"] = ":".join([*fixed, *hdr])
    elif encoder.name == "libsvtav1":
        options["svtav1-params"] = ":".join(["irefresh-type=2", *hdr])
    return options
