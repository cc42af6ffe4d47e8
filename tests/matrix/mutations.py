"""Ten usual files, and ways to damage them that are reproducible from a seed."""

import random
from collections.abc import Sequence

#: The clips to damage: all common containers and codec families; Matroska with and without checksums.
FILES: dict[str, str] = {
    "fuzz_h264.mp4": "{picture} {tone} {x264} -c:a aac",
    "fuzz_hevc.mkv": "{picture} {x265} -write_crc32 0",
    "fuzz_vp9.webm": "{picture} {tone} -c:v libvpx-vp9 {vpx} -c:a libopus",
    "fuzz_mpeg2.ts": "{picture} {tone} {mpeg2} -bf 2 -c:a mp2",
    "fuzz_mjpeg.avi": "{picture} {tone} -c:v mjpeg -q:v 2 -pix_fmt yuvj420p -c:a pcm_s16le",
    "fuzz_prores.mov": "{picture} {prores} -pix_fmt yuv422p10le",
    "fuzz_ffv1.mkv": "{picture} -c:v ffv1 -pix_fmt yuv420p -slicecrc 1 -write_crc32 0",
    "fuzz_av1.mp4": "{picture} {tone} {svt} -c:a aac",
    "fuzz_mpeg4.avi": "{picture} {tone} {mpeg4} -bf 2 -c:a mp3",
    "fuzz_subtitles.mkv": "{picture} {tone} -i {folder}/words.srt -map 0 -map 1 -map 2 {x264} -c:a libopus -c:s subrip"
    " -write_crc32 0",
}


def mutation(seed: int, number: int, names: Sequence[str] = tuple(FILES)) -> tuple[str, str, random.Random]:
    """Return the file and the kind of damage of mutation ``number``, and the random source that decides where."""
    chance = random.Random(f"{seed}/{number}")
    kinds = list(KINDS)
    return names[number % len(names)], kinds[number // len(names) % len(kinds)], chance


def flip(content: bytearray, chance: random.Random) -> bytearray:
    """Flip a few bits anywhere."""
    for _ in range(chance.choice((1, 3, 20, 200))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return content


def flip_in_front(content: bytearray, chance: random.Random) -> bytearray:
    """Flip a few bits in the headers."""
    for _ in range(chance.choice((1, 2, 5))):
        content[chance.randrange(min(1500, len(content)))] ^= 1 << chance.randrange(8)
    return content


def flip_at_the_end(content: bytearray, chance: random.Random) -> bytearray:
    """Flip a few bits near the end, where MP4 and AVI have their index."""
    for _ in range(chance.choice((1, 2, 5))):
        content[-1 - chance.randrange(min(1500, len(content)))] ^= 1 << chance.randrange(8)
    return content


def truncate(content: bytearray, chance: random.Random) -> bytearray:
    """Cut off the end."""
    return content[: chance.randrange(1, len(content))]


def splice(content: bytearray, chance: random.Random) -> bytearray:
    """Insert garbage."""
    at = chance.randrange(len(content))
    content[at:at] = chance.randbytes(chance.choice((1, 16, 188, 2000)))
    return content


def overwrite(content: bytearray, chance: random.Random) -> bytearray:
    """Overwrite bytes with garbage."""
    at, long = chance.randrange(len(content)), chance.choice((4, 64, 1000, 5000))
    content[at : at + long] = chance.randbytes(min(long, len(content) - at))
    return content


def swap(content: bytearray, chance: random.Random) -> bytearray:
    """Swap two blocks."""
    long = chance.choice((16, 188, 1024))
    if len(content) < 4 * long:
        return flip(content, chance)
    a, b = sorted(chance.randrange(len(content) // long) * long for _ in range(2))
    content[a : a + long], content[b : b + long] = content[b : b + long], content[a : a + long]
    return content


def leave_out(content: bytearray, chance: random.Random) -> bytearray:
    """Remove a piece from the middle."""
    at = chance.randrange(len(content))
    del content[at : at + chance.choice((1, 7, 188, 3000))]
    return content


def lie(content: bytearray, chance: random.Random) -> bytearray:
    """Replace four bytes, where containers have their lengths, with a length that is wrong."""
    near = min(3000, len(content) - 4)
    at = chance.choice((chance.randrange(near), len(content) - 4 - chance.randrange(near)))
    length = chance.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(content), 2 * len(content), 0x01000000))
    content[at : at + 4] = length.to_bytes(4, chance.choice(("big", "little")))
    return content


KINDS = {
    kind.__name__: kind
    for kind in (flip, flip_in_front, flip_at_the_end, truncate, splice, overwrite, swap, leave_out, lie)
}


def damaged(content: bytes, kind: str, chance: random.Random) -> bytes:
    """Return the damaged bytes; they always differ from ``content``."""
    harmed = bytes(KINDS[kind](bytearray(content), chance))
    return harmed if harmed != content else content[:-1]
