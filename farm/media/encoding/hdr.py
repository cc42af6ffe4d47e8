"""How each encoder is told of an HDR video's mastering display and light level, and of where its chroma samples lie."""

from collections.abc import Callable

from farm.domain.manifest import Mastering

#: FFmpeg's names of where a chroma sample lies, by its number.
CHROMA_LOCATIONS = {1: "left", 2: "center", 3: "topleft", 4: "top", 5: "bottomleft", 6: "bottom"}
_XY = 50_000  # units of a chromaticity of 1
_CANDELA = 10_000  # units of 1 cd/m2


def _whole(value: int) -> str:
    return str(value)


def _display(mastering: Mastering | None, xy: Callable[[int], str], candela: Callable[[int], str]) -> str | None:
    """``G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)``; None unless the whole of SMPTE ST 2086 is known."""
    if mastering is None or not (mastering.primaries and mastering.white and mastering.luminance):
        return None
    red, green, blue = (mastering.primaries[at : at + 2] for at in (0, 2, 4))
    points = (("G", green), ("B", blue), ("R", red), ("WP", mastering.white))
    said = "".join(f"{name}({xy(x)},{xy(y)})" for name, (x, y) in points)
    most, least = mastering.luminance
    return f"{said}L({candela(most)},{candela(least)})"


def _x264(mastering: Mastering | None, light: tuple[int, int] | None) -> list[str]:
    display = _display(mastering, _whole, _whole)
    said = [f"mastering-display={display}"] if display else []
    return [*said, f"cll={light[0]},{light[1]}"] if light else said


def _x265(mastering: Mastering | None, light: tuple[int, int] | None) -> list[str]:
    display = _display(mastering, _whole, _whole)
    said = [f"master-display={display}"] if display else []
    return [*said, f"max-cll={light[0]},{light[1]}"] if light else said


def _svtav1(mastering: Mastering | None, light: tuple[int, int] | None) -> list[str]:
    # in AV1 a chromaticity is counted in 1/65536: fine enough that rounding to 1/50000 gives the source's number back
    display = _display(mastering, lambda v: f"{v / _XY:.5f}", lambda v: f"{v / _CANDELA:.4f}")
    said = [f"mastering-display={display}"] if display else []
    return [*said, f"content-light={light[0]},{light[1]}"] if light else said


_PARAMETERS = {"libx264": _x264, "libx265": _x265, "libsvtav1": _svtav1}


def hdr_parameters(encoder: str, mastering: Mastering | None, light: tuple[int, int] | None) -> list[str]:
    """The encoder's parameters, ``name=value`` each, that put both into the bitstream.

    None for encoders without any: there the container alone says it (:mod:`farm.media.composing.boxes`).
    """
    write = _PARAMETERS.get(encoder)
    return write(mastering, light) if write else []
