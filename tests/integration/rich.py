"""A clip with everything that a video may have beside its pictures, and ways to look at it that are not ours."""

import hashlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av

from farm.media.reading.videos import is_cover_art
from tests.integration.trips import PICTURE, X264, Rendered, Trip

PLACE = "+48.2082+016.3738/"
Packets = list[tuple[Fraction, str]]


def packets(path: Path, index: int) -> Packets:
    """Each packet's time in seconds and digest, read without any of the code under test."""
    with av.open(str(path)) as container:
        found = container.demux(container.streams[index])
        return [(p.pts * p.time_base, hashlib.sha256(bytes(p)).hexdigest()) for p in found if p.pts is not None]


def picture(path: Path) -> bytes:
    """The samples of a file's cover; in MP4 it has no place among the packets."""
    with av.open(str(path)) as container:
        cover = next(s for s in container.streams.video if is_cover_art(s))
        return next(bytes(frame.planes[0]) for frame in container.decode(cover))


def metadata(path: Path) -> dict[str, str]:
    """All metadata of a file, its streams and chapters, keys in lower case."""
    with av.open(str(path)) as container:
        owners = [container.metadata, *(s.metadata for s in container.streams)]
        owners += [chapter["metadata"] for chapter in container.chapters()]
        return {key.lower(): value for owner in owners for key, value in owner.items() if value}


def part(trip: Trip, first: int, last: int) -> Trip:
    """The chunks ``first`` to ``last`` as a part of their own, as ``--start`` and ``--end`` would give it."""
    chunks = trip.manifest.chunks[first : last + 1]
    manifest = replace(
        trip.manifest, chunks=tuple(replace(c, index=i) for i, c in enumerate(chunks)), picked=True,
        shift=chunks[0].pts_start, until=chunks[-1].pts_end,
    )  # fmt: skip
    return replace(trip, manifest=manifest, pts=trip.pts[first : last + 1], segments=trip.segments[first : last + 1])


def subtitles(folder: Path, *texts: str) -> Path:
    path = folder / "words.srt"
    rows = [f"{n}\n00:00:0{n - 1},300 --> 00:00:0{n - 1},800\n{text}\n" for n, text in enumerate(texts, start=1)]
    path.write_text("\n".join(rows))
    return path


def chapters(folder: Path) -> Path:
    path = folder / "chapters.txt"
    rows = [f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={n}000\nEND={n + 1}000\ntitle=No. {n}\n" for n in range(3)]
    path.write_text(";FFMETADATA1\n" + "".join(rows))
    return path


def rich(render: Rendered, folder: Path, suffix: str) -> Path:
    """A clip with two sound tracks, subtitles, chapters and a place."""
    text = {".mp4": "mov_text", ".mov": "mov_text", ".mkv": "srt"}[suffix]
    return render(
        f"rich{suffix}", "-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", "sine=duration=3",
        "-f", "lavfi", "-i", "sine=frequency=880:sample_rate=48000:duration=3",
        "-i", str(subtitles(folder, "one", "two", "three")), "-i", str(chapters(folder)), *X264, "-map", "0", "-map",
        "1", "-map", "2", "-map", "3", "-map_chapters", "4", "-c:a:0", "aac", "-c:a:1", "ac3", "-c:s", text,
        "-metadata",
        f"location={PLACE}", "-metadata", "title=A title", "-metadata", "artist=Joe", "-metadata:s:1", "language=fra",
        "-metadata:s:2", "language=deu", "-disposition:2", "default+dub",
    )  # fmt: skip
