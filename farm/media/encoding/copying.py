"""Decides whether groups of a source's frames are copied, which needs an encoder that can stand beside them."""

import logging
from pathlib import Path

import av
import av.error
from av.video.codeccontext import VideoCodecContext

from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import VideoStream
from farm.domain.options import JobOptions
from farm.errors import DeviceError, SourceError
from farm.media.encoding.opening import encoder_options, open_encoder
from farm.media.splicing.table import planned_splicer

_LOG = logging.getLogger(__name__)


def copying(
    path: Path, video: VideoStream, settings: EncoderSettings, options: JobOptions, container: str
) -> EncoderSettings:
    """The settings with which groups without a mask are copied; ``settings`` unchanged where none can be.

    ``container``: the output's muxer. The encoder is opened: it may not write what it is asked for. Raises SourceError
    for a source that cannot be read.
    """
    try:
        splicer, spliced = planned_splicer(path, video, settings, options, container)
        splicer.header(_header(spliced))
    except (ValueError, DeviceError) as error:
        _LOG.info("%s: all of it is encoded: %s", path, error)
        return settings
    return spliced


def _header(settings: EncoderSettings) -> bytes:
    """What the encoder writes into the header of a segment. Raises ValueError, DeviceError."""
    context = av.CodecContext.create(settings.encoder, "w")
    assert isinstance(context, VideoCodecContext)
    options = encoder_options(settings, 1)
    options["flags"] = options.get("flags", "") + "+global_header"
    context.options = options
    try:
        open_encoder(context, settings, 1)
    except SourceError as error:
        raise ValueError(str(error)) from error
    return context.extradata or b""
