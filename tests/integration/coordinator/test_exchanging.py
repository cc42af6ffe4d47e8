"""Masks of a job go to files and come back; edits that are given at submission belong to the job from its beginning."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from farm.database.edits import job_edits
from farm.database.models import Job
from farm.domain.detectors import DetectOptions
from farm.domain.edits import Action
from farm.domain.geometry import Box
from farm.domain.manifest import Manifest
from farm.domain.options import JobOptions, Override
from farm.domain.regions import Asked
from farm.errors import EditError, JobFailed, OutputError, SettingsError
from farm.exchange.formats import FORMATS
from farm.jobs.edits import add_edits, revise, undo
from farm.jobs.exchanging import export_masks, import_masks
from farm.jobs.placing import Request, prepare
from farm.jobs.queries import job_facts
from farm.jobs.retention import clean
from farm.jobs.submit import submit
from farm.jobs.tracks import JobTracks
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_editing import add, finish, marker, masks, published
from tests.integration.coordinator.test_retention import age
from tests.integration.coordinator.test_stages import detected, step, told
from tests.integration.coordinator.test_submit import ALL

AddJob = Callable[..., Manifest]
DAY = 86400.0


def exported(bench: Bench, folder: Path, form: str = "json") -> Path:
    return export_masks(bench.context, "job", form, folder / f"m{FORMATS[form].suffix}", overwrite=True)[0][0]


def take(bench: Bench, path: Path) -> None:
    import_masks(bench.context, "job", path, None, "somebody", "")


def moved(path: Path, frame: int, x: float) -> Path:
    rows = json.loads(path.read_text())
    rows["frames"][frame]["boxes"][0]["x"] = x
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_masks_that_come_back_unchanged_encode_nothing(
    bench: Bench, add_job: AddJob, tmp_path: Path, form: str
) -> None:
    output = published(bench, add_job)
    before = output.read_bytes()
    add(bench, marker(bench).cover("1,2,3.5,4.25", (0.1, 0.3)), *marker(bench).of_tracks(Action.DROP, [0], (0.2, None)))
    if FORMATS[form].styles:
        add(bench, marker(bench).cover_polygon("1,1 9,1.5 5,9", (0.36, None), "11,1 19,1.5 15,9"))
    revise(bench.context, "job")
    step(bench)
    finish(bench)
    made, segments = masks(bench), [bench.chunk(i, "redact").artefact for i in (0, 1)]
    drawn = int(FORMATS[form].styles)
    assert [len(mask.boxes) for mask in made] == [1, 1, 2, 2, 2, 1, 1, 1, 0, drawn]
    take(bench, exported(bench, tmp_path, form))
    assert job_facts(bench.context, "job").unmasked == 1
    assert revise(bench.context, "job") == ("job", True)
    step(bench)
    assert finish(bench) == [("compose", 0)]
    assert masks(bench) == made
    assert [bench.chunk(i, "redact").artefact for i in (0, 1)] == segments
    assert output.read_bytes() != before


def test_a_box_that_was_moved_encodes_its_chunk_and_an_undo_brings_the_other_back(
    bench: Bench, add_job: AddJob, tmp_path: Path
) -> None:
    published(bench, add_job)
    made, segment = masks(bench), bench.chunk(0, "redact").artefact
    take(bench, moved(exported(bench, tmp_path), 7, 31.25))
    revise(bench.context, "job")
    step(bench)
    assert finish(bench) == [("redact", 1), ("compose", 0)]
    assert bench.chunk(0, "redact").artefact == segment
    assert [mask.boxes[0].box.x for mask in masks(bench)] == [31.25 if n == 7 else 9.2 for n in range(10)]
    add_edits(bench.context, "job", lambda before: [undo(before, None, "somebody", "")])
    revise(bench.context, "job")
    step(bench)
    assert finish(bench) == [("redact", 1), ("compose", 0)]
    assert masks(bench) == made


def test_what_a_format_does_not_carry_is_said(bench: Bench, add_job: AddJob, tmp_path: Path) -> None:
    published(bench, add_job)
    style = marker(bench).of_tracks(Action.STYLE, [0], (0.2, None), Override(margin=0.9))
    for edits, said in ((0, None), (1, "mot does not carry styles and polygons, which edits say here")):
        add(bench, *style[:edits])
        for form in FORMATS:
            path = tmp_path / f"m{FORMATS[form].suffix}"
            assert export_masks(bench.context, "job", form, path, overwrite=True)[1] == (
                said if form == "mot" else None
            )


def test_earlier_edits_have_no_effect_on_imported_masks_and_later_ones_have(
    bench: Bench, add_job: AddJob, tmp_path: Path
) -> None:
    published(bench, add_job)
    path = exported(bench, tmp_path)
    add(bench, *marker(bench).of_tracks(Action.DROP, [0], (None, None)), marker(bench).cover("1,2,3,4", (None, None)))
    take(bench, moved(path, 0, 40))
    add(bench, *marker(bench).of_tracks(Action.KEEP, [0], (0.2, None)), marker(bench).cover("50,2,3,4", (0.36, None)))
    revise(bench.context, "job")
    step(bench)
    finish(bench)
    found = masks(bench)
    assert [[b.track for b in mask.boxes] for mask in found] == [*[[0]] * 5, *[[]] * 4, [-1]]  # masks name no tracks
    assert found[0].boxes[0].box.x == 40
    facts = {one.track: one for one in JobTracks(bench.context, "job").facts()}
    assert {number: (one.frames, one.covered, one.edits) for number, one in facts.items()} == {
        0: (10, 5, [4]), -5: (1, 1, [5]),
    }  # fmt: skip


def test_imported_masks_are_kept_as_long_as_their_job(bench: Bench, add_job: AddJob, tmp_path: Path) -> None:
    published(bench, add_job)
    take(bench, exported(bench, tmp_path))
    bench.clock.pass_(30 * DAY)
    store = bench.context.settings.store_root
    age(store, 30 * DAY)
    clean(bench.context, 7 * DAY)
    assert [group.prefix.partition("/")[0] for group in bench.context.store.groups()] == ["imports"]
    bench.clock.pass_(90 * DAY)
    clean(bench.context, 7 * DAY)  # the job is not listed any more
    clean(bench.context, 7 * DAY)
    assert list(bench.context.store.groups()) == []


def test_imported_masks_that_were_damaged_fail_the_job_until_they_are_there_again(
    bench: Bench, add_job: AddJob, tmp_path: Path
) -> None:
    detected(bench, add_job)
    with bench.context.database.write() as session:
        session.merge(bench.job()).review = True
    step(bench)
    path = exported(bench, tmp_path)
    take(bench, path)
    (artefact,) = (bench.context.settings.store_root / "imports").rglob("*.jsonl")
    artefact.write_text("[]")
    with pytest.raises(JobFailed, match=r"the masks that were imported are damaged or gone: imports/.*import FILE"):
        JobTracks(bench.context, "job").facts()
    take(bench, path)
    assert len(JobTracks(bench.context, "job").facts()) == 1
    assert "edit 2 by somebody: replace" in told(bench)


def test_a_file_that_cannot_be_used_changes_nothing(bench: Bench, add_job: AddJob, tmp_path: Path) -> None:
    published(bench, add_job)
    path = exported(bench, tmp_path)
    with pytest.raises(OutputError, match=r"already exists \(--overwrite replaces it\)"):
        export_masks(bench.context, "job", "json", path, overwrite=False)
    with pytest.raises(OutputError, match=r"nowhere is no folder"):
        export_masks(bench.context, "job", "json", tmp_path / "nowhere" / "m.json", overwrite=False)
    moved(path, 3, float("inf"))
    path.write_text(path.read_text().replace("Infinity", '"inf"'))
    with pytest.raises(EditError, match=r"m.json: frame 3, box 1: the coordinate 'inf' is not a number"):
        take(bench, path)
    rows = json.loads(exported(bench, tmp_path).read_text())
    for frame in rows["frames"]:
        frame["boxes"] = []
    path.write_text(json.dumps(rows))
    with pytest.raises(EditError, match=r"m.json covers nothing in any of the 10 frames"):
        take(bench, path)
    moved(exported(bench, tmp_path), 3, 90.0)  # of a picture that is 64 pixels wide
    with pytest.raises(EditError, match=r"m.json: frame 3: a box of track 0 lies outside the picture"):
        take(bench, path)
    with bench.context.database.read() as session:
        assert job_edits(session, "job") == []
    assert not list(bench.context.settings.store_root.rglob("imports/*/*"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["home", "in.mp4", "m.json", "out.mp4"]


def asked(source: Path, output: Path, edits: Asked, detector: str | None = None) -> Request:
    options = JobOptions(detect=DetectOptions(detector=detector))
    return Request(source, output, overwrite=False, options=options, edits=replace(edits, author="somebody"))


def submitted(bench: Bench, request: Request) -> Job:
    return bench.job(submit(bench.context, prepare(request, ALL), "1" * 64, 1).job)


def test_edits_at_submission_are_the_job_s_first(bench: Bench, clip: Path, tmp_path: Path) -> None:
    edits = Asked(cover=("10%,10%,20,10%@0:00.2-0.4",), ignore=("0,0,9,9",), only=("5,5,20,20", "1,1,4,4@-0.3"))
    request = asked(clip, tmp_path / "out.mp4", edits)
    job = submitted(bench, request)
    with bench.context.database.read() as session:
        found = job_edits(session, job.id)
    assert [(e.number, e.action.value, e.author, e.begins is None) for e in found] == [
        (1, "cover", "somebody", False), (2, "ignore", "somebody", True), (3, "only", "somebody", True),
        (4, "only", "somebody", True),
    ]  # fmt: skip
    assert found[1].where[0].box == Box(0, 0, 9, 9)
    again = submit(bench.context, prepare(request, ALL), "1" * 64, 1)
    assert (again.job, again.resumed) == (job.id, True)  # its edits are those that it has
    with pytest.raises(OutputError, match=rf"is the output of job {job.id}, which is not finished"):
        submitted(bench, asked(clip, tmp_path / "out.mp4", Asked(cover=("1,1,5,5",))))


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (Asked(cover=("9000,9000,5,5",)), r'"9000,9000,5,5" lies outside the picture'),
        (Asked(cover=("1,1 5,5",)), r'"1,1 5,5" is not a polygon'),
        (Asked(only=("1,1 9,1 5,9",)), r'"1,1 9,1 5,9" is not a box'),
        (Asked(cover=("1,1,5",)), r'"1,1,5" is not a box: a box is four numbers'),
        (Asked(cover=("1,1,5,5@0.5-99",)), r"99 s is not in the video"),
        (Asked(ignore=("1,1,5,5@0.5-0.2",)), r"from 0.5 s to 0.2 s is no time"),
        (Asked(only=("1,1,5,5@0.5",)), r'"1,1,5,5@0.5": "0.5" is no time'),
        (Asked(only=("1,1,5,5@a-b",)), r'"1,1,5,5@a-b": "a" is not a time'),
        (Asked(only=("1,1,5,5@-",)), r'"-" is no time'),
        (Asked(detections=Path("/nowhere.json")), r"/nowhere.json: is no file"),
        (Asked(detections=Path("/nowhere.json"), form="yolo"), r"'yolo' is no format of masks"),
    ],
)  # fmt: skip
def test_edits_that_cannot_be_refuse_the_submission(
    bench: Bench, clip: Path, tmp_path: Path, edits: Asked, said: str
) -> None:
    with pytest.raises(EditError, match=said):
        submitted(bench, asked(clip, tmp_path / "out.mp4", edits))
    with bench.context.database.read() as session:
        assert session.query(Job).count() == 0


def test_nothing_is_looked_for_only_where_something_else_is_covered(bench: Bench, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"detect.detector: none finds no face, so that nothing would be covered"):
        submitted(bench, asked(clip, tmp_path / "out.mp4", Asked(ignore=("1,1,5,5",)), "none"))
    assert submitted(bench, asked(clip, tmp_path / "out.mp4", Asked(cover=("1,1,5,5",)), "none")).status == "detecting"


def test_an_import_says_what_it_covers_and_frames_count_where_the_box_is_in_the_picture(
    bench: Bench, add_job: AddJob, tmp_path: Path
) -> None:
    published(bench, add_job)
    path = moved(exported(bench, tmp_path), 3, 70.0)  # beside the picture, as a track that has just left it
    said = import_masks(bench.context, "job", path, None, "somebody", "")[2]
    assert said == "m.json covers something in 9 of 10 frames; before it was 10"
    revise(bench.context, "job")
    step(bench)
    finish(bench)
    found = bench.job().found
    assert found is not None
    assert found["frames"] == 9


def test_regions_at_submission_may_be_polygons(bench: Bench, clip: Path, tmp_path: Path) -> None:
    edits = Asked(cover=("1,1 30,1 10,20@0.5-0.9",), ignore=("10%,10% 90%,10% 50%,90%",))
    job = submitted(bench, asked(clip, tmp_path / "out.mp4", edits))
    with bench.context.database.read() as session:
        cover, ignore = job_edits(session, job.id)
    for edit, action in ((cover, Action.COVER), (ignore, Action.IGNORE)):
        assert edit.action is action
        assert edit.where[0].polygon is not None
    assert cover.begins is not None
