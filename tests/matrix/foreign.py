"""More files to damage: joined recordings, sizes that change, rare formats, and what cameras and others wrote."""

import random
from collections.abc import Mapping

from tests.matrix.clips import Kitchen
from tests.quality.footage import Skipped, footage_folder

#: As :data:`tests.matrix.mutations.FILES`.
RARE: dict[str, str] = {
    "fuzz_h264.ts": "{picture} {tone} {x264} -c:a aac",
    "fuzz_vp8.webm": "{picture} {tone} -c:v libvpx {vpx} -c:a libvorbis",
    "fuzz_two_videos.mp4": "{picture} {picture} -map 0 -map 1 {x264}",
    "fuzz_pal8.avi": "{picture} -vf format=rgb24,format=pal8 -c:v rawvideo -pix_fmt pal8 -frames:v 8",
    "fuzz_rgb555.avi": "{picture} -c:v rawvideo -pix_fmt rgb555le -frames:v 8",
    "fuzz_uyvy.mov": "{picture} -c:v rawvideo -pix_fmt uyvy422 -frames:v 8",
    "fuzz_mpeg2.mpg": "{picture} {tone} {mpeg2} -bf 2 -c:a mp2",
    "fuzz_h264.flv": "{picture} {tone} {x264} -c:a aac",
    "fuzz_flv1.flv": "{picture} -f lavfi -i sine=sample_rate=44100:duration=1 -c:v flv1 -c:a adpcm_swf",
    "fuzz_amr.3gp": "{picture} -f lavfi -i sine=sample_rate=8000:duration=1 -map 0:v -map 1:a {mpeg4} -vf scale=176:144"
    " -c:a libopencore_amrnb -ac 1 -ar 8000 -b:a 12.2k",
    "fuzz_theora.ogv": "{picture} {tone} -c:v libtheora -q:v 8 -c:a libvorbis",
    "fuzz_wmv.asf": "{picture} {tone} -c:v wmv2 -c:a wmav2",
    "fuzz_vp8.ivf": "{picture} -c:v libvpx {vpx}",
    "fuzz_exif.mjpeg": "{picture} -c:v mjpeg -pix_fmt yuvj420p -frames:v 8",
    "fuzz_moving.gif": "{picture} -vf fps=20 -frames:v 8",
    "fuzz_cover.mp4": "{picture} {tone} -i {folder}/cover.png -map 0 -map 1 -map 2 {x264} -c:v:1 copy -c:a aac"
    " -disposition:v:1 attached_pic",
    "fuzz_dvd.mkv": "{picture} {tone} {mpeg2} -c:a ac3 -write_crc32 0",
}
#: Files made of others, one behind the other.
JOINED: dict[str, tuple[str, str]] = {
    "fuzz_joined.ts": ("fuzz_h264.ts", "fuzz_h264.ts"),
    "fuzz_two_codecs.ts": ("fuzz_h264.ts", "fuzz_mpeg2.ts"),
    "fuzz_joined.webm": ("fuzz_vp8.webm", "fuzz_vp8.webm"),
    "fuzz_joined.mpg": ("fuzz_mpeg2.mpg", "fuzz_mpeg2.mpg"),
    "fuzz_joined.flv": ("fuzz_h264.flv", "fuzz_h264.flv"),
}
_SMALLER = "{picture} {tone} -vf scale=96:72 {x264} -c:a aac"
#: How a damaged file is submitted, and how often.
WAYS = ("plain", "plain", "repair", "resize")


def foreign(kitchen: Kitchen, usual: Mapping[str, bytes]) -> dict[str, bytes]:
    """Name to content: what is made here, and real files where there is footage (``FARM_TEST_DATA``)."""
    made = {name: kitchen.clip(name, recipe).read_bytes() for name, recipe in RARE.items()}
    known = {**usual, **made}
    made |= {name: b"".join(known[part] for part in parts) for name, parts in JOINED.items()}
    made["fuzz_sizes.ts"] = known["fuzz_h264.ts"] + kitchen.clip("fuzz_smaller.ts", _SMALLER).read_bytes()
    try:
        wild = sorted((footage_folder() / "videos" / "wild").glob("*"))
    except Skipped:
        wild = []
    return made | {path.name: path.read_bytes() for path in wild}


def way(chance: random.Random) -> str:
    """How a file is submitted: one of :data:`WAYS`."""
    return chance.choice(WAYS)
