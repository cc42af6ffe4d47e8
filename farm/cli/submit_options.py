"""The options of ``farm submit``, in the groups and the order of its help."""

from pathlib import Path
from typing import Annotated, Any

import typer

from farm.domain.options import CODECS

_SOURCE, _FACES, _VIDEO, _OUTPUT, _RUN = "Source", "Faces", "Encoding", "Output", "Running"


def _option(group: str, say: str, *names: str, **more: Any) -> Any:  # noqa: ANN401 - Typer's own type
    """An option in its group of the help."""
    return typer.Option(*names, help=say, rich_help_panel=group, **more)


SourceArgument = Annotated[list[Path], typer.Argument(metavar="VIDEO", help="The videos. They are never changed.")]

StartOption = Annotated[str | None, _option(_SOURCE, "Begin here: 90, 5s, 1:02:03.5.", metavar="TIME")]
EndOption = Annotated[str | None, _option(_SOURCE, "End before this time of the source.", metavar="TIME")]
FpsOption = Annotated[float | None, _option(_SOURCE, "Keep at most so many frames a second.", metavar="RATE")]
EveryOption = Annotated[str | None, _option(_SOURCE, "Keep one frame in each such interval, as 5s.", metavar="TIME")]
AudioOption = Annotated[str | None, _option(_SOURCE, "keep or drop. Default: keep.", metavar="WHAT")]
MetadataOption = Annotated[
    str | None,
    _option(_SOURCE, "keep, strip-private (no places, no names) or strip. Default: strip-private.", metavar="WHAT"),
]
UndetectableOption = Annotated[
    str | None, _option(_SOURCE, "Frames that cannot be decoded: fail, or blackout. Default: fail.", metavar="WHAT")
]

StyleOption = Annotated[str | None, _option(_FACES, "blur, pixelate or solid. Default: blur.", metavar="STYLE")]
ShapeOption = Annotated[str | None, _option(_FACES, "ellipse or rectangle. Default: ellipse.", metavar="SHAPE")]
MarginOption = Annotated[
    float | None, _option(_FACES, "Share of a face's box added on each side. Default: 0.3.", metavar="SHARE")
]
SizeOption = Annotated[
    int | None,
    _option(
        _FACES,
        "Long side in pixels that faces are sought at; larger finds smaller faces, and takes longer. Default: 640.",
        metavar="PIXELS",
    ),
]
ThresholdOption = Annotated[
    float | None, _option(_FACES, "Lowest score of a detection that counts. Default: 0.12.", metavar="SCORE")
]
GapOption = Annotated[
    float | None, _option(_FACES, "Seconds without detection filled inside a track. Default: 1.", metavar="SECONDS")
]
HoldOption = Annotated[
    float | None, _option(_FACES, "Seconds covered before and after a track. Default: 0.25.", metavar="SECONDS")
]
ModelOption = Annotated[str | None, _option(_FACES, "The detector's model. Default: centerface.", metavar="NAME")]

CodecOption = Annotated[str | None, _option(_VIDEO, f"{', '.join(CODECS)}. Default: the source's.", metavar="NAME")]
EncoderOption = Annotated[
    str | None, _option(_VIDEO, "FFmpeg's name of an encoder, as hevc_nvenc. Default: the codec's.", metavar="NAME")
]
CrfOption = Annotated[int | None, _option(_VIDEO, "Quality, 0 (best) to 51. Default: 18.", metavar="NUMBER")]
PresetOption = Annotated[
    str | None, _option(_VIDEO, "Speed, ultrafast to veryslow. Default: veryfast.", metavar="NAME")
]
ScaleOption = Annotated[
    int | None,
    _option(
        _VIDEO,
        "Shrink the picture to at most this width, as it is shown.",
        metavar="WIDTH",
    ),
]

OutputOption = Annotated[
    Path | None, _option(_OUTPUT, "The redacted video, or a folder. Default: beside the source.", "--output", "-o")
]
OverwriteOption = Annotated[bool, _option(_OUTPUT, "Replace the output if it exists.", "--overwrite")]
FramesOption = Annotated[
    Path | None,
    _option(_OUTPUT, "Write the frames as pictures into this new folder, and no video.", "--frames", metavar="FOLDER"),
]
FramesAsOption = Annotated[str | None, _option(_OUTPUT, "With --frames: png or jpeg. Default: png.", metavar="KIND")]

DetachOption = Annotated[bool, _option(_RUN, "Leave the job to a running farm and return.", "--detach")]
JsonOption = Annotated[bool, _option(_RUN, "Print facts as JSON, one line a job.", "--json")]
DevicesOption = Annotated[
    str | None, _option(_RUN, "For an embedded farm: auto, cpu:N or cuda:0,cuda:1. Default: auto.", metavar="DEVICES")
]
ChunkOption = Annotated[
    float | None,
    _option(_RUN, "Length of a chunk. Default: fitted to the workers.", "--chunk-seconds", metavar="SECONDS"),
]
