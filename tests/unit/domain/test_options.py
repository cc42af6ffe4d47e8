"""Options: what cannot be used is refused by name, and a job's options come back as they were."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.detectors import CenterFaceOptions, DetectOptions, StubOptions
from farm.domain.options import (
    PRESETS,
    SHAPES,
    STYLES,
    ComposeOptions,
    JobOptions,
    LinkOptions,
    RedactOptions,
    SourceOptions,
    load_options,
    submit_options,
)
from farm.errors import SettingsError

shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
jobs = st.builds(
    JobOptions,
    detect=st.one_of(
        st.builds(CenterFaceOptions, size=st.integers(64, 8192), threshold=shares),
        st.builds(StubOptions, size=st.integers(64, 8192)),
    ),
    link=st.builds(LinkOptions, gap=st.floats(0, 10), hold=st.floats(0, 10), birth=shares),
    redact=st.builds(
        RedactOptions,
        style=st.sampled_from(sorted(STYLES)),
        shape=st.sampled_from(SHAPES),
        margin=st.floats(0, 5),
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
    assert options.detect == CenterFaceOptions(model="centerface", size=640, threshold=0.12)
    assert (options.link.gap, options.link.hold) == (1.0, 0.25)
    assert options.redact == RedactOptions(style="blur", shape="ellipse", margin=0.3, crf=18, preset="veryfast")
    assert CenterFaceOptions().threshold < options.link.birth


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"unknown option link\.gaps"):
        load_options({"link": {"gaps": 1.0}})


def test_an_option_that_the_detector_does_not_have_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^detect\.threshold: stub has no such option$") as refused:
        load_options({"detect": {"model": "stub", "threshold": 0.5}})
    assert refused.value.field == "detect.threshold"
    with pytest.raises(SettingsError, match=r"^redact\.size: solid has no such option$"):
        load_options({"redact": {"style": "solid", "size": 5}})


def test_each_setting_belongs_to_one_option() -> None:
    settings = [option.setting for option in submit_options()]
    assert len(set(settings)) == len(settings)


def test_options_are_of_the_class_that_their_detector_declares() -> None:
    for make in (lambda: StubOptions(model="centerface"), DetectOptions, lambda: CenterFaceOptions(model="other")):
        with pytest.raises(SettingsError, match=r"^detect\.model .* \(use centerface\)$"):
            make()


@pytest.mark.parametrize(
    ("kind", "values", "name"),
    [
        (CenterFaceOptions, {"size": 63}, "detect.size 63"),
        (CenterFaceOptions, {"size": 8193}, "detect.size 8193"),
        (CenterFaceOptions, {"threshold": 0.0}, "detect.threshold 0.0"),
        (CenterFaceOptions, {"threshold": 1.0}, "detect.threshold 1.0"),
        (LinkOptions, {"gap": -1.0}, "link.gap -1.0"),
        (LinkOptions, {"gap": float("nan")}, "link.gap nan"),
        (LinkOptions, {"gap": float("inf")}, "link.gap inf"),
        (LinkOptions, {"hold": 11.0}, "link.hold 11.0"),
        (LinkOptions, {"birth": 0.0}, "link.birth 0.0"),
        (RedactOptions, {"style": "image"}, "redact.style image"),
        (RedactOptions, {"shape": "circle"}, "redact.shape circle"),
        (RedactOptions, {"margin": -0.1}, "redact.margin -0.1"),
        (RedactOptions, {"margin": 5.1}, "redact.margin 5.1"),
        (RedactOptions, {"crf": 52}, "redact.crf 52"),
        (RedactOptions, {"crf": -1}, "redact.crf -1"),
        (RedactOptions, {"preset": "quick"}, "redact.preset quick"),
        (RedactOptions, {"codec": "theora"}, "redact.codec theora"),
        (RedactOptions, {"scale": 15}, "redact.scale 15"),
        (StubOptions, {"size": 63}, "detect.size 63"),
        (SourceOptions, {"start": -1.0}, "source.start -1.0"),
        (SourceOptions, {"start": float("inf")}, "source.start inf"),
        (SourceOptions, {"start": 5.0, "end": 5.0}, "source.end 5.0"),
        (SourceOptions, {"end": float("inf")}, "source.end inf"),
        (SourceOptions, {"fps": 0.0}, "source.fps 0.0"),
        (SourceOptions, {"fps": 1001.0}, "source.fps 1001.0"),
        (SourceOptions, {"every": 0.0}, "source.every 0.0"),
        (SourceOptions, {"fps": 1.0, "every": 1.0}, "source.every 1.0"),
        (SourceOptions, {"on_undetectable": "skip"}, "source.on_undetectable skip"),
        (ComposeOptions, {"audio": "mute"}, "compose.audio mute"),
        (ComposeOptions, {"metadata": "some"}, "compose.metadata some"),
        (ComposeOptions, {"pictures": "gif"}, "compose.pictures gif"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(kind: type, values: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingsError, match="not a usable value") as refused:
        kind(**values)
    assert refused.value.message == f"{name}: not a usable value"
    assert refused.value.field == name.split(maxsplit=1)[0]
    assert refused.value.hint


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"detect": {"size": 1}}, "use 64 to 8192 pixels"),
        ({"detect": {"threshold": 1}}, "use above 0 and below 1"),
        ({"redact": {"margin": -1}}, "use 0 to 5"),
        ({"redact": {"style": "oil"}}, "use blur, pixelate, solid"),
        ({"source": {"start": -1}}, "use seconds from the beginning"),
        ({"source": {"fps": -1}}, "use above 0 to 1000 frames a second"),
        ({"source": {"every": -1}}, "use seconds above 0"),
        ({"compose": {"audio": ""}}, "use keep or drop"),
    ],
)
def test_what_can_be_used_is_said(values: dict[str, dict[str, object]], hint: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_options(values)
    assert refused.value.hint == hint
