"""Every property can fail: a verified output is damaged in one way, and the checker must report it."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.executables import find_ffmpeg
from farm.media.verifying.comparing import compare
from tests.matrix.clips import Kitchen
from tests.matrix.journey import Journey, tools_for, travel
from tests.matrix.properties import Allowed, check
from tests.matrix.rows import failures

Travelled = Callable[[str], Journey]

_COPY = "-map 0 -c copy -copyts -avoid_negative_ts disabled -fps_mode passthrough"
_AGAIN = "-map 0 -c copy -copyts -c:v libx264 -preset ultrafast -qp 8 -bf 0 -fps_mode passthrough -enc_time_base demux"
_HEVC = "-map 0 -c:v libx265 -preset ultrafast -tag:v hvc1 -copyts -fps_mode passthrough -enc_time_base demux"
_X265 = "-x265-params log-level=error:qp=8"
_HDR = (
    "-x265-params log-level=error:qp=8:hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:"
    "colormatrix=bt2020nc:master-display=G(13250\\,34500)B(7500\\,3000)R(34000\\,16000)WP(15635\\,16450)L({})"
)
_TURNED = [f"turned_{turn}.mp4" for turn in (90, 180, 270)] + [f"mirrored_{turn}.mp4" for turn in (0, 90)]

#: (clip, the damage, ffmpeg's arguments before and after the input, the properties that must fail)
BREAKS: list[tuple[str, str, str, str, set[str]]] = [
    ("vfr.mp4", "one frame is shown a tick later", "", f"{_COPY} -bsf:v setts=pts=PTS+eq(N\\,7)", {"times"}),
    ("vfr.mp4", "constant rate", "", "-map 0 -c copy -c:v libx264 -qp 8 -bf 0 -fps_mode cfr -r 30", {"times"}),
    ("vfr.mp4", "the last frame is gone", "", f"{_COPY} -bsf:v noise=drop=eq(n\\,39)", {"times", "count"}),
    ("last_long.mp4", "the last frame is short", "", f"{_COPY} -bsf:v setts=duration=3000", {"lasting"}),
    ("open_gop.mp4", "a B-frame is gone", "", f"{_COPY} -bsf:v noise=drop=eq(n\\,3)", {"times", "count"}),
    ("open_gop.mp4", "two frames changed", "", f"{_COPY} -bsf:v setts=pts=PTS+512*(eq(N\\,2)-eq(N\\,3))", {"times"}),
    ("hdr10.mp4", "8 bits", "", f"{_HEVC} -pix_fmt yuv420p {_X265}", {"pixels"}),
    ("hdr10.mp4", "no mastering display", "", f"{_HEVC} -pix_fmt yuv420p10le -vf sidedata=delete {_X265}", {"hdr"}),
    ("hdr10.mp4", "another transfer", "", f"{_COPY} -bsf:v hevc_metadata=transfer_characteristics=18", {"colour"}),
    *[(clip, "no matrix", "-display_rotation 0", _COPY, {"orientation"}) for clip in _TURNED],
    ("turned_90.mp4", "turned the other way", "-display_rotation 270", _COPY, {"orientation"}),
    ("turned_90.mp4", "mirrored", "-display_rotation 90 -display_hflip", _COPY, {"orientation"}),
    ("tff_h264.mp4", "progressive", "", f"{_AGAIN} -vf setfield=prog", {"fields"}),
    ("tff_h264.mp4", "the other field first", "", f"{_AGAIN} -vf setfield=bff -flags +ildct", {"fields"}),
    ("edit_list.mp4", "an edit list hides frames", "-ss 0.3", "-map 0 -c copy", {"times", "count", "hidden"}),
    ("hour.ts", "the hour is gone", "", "-map 0 -c copy", {"times", "packets"}),
    ("hour.ts", "video a tick early", "", f"{_COPY} -muxdelay 0 -bsf:v setts=pts=PTS-1:dts=DTS-1", {"times"}),
    ("tracks.mkv", "one audio track less", "", f"{_COPY} -map -0:2", {"streams", "packets"}),
    ("tracks.mkv", "audio tracks changed places", "", f"{_COPY} -map -0:1 -map 0:1", {"streams"}),
    ("tracks.mkv", "audio 20 ms late", "", f"{_COPY} -bsf:a:0 setts=pts=PTS+20:dts=DTS+20", {"packets"}),
    ("layers.mp4", "audio encoded anew", "", f"{_COPY} -c:a:0 aac", {"packets"}),
    ("tracks.mkv", "another language", "", f"{_COPY} -metadata:s:a:0 language=jpn", {"streams"}),
    ("tracks.mkv", "another default", "", f"{_COPY} -disposition:a:0 default -disposition:a:1 0", {"streams"}),
    ("tracks.mkv", "no chapters", "", f"{_COPY} -map_chapters -1", {"chapters"}),
    ("tracks.mkv", "one subtitle less", "", f"{_COPY} -map -0:s:1", {"streams", "packets"}),
    ("tracks.mkv", "no attachment", "", f"{_COPY} -map -0:t", {"streams", "attachments"}),
    ("tracks.mkv", "the place is back", "", f"{_COPY} -metadata location=+27.5-086.5/", {"metadata"}),
    ("tracks.mkv", "no title", "", f"{_COPY} -metadata title=", {"metadata"}),
    ("anamorphic.mp4", "square pixels", "", f"{_AGAIN} -vf setsar=1", {"aspect"}),
    ("colours.mkv", "another matrix", "", f"{_COPY} -bsf:v h264_metadata=matrix_coefficients=9", {"colour"}),
    ("cfr.mp4", "scaled", "", f"{_AGAIN} -vf scale=158:118", {"size"}),
    ("cfr.mp4", "4:4:4", "", f"{_AGAIN} -pix_fmt yuv444p", {"pixels"}),
    ("cfr.mp4", "softened", "", f"{_AGAIN} -vf boxblur=6", {"picture"}),
    ("cfr.mp4", "another codec", "", f"{_HEVC} -c:a copy {_X265}", {"codec"}),
    ("cfr.mp4", "noise in its packets", "", f"{_COPY} -bsf:v noise=amount=300", {"decodes"}),
]  # fmt: skip
#: Changes that a user may have chosen: ``farm verify`` reports them, or cannot know of them, and does not fail.
CHOSEN = {
    "8 bits", "one audio track less",
    "another default", "no chapters",
    "one subtitle less", "no attachment", "the place is back", "no title", "softened", "another codec",
}  # fmt: skip
#: Clips whose plain copy passes, which shows that copying itself breaks nothing; and the arguments it needs.
SOUND = dict.fromkeys(("vfr.mp4", "open_gop.mp4", "hdr10.mp4", "turned_90.mp4", "tff_h264.mp4", "edit_list.mp4"), "")
SOUND["tracks.mkv"] = "-map_metadata 0 -default_mode passthrough -disposition:s 0"


@pytest.fixture(scope="session")
def travelled(kitchen: Kitchen, tmp_path_factory: pytest.TempPathFactory) -> Travelled:
    """Return a function that gives a clip's verified output, made once: ``travelled("vfr.mp4")``. Do not modify it."""
    made: dict[str, Journey] = {}

    def make(name: str) -> Journey:
        if name not in made:
            made[name] = travel(kitchen.clip(name), tmp_path_factory.mktemp("travelled"), tools_for(name))
        return made[name]

    return make


def harmed(journey: Journey, before: str, after: str, folder: Path) -> Path:
    """Return a copy of an output that ffmpeg made with other options."""
    out = folder / f"harmed{journey.output.suffix}"
    words = [*shlex.split(before), "-i", str(journey.output), *shlex.split(after, posix=False), str(out)]
    subprocess.run([str(find_ffmpeg().path), "-nostdin", "-v", "error", *words], check=True, capture_output=True)
    return out


def not_holding(journey: Journey, output: Path) -> set[str]:
    green = not tools_for(journey.source.name).fixed
    allowed = Allowed(journey.manifest.source.video.index, psnr=38, green=green)
    return {line.partition(":")[0] for line in failures(check(journey.source, output, allowed, journey.rectangles))}


@pytest.mark.parametrize("name", SOUND)
def test_a_plain_copy_is_sound(travelled: Travelled, tmp_path: Path, name: str) -> None:
    journey = travelled(name)
    assert not_holding(journey, journey.output) == set()
    assert compare(journey.source, journey.output).holds
    assert not_holding(journey, harmed(journey, "", f"{_COPY} {SOUND[name]}", tmp_path)) == set()


@pytest.mark.parametrize(
    ("name", "what", "before", "after", "properties"),
    BREAKS,
    ids=[f"{name}: {what}" for name, what, *_ in BREAKS],
)
def test_what_is_broken_is_seen(
    travelled: Travelled, tmp_path: Path, name: str, what: str, before: str, after: str, properties: set[str]
) -> None:
    journey = travelled(name)
    output = harmed(journey, before, after, tmp_path)
    assert properties <= not_holding(journey, output)
    assert compare(journey.source, output).holds == (what in CHOSEN)


def test_a_source_is_not_its_own_output(travelled: Travelled) -> None:
    journey = travelled("cfr.mp4")
    assert not_holding(journey, journey.source) == {"covered"}
