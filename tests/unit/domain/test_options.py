"""Options: what cannot be used is refused by name, and a job's options come back as they were."""

import json
import re
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.detection import FACE, PLATE
from farm.domain.detectors import MERGES, QUALITIES, DetectOptions
from farm.domain.options import (
    CODEC_NAMES,
    CODECS,
    PRESETS,
    SHAPES,
    STYLES,
    ComposeOptions,
    JobOptions,
    LinkOptions,
    Look,
    RedactOptions,
    SourceOptions,
    load_options,
    submit_options,
)
from farm.errors import SettingsError

shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
jobs = st.builds(
    JobOptions,
    detect=st.builds(
        DetectOptions,
        quality=st.sampled_from(QUALITIES),
        detector=st.sampled_from([None, "centerface", "stub", "centerface+stub"]),
        size=st.none() | st.integers(64, 8192),
        threshold=st.none() | shares,
        tiles=st.none() | st.integers(1, 8),
        merge=st.sampled_from(MERGES),
    ),
    link=st.builds(LinkOptions, gap=st.floats(0, 10), hold=st.floats(0, 10)),
    redact=st.builds(
        RedactOptions,
        style=st.sampled_from(STYLES),
        shape=st.sampled_from(SHAPES),
        margin=st.floats(0, 5),
        plate_style=st.none() | st.sampled_from(STYLES),
        plate_margin=st.none() | st.floats(0, 5),
        crf=st.integers(0, 51),
        preset=st.sampled_from(PRESETS),
    ),
)


@given(jobs)
def test_options_are_equal_after_they_were_written_and_read(options: JobOptions) -> None:
    assert load_options(json.loads(json.dumps(asdict(options)))) == options


def test_what_is_not_said_is_the_default() -> None:
    assert load_options({}) == JobOptions()
    assert load_options({"redact": {"style": "solid"}}) == JobOptions(redact=RedactOptions(style="solid"))


def test_the_defaults_that_are_promised() -> None:
    options = JobOptions()
    assert options.detect == DetectOptions(quality="balanced", detector=None, size=None, threshold=None)
    assert (options.link.gap, options.link.hold) == (1.5, 0.3)
    assert options.redact == RedactOptions(style="blur", shape="ellipse", margin=0.3, crf=18, preset="veryfast")


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"unknown option link\.gaps"):
        load_options({"link": {"gaps": 1.0}})


def test_options_of_earlier_versions_are_read() -> None:
    older: dict[str, dict[str, Any]] = {
        "detect": {"model": "stub", "size": 640, "threshold": 0.12},
        "link": {"gap": 2.0, "birth": 0.24},
    }
    options = JobOptions(detect=DetectOptions(detector="stub", size=640, threshold=0.12), link=LinkOptions(gap=2.0))
    assert load_options(older) == options


def test_plates_are_covered_in_their_own_way_where_it_is_said() -> None:
    options = RedactOptions(style="pixelate", margin=0.2)
    assert options.look(FACE) == Look("pixelate", "ellipse", 0.2)
    assert options.look(PLATE) == Look("pixelate", "rectangle", 0.2)
    options = RedactOptions(plate_style="solid", plate_margin=0.0)
    assert (options.look(FACE), options.look(PLATE)) == (Look("blur", "ellipse", 0.3), Look("solid", "rectangle", 0.0))


def test_each_setting_belongs_to_one_option() -> None:
    settings = [option.setting for option in submit_options()]
    assert len(set(settings)) == len(settings)


@pytest.mark.parametrize(
    ("kind", "values", "name"),
    [
        (DetectOptions, {"size": 63}, "detect.size 63"),
        (DetectOptions, {"size": 8193}, "detect.size 8193"),
        (DetectOptions, {"threshold": 0.0}, "detect.threshold 0"),
        (DetectOptions, {"threshold": 1.0}, "detect.threshold 1"),
        (LinkOptions, {"gap": -1.0}, "link.gap -1"),
        (LinkOptions, {"gap": float("nan")}, "link.gap nan"),
        (LinkOptions, {"gap": float("inf")}, "link.gap inf"),
        (LinkOptions, {"hold": 11.0}, "link.hold 11"),
        (RedactOptions, {"style": "oil"}, "redact.style oil"),
        (RedactOptions, {"shape": "circle"}, "redact.shape circle"),
        (RedactOptions, {"margin": -0.1}, "redact.margin -0.1"),
        (RedactOptions, {"margin": 5.1}, "redact.margin 5.1"),
        (RedactOptions, {"crf": 52}, "redact.crf 52"),
        (RedactOptions, {"crf": -1}, "redact.crf -1"),
        (RedactOptions, {"preset": "quick"}, "redact.preset quick"),
        (RedactOptions, {"codec": "theora"}, "redact.codec theora"),
        (RedactOptions, {"scale": 15}, "redact.scale 15"),
        (DetectOptions, {"quality": "best"}, "detect.quality best"),
        (DetectOptions, {"tiles": 9}, "detect.tiles 9"),
        (DetectOptions, {"every": 0}, "detect.every 0"),
        (DetectOptions, {"merge": "all"}, "detect.merge all"),
        (DetectOptions, {"detector": "stubb"}, "detect.detector stubb"),
        (DetectOptions, {"min_size": 20.0, "max_size": 10.0}, "detect.max_size 10"),
        (RedactOptions, {"plate_style": "oil"}, "redact.plate_style oil"),
        (SourceOptions, {"start": -1.0}, "source.start -1"),
        (SourceOptions, {"start": float("inf")}, "source.start inf"),
        (SourceOptions, {"start": 5.0, "end": 5.0}, "source.end 5"),
        (SourceOptions, {"end": float("inf")}, "source.end inf"),
        (SourceOptions, {"fps": 0.0}, "source.fps 0"),
        (SourceOptions, {"fps": 1001.0}, "source.fps 1001"),
        (SourceOptions, {"every": 0.0}, "source.every 0"),
        (SourceOptions, {"on_undetectable": "skip"}, "source.on_undetectable skip"),
        (ComposeOptions, {"audio": "mute"}, "compose.audio mute"),
        (ComposeOptions, {"metadata": "some"}, "compose.metadata some"),
        (ComposeOptions, {"pictures": "gif"}, "compose.pictures gif"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(kind: type, values: dict[str, Any], name: str) -> None:
    option, value = name.split()
    with pytest.raises(SettingsError) as refused:
        kind(**values)
    assert str(refused.value).startswith(f'{option}: "{value}" is not valid; ')
    assert refused.value.field == option


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ({"detect": {"size": 1}}, "use a whole number of pixels from 64 to 8192"),
        ({"detect": {"threshold": 1}}, "use a number above 0 and below 1, or a percentage such as 30%"),
        ({"redact": {"margin": -1}}, "use a number from 0 to 5, or a percentage such as 30%"),
        ({"redact": {"style": "oil"}}, "choose blur, pixelate, solid or image"),
        ({"source": {"start": -1}}, "use a time such as 90, 5s or 1:02:03.5"),
        ({"source": {"start": 3, "end": 2}}, "use a time after source.start"),
        ({"source": {"fps": -1}}, "use a number of frames per second above 0 and at most 1000"),
        ({"source": {"every": -1}}, "use a time such as 90, 5s or 1:02:03.5 above 0"),
        ({"link": {"gap": 11}}, "use a time such as 90, 5s or 1:02:03.5 from 0 to 10"),
        ({"compose": {"audio": ""}}, "choose keep, drop or aac"),
    ],
)
def test_what_can_be_used_is_said(values: dict[str, dict[str, object]], allowed: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_options(values)
    assert str(refused.value).endswith(f" is not valid; {allowed}")


def test_options_that_exclude_each_other_are_named() -> None:
    with pytest.raises(SettingsError, match=r"^source.every: cannot be combined with source.fps; use one of them$"):
        SourceOptions(fps=1.0, every=1.0)


OPTIONS = {option.setting: option for option in submit_options()}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("margin", "30%", 0.3), ("margin", "0.3", 0.3), ("threshold", "12 %", 0.12), ("detect_size", " 640 ", 640),
        ("start", "1:30", 90.0), ("gap", "500ms", 0.5), ("style", "Blur", "blur"), ("style", "gaussian", "gaussian"),
        ("codec", "H.264", "h264"), ("codec", "x264", "h264"), ("codec", "AVC", "h264"), ("codec", "h265", "hevc"),
        ("codec", "x265", "hevc"), ("codec", "av1", "av1"), ("encoder", "libx264", "libx264"), ("crf", 18, 18),
        ("runtime", "OpenVINO", "openvino"),
    ],
)  # fmt: skip
def test_values_are_read_as_people_write_them(name: str, text: object, value: object) -> None:
    assert OPTIONS[name].parse(text) == value


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("crf", "fine", '"fine" is not valid; use a whole number from 0 to 51, or auto'),
        ("crf", "18.5", '"18.5" is not valid; use a whole number from 0 to 51, or auto'),
        ("crf", "30%", '"30%" is not valid; use a whole number from 0 to 51, or auto'),
        ("margin", "much%", '"much%" is not valid; use a number from 0 to 5, or a percentage such as 30%'),
        ("start", "soon", '"soon" is not valid; use a time such as 90, 5s or 1:02:03.5'),
    ],
)
def test_what_is_no_number_or_time_is_said(name: str, text: str, line: str) -> None:
    with pytest.raises(ValueError, match=re.escape(line)):
        OPTIONS[name].parse(text)


def test_other_names_of_codecs_stand_for_one_that_there_is() -> None:
    assert set(CODEC_NAMES.values()) <= set(CODECS)
    assert not set(CODEC_NAMES) & set(CODECS)
