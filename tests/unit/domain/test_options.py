"""Options: what cannot be used is refused by name, and a job's options come back as they were."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.options import (
    PRESETS,
    SHAPES,
    STYLES,
    DetectOptions,
    JobOptions,
    LinkOptions,
    RedactOptions,
    load_options,
)
from farm.errors import SettingsError

shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
jobs = st.builds(
    JobOptions,
    detect=st.builds(DetectOptions, model=st.text(max_size=9), size=st.integers(64, 8192), threshold=shares),
    link=st.builds(LinkOptions, gap=st.floats(0, 10), hold=st.floats(0, 10), birth=shares),
    redact=st.builds(
        RedactOptions,
        style=st.sampled_from(STYLES),
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
    assert (options.detect.model, options.detect.size) == ("centerface", 640)
    assert (options.link.gap, options.link.hold) == (1.0, 0.25)
    assert options.redact == RedactOptions("blur", "ellipse", 0.3, 18, "veryfast")
    assert options.detect.threshold < options.link.birth


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"unknown option link\.gaps"):
        load_options({"link": {"gaps": 1.0}})


@pytest.mark.parametrize(
    ("kind", "values", "name"),
    [
        (DetectOptions, {"size": 63}, "--detect-size 63"),
        (DetectOptions, {"size": 8193}, "--detect-size 8193"),
        (DetectOptions, {"threshold": 0.0}, "--threshold 0.0"),
        (DetectOptions, {"threshold": 1.0}, "--threshold 1.0"),
        (LinkOptions, {"gap": -1.0}, "--gap -1.0"),
        (LinkOptions, {"gap": float("nan")}, "--gap nan"),
        (LinkOptions, {"gap": float("inf")}, "--gap inf"),
        (LinkOptions, {"hold": 11.0}, "--hold 11.0"),
        (LinkOptions, {"birth": 0.0}, "--birth 0.0"),
        (RedactOptions, {"style": "image"}, "--style image"),
        (RedactOptions, {"shape": "circle"}, "--shape circle"),
        (RedactOptions, {"margin": -0.1}, "--margin -0.1"),
        (RedactOptions, {"margin": 5.1}, "--margin 5.1"),
        (RedactOptions, {"crf": 52}, "--crf 52"),
        (RedactOptions, {"crf": -1}, "--crf -1"),
        (RedactOptions, {"preset": "quick"}, "--preset quick"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(kind: type, values: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingsError, match="not a usable value") as refused:
        kind(**values)
    assert name in refused.value.message
    assert refused.value.hint
