"""What of an H.264 source is not copied: where its parameter sets change, where no group ends, and what is private."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from av.packet import Packet

from farm.domain.options import RedactOptions, SourceOptions
from farm.errors import SourceError
from farm.media.encoding import encode
from farm.media.splicing.h264 import H264
from farm.media.splicing.units import lengthened, units_in, units_of_stream
from tests.integration.media.test_splicing import COVERED, SOURCES, x264
from tests.integration.spliced import all_pictures, changed, packets, pictures, splice
from tests.integration.trips import rendered
from tests.planned import plan_of
from workers.stages.splitting import Runs

UNTOUCHED = frozenset(range(100)) - frozenset(range(40, 80))
#: An SEI message of data of anybody's: a UUID, then what a camera may write.
_PLACE = b"\x06\x05\x23" + bytes(range(1, 17)) + b"GPS 48.2082,16.3738" + b"\x80"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unspliced")


def usual(folder: Path) -> Path:
    return rendered(folder / "usual.mp4", *SOURCES["usual.mp4"])


def rewritten(source: Path, out: Path, change: Callable[[int, bytes], bytes]) -> Path:
    """A copy in which ``change`` made each packet of the video, by its number, another one."""
    with av.open(str(source)) as before, av.open(str(out), "w") as after:
        stream = before.streams.video[0]
        track = after.add_stream_from_template(stream)
        for number, packet in enumerate(p for p in before.demux(stream) if p.size):
            new: Packet[Any] = Packet(change(number, bytes(packet)))
            new.pts, new.dts, new.duration = packet.pts, packet.dts, packet.duration
            new.time_base, new.is_keyframe, new.stream = packet.time_base, packet.is_keyframe, track
            after.mux(new)
    return out


def test_nothing_is_copied_behind_parameter_sets_that_change(folder: Path, tmp_path: Path) -> None:
    """The last two groups have sets of their own in their packets, with the ids of those in the header."""
    other = rendered(folder / "other.mp4", *x264("bframes=3:b-pyramid=normal:cabac=0:ref=2:repeat-headers=1"))
    with av.open(str(other)) as container:
        later = [bytes(p) for p in container.demux(video=0) if p.size]
        header = container.streams.video[0].codec_context.extradata or b""
    assert any(unit[0] & 31 == 7 for unit in units_in(later[60])), header
    source = rewritten(usual(folder), tmp_path / "changing.mkv", lambda n, own: later[n] if n >= 60 else own)
    with av.open(str(source)) as container:
        assert len(list(container.decode(video=0))) == 100
    found = splice(source, tmp_path, {5}, ".mkv", container="matroska", chunk_seconds=10)
    assert found.copied == frozenset(range(20, 60))
    assert len(set(pictures(found.out))) == 100


def test_private_messages_are_left_out_of_copied_packets(folder: Path, tmp_path: Path) -> None:
    source = rewritten(usual(folder), tmp_path / "told.mp4", lambda _, own: lengthened([_PLACE, *units_in(own)]))
    assert source.read_bytes().count(b"GPS 48") == 100
    (tmp_path / "kept").mkdir()
    found = splice(source, tmp_path, COVERED)
    assert b"GPS 48" not in found.out.read_bytes()
    kept = splice(source, tmp_path / "kept", COVERED, metadata="keep")
    assert kept.out.read_bytes().count(b"GPS 48") == len(UNTOUCHED)
    assert kept.copied == UNTOUCHED
    clean = packets(usual(folder))
    without = {n for n, packet in enumerate(packets(found.out)) if packet[1] == clean[n][1]}
    assert without == UNTOUCHED  # but for the message, every packet is as it was


@pytest.mark.parametrize("parameters", ["intra-refresh=1:bframes=0", "open-gop=1:bframes=3"])
def test_key_frames_that_are_none_end_no_group(parameters: str, folder: Path, tmp_path: Path) -> None:
    """Recovery points, and key frames that earlier frames follow: one group, as only the first frame is an IDR."""
    source = rendered(folder / f"{parameters[:5]}.mp4", *x264(parameters))
    for covered, copied in (({50}, frozenset[int]()), (set[int](), frozenset(range(100)))):
        (at := tmp_path / str(len(covered))).mkdir()
        found = splice(source, at, covered, chunk_seconds=10)
        assert found.copied == copied
        assert len(all_pictures(found.out)) == 100


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([*x264(), "-bsf:v", "h264_metadata=crop_right=32"], "a part of the picture is hidden"),
        ([*x264(), "-vf", "interlace", "-flags", "+ilme+ildct"], "two fields make a frame"),
    ],
)
def test_sources_that_are_encoded_as_a_whole(arguments: list[str], why: str, tmp_path: Path) -> None:
    source = rendered(tmp_path / "source.mp4", *arguments)
    manifest, _ = plan_of(source, None, container="mp4")
    assert not manifest.encoder.copies, why


def test_what_only_the_container_states_is_encoded(folder: Path, tmp_path: Path) -> None:
    source = rendered(tmp_path / "wide.mp4", "-i", str(usual(folder)), "-c", "copy", "-aspect", "2:1")
    assert not plan_of(source, None, container="mp4")[0].encoder.copies
    assert plan_of(usual(folder), None, container="mp4")[0].encoder.copies


@pytest.mark.parametrize(
    "redact",
    [
        RedactOptions(untouched="encode"), RedactOptions(scale=104), RedactOptions(overlay="time"),
        RedactOptions(debug=True), RedactOptions(codec="hevc"),
    ],
)  # fmt: skip
def test_options_with_which_every_frame_is_encoded(redact: RedactOptions, folder: Path) -> None:
    assert not plan_of(usual(folder), None, redact=redact, container="mp4")[0].encoder.copies


def test_an_encoder_that_ignores_the_ids_gets_all_frames(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = H264.parameters
    monkeypatch.setattr(
        H264, "parameters", lambda *a: {k: v.replace("sps-id=1:", "") for k, v in asked(*a).items()}
    )  # fmt: skip
    assert not plan_of(usual(folder), None, container="mp4")[0].encoder.copies


def test_a_copy_that_is_not_the_source_is_noticed_and_encoded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right, spoilt = encode._packet, [7]

    def spoil(number: int, content: bytes, key: bool) -> "Packet[Any]":
        if number in spoilt:
            spoilt.remove(number)
            content = content[:-1] + bytes((content[-1] ^ 1,))
        return right(number, content, key)

    monkeypatch.setattr(encode, "_packet", spoil)
    found = splice(usual(folder), tmp_path, {45}, chunk_seconds=10)
    assert found.copied == frozenset()
    assert "is not that of the source" in caplog.text
    assert [n for n, change in enumerate(changed(found.source, found.out)) if change > 20] == [45]


def test_a_source_whose_bytes_changed_is_not_published(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place, with its size and its time: nothing else would tell that a copied frame is not the one examined."""
    source = tmp_path / "source.mp4"
    source.write_bytes(usual(folder).read_bytes())
    made = Runs.of

    def changed_meanwhile(*arguments: Any) -> Runs:
        state, content = source.stat(), bytearray(source.read_bytes())
        with av.open(str(source)) as container:
            at = next(p.pos or 0 for p in container.demux(video=0) if p.pts and not p.is_keyframe)
        content[at + 40] ^= 1
        source.write_bytes(content)
        os.utime(source, ns=(state.st_atime_ns, state.st_mtime_ns))
        return made(*arguments)

    monkeypatch.setattr(Runs, "of", changed_meanwhile)
    with pytest.raises(SourceError, match="content changed"):
        splice(source, tmp_path, {95}, chunk_seconds=10)


def test_frames_that_an_edit_list_hides_are_not_copied(folder: Path, tmp_path: Path) -> None:
    source = rendered(tmp_path / "cut.mp4", "-ss", "0.5", "-i", str(usual(folder)), "-c", "copy")
    manifest, slices = plan_of(source, None)
    assert manifest.frames < 100
    found = splice(source, tmp_path, set(), chunk_seconds=10)
    assert len(packets(found.out)) == manifest.frames
    shown = [packet for packet in packets(source) if packet[0] >= 0]
    first = next(n for n, (_, digest) in enumerate(packets(found.out)) if digest == shown[n][1])
    assert 0 < first < 20
    assert len(slices) == 1


def test_a_part_of_a_source_is_copied_where_it_holds_whole_groups(folder: Path, tmp_path: Path) -> None:
    manifest, _ = plan_of(usual(folder), None, SourceOptions(start=0.5, end=3.3), container="mp4")
    assert manifest.encoder.copies
    assert manifest.picked


def test_start_codes_and_lengths_hold_the_same_units() -> None:
    units = [b"\x67\x00\x00\x03\x01", b"\x68\x01", b"\x65" + bytes(range(1, 200))]
    stream = b"".join((b"\x00\x00\x00\x01", b"\x00\x00\x01")[n % 2] + unit for n, unit in enumerate(units))
    assert list(units_of_stream(stream)) == list(units_in(lengthened(units))) == units
