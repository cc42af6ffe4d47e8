"""Opens the encoder of a job's settings."""

from fractions import Fraction

import av.error
from av.video.codeccontext import VideoCodecContext

from farm.domain.encoding import EncoderSettings
from farm.errors import DeviceError, SourceError
from farm.media.encoding.encoders import ENCODERS
from farm.media.failing import reason

#: An encoder's clock is no finer: libvpx takes no finer one, and the exact times are not needed to choose a quality.
_FINEST = Fraction(1, 1_000_000)


def clock(settings: EncoderSettings) -> Fraction:
    """The ticks, in seconds, that the encoder counts in."""
    return 1 / settings.rate if settings.counted else max(settings.time_base, _FINEST)


def encoder_options(settings: EncoderSettings, threads: int) -> dict[str, str]:
    """The encoder's options; x265 and SVT-AV1 take the sizes of their thread pools from them, too."""
    encoder, options = ENCODERS[settings.encoder], dict(settings.options)
    if encoder.pool and threads > 0:
        parameter, most = encoder.pool
        options[encoder.parameters[0]] += f":{parameter}={min(threads, most)}"
    return options


def open_encoder(context: VideoCodecContext, settings: EncoderSettings, threads: int) -> None:
    """Open a new context of the settings' encoder, whose options are set. ``threads``: how many it may use.

    Raises DeviceError for hardware that is missing, SourceError for a video that it does not take.
    """
    encoder = ENCODERS[settings.encoder]
    context.time_base = clock(settings)
    context.framerate = settings.rate
    context.width, context.height = settings.width, settings.height
    context.pix_fmt = settings.layout
    context.gop_size = settings.gop
    # see Encoder.one_thread
    context.thread_count = 1 if encoder.one_thread else threads
    if settings.sample_aspect:
        context.sample_aspect_ratio = settings.sample_aspect
    context.color_range = settings.color_range
    context.color_primaries = settings.color_primaries
    context.color_trc = settings.color_transfer
    context.colorspace = settings.color_space
    try:
        context.open()
    except (av.error.FFmpegError, ValueError) as error:
        if encoder.hardware:
            raise missing(encoder.name, reason(error)) from error
        picture = f"{settings.width}x{settings.height} {settings.layout}"
        raise SourceError(f"{settings.encoder} cannot encode this video ({picture}): {reason(error)}") from error


def missing(encoder: str, why: str) -> DeviceError:
    """The error for an encoder that does not run here."""
    return DeviceError(
        f"{encoder} does not run on this machine: {why}",
        hint="leave out --encoder, or use workers whose devices have it",
    )
