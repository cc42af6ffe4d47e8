"""The manifest: equal after it was written and read, equal texts for equal manifests."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.encoding import EncoderSettings, load_encoder
from farm.domain.manifest import (
    Chunk,
    Manifest,
    Mastering,
    OtherStream,
    Source,
    VideoStream,
    dump_manifest,
    load_manifest,
)
from farm.errors import JobFailed
from tests.planned import ENCODER

counts = st.integers(0, 10**12)
words = st.text(max_size=12)
fractions = st.fractions(min_value=Fraction(1, 10**6), max_value=10**6)
videos = st.builds(
    VideoStream,
    index=counts,
    codec=words,
    width=counts,
    height=counts,
    pix_fmt=words,
    time_base=fractions,
    average_rate=st.none() | fractions,
    sample_aspect=st.none() | fractions,
    color_range=counts,
    color_primaries=counts,
    color_transfer=counts,
    color_space=counts,
    profile=st.none() | words,
    matrix=st.none() | st.tuples(*[counts] * 9),
    fields=st.sampled_from(["progressive", "tff", "bff"]),
    mastering=st.none()
    | st.builds(
        Mastering,
        st.none() | st.tuples(*[counts] * 6),
        st.none() | st.tuples(counts, counts),
        st.none() | st.tuples(counts, counts),
    ),
    light=st.none() | st.tuples(counts, counts),
    chroma_location=st.integers(0, 6),
    timing=st.sampled_from(["stamped", "counted"]),
)
sources = st.builds(
    Source,
    path=words,
    size=counts,
    mtime_ns=counts,
    digest=words,
    container=words,
    video=videos,
    others=st.lists(st.builds(OtherStream, counts, words, words), max_size=3).map(tuple),
)
chunks = st.builds(Chunk, counts, counts, st.integers(), st.integers(), counts, st.integers())
encoders = st.builds(
    EncoderSettings,
    **dict.fromkeys(("encoder", "codec", "muxer", "pix_fmt", "given", "layout", "fields"), words),
    **dict.fromkeys(("width", "height", "color_range", "color_primaries", "color_transfer", "color_space"), counts),
    options=st.dictionaries(words, words, max_size=3),
    time_base=fractions,
    rate=fractions,
    sample_aspect=st.none() | fractions,
    gop=counts,
    counted=st.booleans(),
    reorders=st.booleans(),
)
manifests = st.builds(
    Manifest,
    source=sources,
    chunks=st.lists(chunks, min_size=1, max_size=4).map(tuple),
    encoder=encoders,
    picked=st.booleans(),
    shift=st.integers(),
    until=st.none() | st.integers(),
    notes=st.lists(words, max_size=2).map(tuple),
)


@given(manifests)
def test_a_manifest_is_equal_after_it_was_written_and_read(manifest: Manifest) -> None:
    text = dump_manifest(manifest)
    assert load_manifest(text) == manifest
    assert dump_manifest(load_manifest(text)) == text


@given(manifests)
def test_its_frames_are_those_of_its_chunks(manifest: Manifest) -> None:
    assert manifest.frames == sum(c.frames for c in manifest.chunks)


@given(manifests)
def test_another_format_is_refused_for_good(manifest: Manifest) -> None:
    row = json.loads(dump_manifest(manifest))
    row["format"] += 1
    with pytest.raises(JobFailed, match=r"planned by another version .*submit the video again") as refused:
        load_manifest(json.dumps(row))
    assert refused.value.permanent


@given(encoders)
def test_encoder_settings_are_plain_json_and_back(encoder: EncoderSettings) -> None:
    assert load_encoder(json.loads(json.dumps(encoder.row()))) == encoder


@given(sources)
def test_it_lasts_from_the_first_pts_to_the_end_of_the_last_chunk(source: Source) -> None:
    manifest = Manifest(source, (Chunk(0, 1, -90, 10, 1, -90), Chunk(1, 1, 10, 110, 2, 10)), ENCODER)
    assert manifest.seconds == float(200 * source.video.time_base)


def test_an_artefacts_name_says_which_frames_of_which_stream_it_holds() -> None:
    assert Chunk(3, 1, -90, 512, 7, -100).name == "1_-90_512"


def test_what_is_no_plain_value_is_not_written() -> None:
    source = Source("a", 1, 1, "d", "mov", object(), ())  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError, match="object in a manifest"):
        dump_manifest(Manifest(source, (), ENCODER))
