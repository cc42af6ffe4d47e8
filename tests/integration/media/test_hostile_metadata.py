"""Metadata, chapters and cover art that no camera writes: exact, or one line that says what to do, and soon."""

import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from farm.errors import SourceError
from farm.media.reading.limits import Limits
from farm.media.reading.probe import probe_source
from tests.integration.trips import X264, Rendered, ffmpeg, start, with_sound

Pairs = Sequence[tuple[bytes, bytes]]


def element(kind: int, body: bytes) -> bytes:
    """An EBML element whose size takes eight bytes."""
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + (len(body) | 1 << 56).to_bytes(8, "big") + body


def tags(pairs: Pairs) -> bytes:
    simple = b"".join(element(0x67C8, element(0x45A3, key) + element(0x4487, value)) for key, value in pairs)
    return element(0x1254C367, element(0x7373, element(0x63C0, b"") + simple))


def chapters(count: int) -> bytes:
    """Chapters of ten milliseconds."""
    atoms = (
        element(0x73C4, struct.pack(">I", n + 1))
        + element(0x91, struct.pack(">Q", n * 10_000_000))
        + element(0x80, element(0x85, b"chapter %d" % n) + element(0x437C, b"eng"))
        for n in range(count)
    )
    return element(0x1043A770, element(0x45B9, b"".join(element(0xB6, atom) for atom in atoms)))


def with_elements(source: Path, out: Path, added: bytes) -> Path:
    """A Matroska file with more elements before its first cluster."""
    content = source.read_bytes()
    at = content.index(b"\x18\x53\x80\x67") + 4
    body = at + 9 - content[at].bit_length()
    cluster = content.index(b"\x1f\x43\xb6\x75", body)
    inner = content[body:cluster] + added + content[cluster:]
    out.write_bytes(content[:at] + (len(inner) | 1 << 56).to_bytes(8, "big") + inner)
    return out


@pytest.fixture
def plain(render: Rendered) -> Path:
    return render("plain.mkv", *with_sound(), *X264)


def metadata(path: Path) -> dict[str, str]:
    """By key, in lower case: Matroska's muxer changes the case of some."""
    with av.open(str(path), metadata_errors="replace") as container:
        return {key.lower(): value for key, value in container.metadata.items()}


LONG = b"o" * 300_000
ODD: Pairs = [
    (b"OWNER_" + LONG, b"Joe"), (b"LOCATION=X", b"here"),
    (b"TITLE", b"two\nlines;\r[CHAPTER] = \\ #"), (b"[STREAM]", b"a"),
    (b"COMMENT", b"c" * 1_000_000), (b";X", b"semicolon"), (b"KEY=B", b"value=2"), (b"BYTES", b"\xff\xfe\xe9"),
]  # fmt: skip


def test_metadata_that_no_command_line_holds_is_removed_or_kept_exactly(plain: Path, tmp_path: Path) -> None:
    source = with_elements(plain, tmp_path / "odd.mkv", tags(ODD))
    trip = start(source, tmp_path)
    (note,) = trip.compose()
    trip.verify()
    assert note.startswith("metadata left out: owner_ooo")
    assert len(note) < 200
    wanted, found = metadata(source), metadata(trip.out)
    assert {"title", "[stream]", "comment", ";x", "key=b", "bytes"} <= wanted.keys()
    gone = {key for key in wanted if key.startswith(("owner", "location", "encoder"))}
    assert {key: found.get(key) for key in wanted if key not in gone} == {k: wanted[k] for k in wanted if k not in gone}
    assert [key for key in found if key.startswith(("owner", "location"))] == []
    assert b"Joe" not in trip.out.read_bytes()


def test_thousands_of_private_keys_are_removed(plain: Path, tmp_path: Path) -> None:
    source = with_elements(plain, tmp_path / "many.mkv", tags([(b"OWNER_%d" % n, b"Joe") for n in range(3000)]))
    trip = start(source, tmp_path)
    (note,) = trip.compose()
    trip.verify()
    assert note.endswith(" and 2970 more")
    assert b"Joe" not in trip.out.read_bytes()


def test_too_many_tags_are_refused_before_anything_reads_them(plain: Path, tmp_path: Path) -> None:
    source = with_elements(plain, tmp_path / "tags.mkv", tags([(b"KEY_%d" % n, b"value") for n in range(60_000)]))
    began = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(SourceError, match=r"tags\.mkv: holds 600\d\d metadata tags; at most 4000 .*ffmpeg -i IN"):
        probe_source(source)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - began < 2


def test_too_many_tags_of_an_mp4_are_refused(render: Rendered, tmp_path: Path) -> None:
    words = [word for n in range(4100) for word in ("-metadata", f"k{n}=v")]
    source = render("many.mp4", *with_sound(), *X264, "-movflags", "use_metadata_tags", *words)
    with pytest.raises(SourceError, match="metadata tags; at most 4000"):
        probe_source(source)
    ffmpeg(source, "-map", "0", "-map_metadata", "-1", tmp_path / "few.mp4")  # as the hint says
    probe_source(tmp_path / "few.mp4")


def test_thousands_of_chapters_are_kept(plain: Path, tmp_path: Path) -> None:
    trip = start(with_elements(plain, tmp_path / "chapters.mkv", chapters(20_000)), tmp_path)
    assert trip.compose() == ()
    trip.verify()
    with av.open(str(trip.out)) as container:
        assert len(container.chapters()) == 20_000


def png(width: int, height: int) -> bytes:
    """A black picture, of which a few kilobytes take as much memory as a video."""
    rows = zlib.compressobj(1)
    data = b"".join(rows.compress(bytes(1 + width)) for _ in range(height)) + rows.flush()

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", data) + part(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cover_art_of_too_many_pixels_is_refused_before_it_is_decoded(
    render: Rendered, tmp_path: Path, suffix: str
) -> None:
    video, cover, source = render("cover.mp4", *with_sound(), *X264), tmp_path / "cover.png", tmp_path / f"in{suffix}"
    cover.write_bytes(png(16_000, 12_000))
    attached = ["-attach", str(cover), "-metadata:s:2", "mimetype=image/png", "-map", "0"]
    if suffix == ".mp4":
        attached = ["-i", str(cover), "-map", "0", "-map", "1", "-disposition:v:1", "attached_pic"]
    ffmpeg(video, *attached, source)
    probe = (
        "import sys, pathlib, farm.media.reading.probe as p, farm.errors as e\n"
        "try: p.probe_source(pathlib.Path(sys.argv[1]))\n"
        "except e.SourceError as error: print(error, pathlib.Path('/proc/self/status').read_text())"
    )
    said = subprocess.run([sys.executable, "-c", probe, str(source)], capture_output=True, text=True, check=True).stdout
    assert "its cover art (stream 2) cannot be decoded, or has more than 134217728 pixels" in said
    assert int(said.partition("VmHWM:")[2].split()[0]) < 150_000  # KiB; the picture has 192 MB
    ffmpeg(source, "-map", "0", "-map", "-0:2", tmp_path / f"without{suffix}")  # as the hint says
    probe_source(tmp_path / f"without{suffix}")
    assert len(probe_source(source, Limits(200_000_000)).others) == 2


def test_hundreds_of_streams_are_copied(render: Rendered, tmp_path: Path) -> None:
    words = [word for _ in range(100) for word in ("-map", "1")]
    source = render("streams.mkv", *with_sound(), "-map", "0", *words, *X264)
    trip = start(source, tmp_path)
    trip.compose()
    trip.verify()
    assert len(probe_source(trip.out).others) == 100
