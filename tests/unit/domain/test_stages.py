"""The table of the stages is consistent, and keys and fingerprints follow it."""

import hashlib
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from itertools import pairwise

import pytest

from farm.domain.artefacts import (
    artefact_folder,
    artefact_name,
    digest_in,
    fingerprint_facts,
    is_of_chunk,
    job_fingerprint,
    key_of,
    name_of,
    plan_key,
    pts_key,
    stage_fingerprint,
)
from farm.domain.detectors import DetectOptions
from farm.domain.manifest import Chunk, Manifest, Source, VideoStream, dump_manifest
from farm.domain.options import ComposeOptions, JobOptions, LinkOptions, RedactOptions, SourceOptions
from farm.domain.stages import (
    STAGES,
    WORKER_ERRANDS,
    WORKER_STAGES,
    JobStatus,
    Work,
    next_stage,
    stage_at,
    stage_named,
    work_named,
)
from farm.messages import TASKS as ORDERED
from tests.planned import ENCODER

VIDEO = VideoStream(0, "h264", 64, 48, "yuv420p", Fraction(1, 25), Fraction(25), None, 2, 2, 2, 2)
CHUNKS = (Chunk(0, 0, -5, 0, 5, -5), Chunk(1, 0, 0, 5, 5, 0))
MANIFEST = Manifest(Source("/in.mp4", 1, 1, "0" * 64, "mp4", VIDEO, ()), CHUNKS, ENCODER)
FACTS = fingerprint_facts(MANIFEST, "1" * 64, JobOptions(), "mp4", "plans/p/manifest.json")
AFTER_PLAN = [stage.name for stage in STAGES[1:]]


def test_the_stages_are_the_designs_in_order() -> None:
    assert [s.name for s in STAGES] == ["plan", "detect", "link", "edit", "redact", "compose"]
    assert [s.by for s in STAGES] == ["submit", "worker", "coordinator", "coordinator", "worker", "worker"]


def test_each_stage_waits_for_the_one_before() -> None:
    assert STAGES[0].after is None
    for before, stage in pairwise(STAGES):
        assert stage.after == before.name
        assert next_stage(before) is stage
    assert next_stage(STAGES[-1]) is None


def test_what_a_stage_reads_is_there_for_every_chunk() -> None:
    for index, stage in enumerate(STAGES):
        if stage.inputs:
            source = stage_named(stage.inputs)
            assert source in STAGES[:index]
            assert source.per_chunk


def test_names_statuses_and_keys_are_unique() -> None:
    for values in (
        [s.name for s in STAGES],
        [s.status for s in STAGES],
        [artefact_folder(s.name, "f") for s in STAGES],
        [artefact_name(s.name, "f", "0_5") for s in STAGES],
    ):
        assert len(set(values)) == len(STAGES)


def test_a_key_names_the_chunk_exactly_where_there_is_one_artefact_per_chunk() -> None:
    for stage in STAGES:
        assert (artefact_name(stage.name, "f", "0_5") != artefact_name(stage.name, "f", "5_9")) == stage.per_chunk
        assert artefact_name(stage.name, "f", "0_5") != artefact_name(stage.name, "g", "0_5")


def test_a_status_belongs_to_one_stage_or_to_none() -> None:
    assert {status for status in JobStatus if stage_at(status) is None} == {"paused", "done", "failed", "cancelled"}
    assert all(stage_at(stage.status) is stage for stage in STAGES)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_has_its_module(stage: object) -> None:
    assert isinstance(stage, type(STAGES[0]))
    spec = find_spec(stage.module)
    assert spec is not None
    assert spec.loader is not None
    if stage.by != "submit":
        source = spec.loader.get_source(stage.module)  # type: ignore[attr-defined]  # a loader of files has it
        assert "def run(" in source
    if stage.by == "worker":
        assert stage.module == f"workers.stages.{stage.name}"


def test_orders_are_for_the_stages_of_workers() -> None:
    assert tuple(work.name for work in (*WORKER_STAGES, *WORKER_ERRANDS)) == ORDERED


def test_keys_are_these() -> None:
    none = "e3b0c44298fc1c14"
    ones = hashlib.sha256(b"1" * 64).hexdigest()[:16]
    assert artefact_name("detect", "f", "0_5") == f"detections/f/0_5.{none}.jsonl"
    assert artefact_name("link", "f", "0_5") == f"tracks/f/0_5.{none}.jsonl"
    assert artefact_name("redact", "f", "0_5", ["1" * 64]) == f"segments/f/0_5.{ones}.mp4"
    assert artefact_name("compose", "f", suffix=".mkv") == f"outputs/f/output.{none}.mkv"
    plan = plan_key(MANIFEST)
    assert name_of(plan) == f"plans/{plan.split('/')[1]}/manifest.json"
    assert digest_in(plan) == hashlib.sha256(dump_manifest(MANIFEST).encode()).hexdigest()
    chunk = replace(CHUNKS[0], pts_sha256="2" * 64)
    assert pts_key(plan, chunk) == f"{plan.rpartition('/')[0]}/pts/0_-5_0.{'2' * 64}.json"
    assert plan_key(replace(MANIFEST, shift=1)) != plan


def test_a_key_is_its_name_and_the_digest_of_its_content() -> None:
    name, digest = "segments/f/0_-5_0.c3e7f9a1b4b6dc2b.mp4", "0a" * 32
    assert (name_of(key_of(name, digest)), digest_in(key_of(name, digest))) == (name, digest)
    for key in (name, "a/b", "", "a/b.json", f"a/b.{digest}"):
        assert (name_of(key), digest_in(key)) == ("", "")


def test_other_inputs_give_another_name() -> None:
    for stage in STAGES:
        other = artefact_name(stage.name, "f", "0_5", ["1" * 64]) != artefact_name(stage.name, "f", "0_5", ["2" * 64])
        assert other == (stage.name != "plan")


@pytest.mark.parametrize("work", [*WORKER_STAGES, *WORKER_ERRANDS], ids=lambda work: work.name)
def test_another_request_gives_another_name(work: Work) -> None:
    names = {artefact_name(work.name, "f", "0_5", ["1" * 64], request=request) for request in ({}, {"a": 1}, {"a": 2})}
    assert len(names) == 3


def test_a_key_is_of_its_own_chunk_only() -> None:
    longer = Chunk(0, 10, 0, 5, 5, 0)  # its name ends as that of the other does
    key = artefact_name("redact", "f", CHUNKS[1].name)
    assert [is_of_chunk("redact", "f", key, c) for c in (*CHUNKS, longer)] == [False, True, False]
    assert not is_of_chunk("redact", "f", artefact_name("redact", "f", longer.name), CHUNKS[1])
    assert not is_of_chunk("detect", "f", key, CHUNKS[1])
    assert not is_of_chunk("redact", "g", key, CHUNKS[1])


OTHER = JobOptions(
    detect=DetectOptions(size=960), link=LinkOptions(gap=0.5), redact=RedactOptions(style="solid"),
    source=SourceOptions(every=2.0), compose=ComposeOptions(audio="drop"),
)  # fmt: skip
CHANGED = {**fingerprint_facts(MANIFEST, "2" * 64, OTHER, "matroska", "plans/q"), "source": "2", "encoder": "libx264"}


@pytest.mark.parametrize(
    ("fact", "first"),
    [
        ("source", "detect"),
        ("model", "detect"),
        ("options.detect", "detect"),
        ("options.source", "detect"),
        ("options.link", "link"),
        ("options.redact", "redact"),
        ("encoder", "redact"),
        ("plan", "compose"),
        ("container", "compose"),
        ("options.compose", "compose"),
    ],
)
def test_a_fact_changes_the_fingerprints_from_its_stage_on_and_none_before(fact: str, first: str) -> None:
    changed = {**FACTS, fact: CHANGED[fact]}
    assert changed != FACTS
    differ = [name for name in AFTER_PLAN if stage_fingerprint(name, changed) != stage_fingerprint(name, FACTS)]
    assert differ == AFTER_PLAN[AFTER_PLAN.index(first) :]


def test_every_fact_is_covered_by_one_stage() -> None:
    stage_of_people = work_named("people")
    covered = [fact for stage in (*STAGES[1:], stage_of_people) for fact in stage.covers]
    assert sorted(covered) == sorted(FACTS)


def test_a_jobs_fingerprint_covers_source_model_options_and_container() -> None:
    base = ("0" * 64, "1" * 64, JobOptions(), "mp4")
    others = [("2", *base[1:]), (base[0], "2", *base[2:]), (*base[:2], OTHER, "mp4"), (*base[:3], "matroska")]
    assert len({job_fingerprint(*facts) for facts in (base, *others)}) == 5
