"""``farm clean``, and the commands for existing jobs, at the command line: text, JSON, and one line for an error."""

import json
import os
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from farm.database.models import Event, Job, Leader, Worker
from farm.database.session import Database
from farm.domain.detectors import known_weights
from farm.domain.options import JobOptions
from farm.errors import JobFailed
from farm.jobs.queries import check_done
from farm.settings import load_settings
from tests.unit.cli.conftest import Run, facts_of, the_line

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
PLAN = "plans/" + "0" * 32


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Path:
    """A home whose database holds some jobs, and whose store a plan and a detection of the done one."""
    home = tmp_path / "home"
    database = Database(load_settings(home=home).sql_url)
    database.migrate()
    with database.write() as session:
        for name, status in (("aa1", "done"), ("aa2", "cancelled"), ("bb1", "done")):
            session.add(Job(
                id=name, fingerprint="", status=status, source="in.mp4", output="out.mp4", options=asdict(JobOptions()),
                container="pictures" if name == "bb1" else "mp4", plan=f"{PLAN}/manifest.json", model_sha256="",
                frames=1, seconds=1.0, created_at=1.5, finished_at=1000.25,
                interrupted="detecting" if status == "cancelled" else None,
            ))  # fmt: skip
            session.flush()
            session.add(Event(job_id=name, at=2.0, text="submitted"))
        session.add(Worker(name="w", incarnation="", host="h", device="cpu0", pid=1, started_at=0.0, seen_at=3.0))
    database.close()
    (home / "store" / "tracks" / ("1" * 32)).mkdir(parents=True)
    (home / "store" / "tracks" / ("1" * 32) / "0_1.jsonl").write_text("123")
    for path in (home / "store").rglob("*"):
        os.utime(path, (0, 0))
    return home


def test_clean_says_what_it_freed(run: Run, home: Path) -> None:
    told = json.loads(run("clean", "--dry-run", "--json").stdout)
    assert told == {
        "dry_run": True, "older_than": 7 * 86400, "files": 1, "size": 3, "database_size": 0, "jobs": 3,
        "artefacts": {"files": 0, "size": 0}, "orphans": {"files": 1, "size": 3}, "unfinished": {"files": 0, "size": 0},
    }  # fmt: skip
    assert run("clean", "--dry-run").stdout.endswith("would free 3 bytes in 1 files\n")
    assert (home / "store" / "tracks" / ("1" * 32)).is_dir()
    said = run("clean", "--older-than", "1h").stdout
    assert "orphans: 3 bytes in 1 files\njobs removed from the list: 3\n" in said
    assert not (home / "store" / "tracks" / ("1" * 32)).exists()
    assert run("list").stdout == "no jobs yet\n"


@pytest.mark.parametrize("words", [("--older-than", "soon"), ("--older-than", "-1")])
def test_a_wrong_age_is_one_line(run: Run, words: tuple[str, str]) -> None:
    assert the_line(run("clean", *words, code=2)).startswith(f"error: --older-than {words[1]}: ")


def test_a_store_that_another_farm_uses_is_one_line(run: Run, home: Path) -> None:
    (home / "store" / ".owners").write_text("another\n")
    line = the_line(run("clean", code=8))
    assert f"the store {home}/store is used by 2 databases: nothing was deleted (" in line
    assert (home / "store" / "tracks" / ("1" * 32)).is_dir()
    (home / "store" / ".owners").write_text("")  # as the line says
    run("clean")


@pytest.mark.parametrize("command", ["status", "watch", "retry", "cancel"])
def test_an_ambiguous_job_is_one_line_that_lists_them(run: Run, command: str) -> None:
    said = "error: more than one job begins with 'aa': aa1, aa2 (give more characters of the id)"
    assert the_line(run(command, "aa", code=2)) == said


def test_retry_says_what_it_cannot_do_and_what_to_do(run: Run) -> None:
    done = "is done (to redo it, submit the video again with"
    assert the_line(run("retry", "aa1", code=2)) == f"error: job aa1 {done} --overwrite)"
    assert the_line(run("retry", "bb1", code=2)) == f"error: job bb1 {done} a new folder after --frames)"
    gone = "planned by another version of the farm, which kept its plan elsewhere (submit the video again)"
    assert the_line(run("retry", "aa2", code=1)) == f"error: job aa2: {gone}"


@pytest.mark.parametrize("kind", ["embedded", "no coordinator", "silent"])
def test_a_job_that_nobody_goes_on_with_is_said(run: Run, home: Path, kind: str) -> None:
    url = {} if kind == "embedded" else {"FARM_BROKER_URL": "redis://localhost:1/0"}
    database = Database(load_settings(home=home).sql_url)
    with database.write() as session:
        session.get_one(Job, "aa2").status = "paused"
        if kind == "silent":
            session.add(Leader(name="coordinator", seen_at=time.time() - 1000))
    database.close()
    says = {
        "embedded": "no farm is running here: start one with `farm up`",
        "no coordinator": "no coordinator: start one with `farm coordinator`\n",
        "silent": "no coordinator for 100",
    }
    done = run("resume", "aa2", **url)
    assert done.stdout == "job aa2: detecting\n"
    assert done.stderr.startswith(says[kind])


def test_times_in_json_have_their_offset(run: Run) -> None:
    for job in (*json.loads(run("list", "--json").stdout), json.loads(run("status", "aa1", "--json").stdout)):
        assert (job["created_at"], job["finished_at"]) == ("1970-01-01T00:00:01.500+00:00",
                                                           "1970-01-01T00:16:40.250+00:00")  # fmt: skip
    (event,) = json.loads(run("status", "aa1", "--json").stdout)["events"]
    assert event == {"at": "1970-01-01T00:00:02.000+00:00", "text": "submitted"}
    farm = json.loads(run("status", "--json").stdout)
    assert [worker["seen_at"] for worker in farm["workers"]] == ["1970-01-01T00:00:03.000+00:00"]
    assert TIME.fullmatch(farm["workers"][0]["seen_at"])


JOB = {
    "id": str, "status": str, "reason": str | None, "source": str, "output": str, "frames": int, "seconds": float,
    "created_at": str, "finished_at": str | None, "notes": list, "failures": int, "stages": list, "container": str,
    "psnr": float | None, "permanent": bool,
}  # fmt: skip
STAGE = {"stage": str, "chunks": int, "chunks_done": int, "chunks_reused": int, "frames": int, "frames_done": int,
         "spent": dict}  # fmt: skip
WORKER = {"name": str, "device": str, "host": str, "pid": int, "alive": bool, "seen_at": str}
FARM = {"running": bool | None, "workers": list, "jobs": list, "job_counts": dict, "store": dict}
MODEL = {"name": str, "title": str, "licence": str, "sha256": str, "state": str, "path": str | None,
         "problem": str | None}  # fmt: skip


def check(row: dict[str, object], schema: dict[str, Any]) -> None:
    """Every name of the schema is there, with a value of its type; more may be."""
    assert row.keys() >= schema.keys()
    for name, kind in schema.items():
        assert isinstance(row[name], kind), (name, row[name])


def test_the_names_and_types_in_json_are_stable(run: Run) -> None:
    jobs = json.loads(run("list", "--json").stdout)
    assert len(jobs) == 3
    for job in jobs:
        check(job, JOB)
        for stage in job["stages"]:
            check(stage, STAGE)
    farm = json.loads(run("status", "--json").stdout)
    check(farm, FARM)
    check(farm["workers"][0], WORKER)
    assert (farm["job_counts"], farm["store"]) == ({"cancelled": 1, "done": 2}, {"files": 1, "size": 3})
    check(json.loads(run("models", "list", "--json").stdout)[0], MODEL)


def test_status_shows_the_size_of_the_store(run: Run) -> None:
    assert run("status").stdout.splitlines()[-1] == "store: 3 bytes in 1 files; jobs: 1 cancelled, 2 done"


@pytest.mark.parametrize("command", ["pull", "verify"])
def test_a_model_that_is_none_is_one_line(run: Run, command: str) -> None:
    line = the_line(run("models", command, "nonsense", code=2))
    assert line == f"error: no model is called 'nonsense' (choose one of {', '.join(sorted(known_weights()))})"
    assert "(did you mean centerface?)" in the_line(run("models", command, "centreface", code=2))
    assert the_line(run("models", command, "centerface", "nonsense", "--json", code=2)) == line  # before any is fetched


def test_weights_that_are_here_are_not_fetched(run: Run, weights: Path) -> None:
    assert run("models", "pull", FARM_MODELS_DIR=str(weights)).stderr == ""


def test_models_as_json(run: Run, weights: Path) -> None:
    for command in ("pull", "verify"):
        row = json.loads(run("models", command, "--json", FARM_MODELS_DIR=str(weights)).stdout)
        assert row["name"] == "centerface"
        assert row["path"] == str(weights / "centerface.onnx")
        assert len(row["sha256"]) == 64


@pytest.mark.parametrize(
    ("facts", "hint"),
    [({"status": "failed"}, "no output was published; try again: farm retry abc"),
     ({"status": "failed", "permanent": True}, "no output was published; a retry would fail again"),
     ({"status": "cancelled"}, "resume it: farm retry abc")],
)  # fmt: skip
def test_a_retry_is_advised_where_it_can_help(facts: Any, hint: str) -> None:
    with pytest.raises(JobFailed) as failed:
        check_done(facts_of(reason="why", **facts))
    assert failed.value.hint == hint
