"""The frame rate that a stream's header says. Packets have times of their own: nothing depends on it being exact."""

from fractions import Fraction

_USUAL = Fraction(30)
#: All that MPEG-1 and MPEG-2 can say.
_MPEG = (
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(60),
)
#: SVT-AV1 takes no more than this many frames a second.
_SVT_MOST = Fraction(240)
_MPEG4_MOST = 65_535  # of numerator and denominator


def clock_rate(encoder: str, rate: Fraction | None) -> Fraction:
    """The rate that an encoder is told for a video of ``rate`` frames a second on average (None: not known)."""
    said = rate if rate and rate > 0 else _USUAL
    if encoder in {"mpeg1video", "mpeg2video"}:
        return min(_MPEG, key=lambda able: abs(able - said))
    if encoder == "libsvtav1":
        said = min(said, _SVT_MOST)
    if encoder == "mpeg4" and max(said.numerator, said.denominator) > _MPEG4_MOST:
        return max(Fraction(1), min(Fraction(_MPEG4_MOST), Fraction(round(said))))
    return said
