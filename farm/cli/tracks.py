"""``farm tracks``: lists what a job has found, and whether it is covered."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import typer

from farm.cli.jobs import JobArgument, JsonOption
from farm.cli.tables import cut
from farm.domain.printable import shown
from farm.domain.time import time_text
from farm.domain.track import number_text

if TYPE_CHECKING:
    from farm.jobs.tracks import TrackFacts


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("tracks")(tracks)


def tracks(job: JobArgument, as_json: JsonOption = False) -> None:
    """List the tracks of a job: when each is seen, how large, and whether it is covered.

    In a pipe one line per track, separated by tabs: number, kind, from, to (seconds), frames, covered frames, score,
    width, height, edits, person, and what was decided because of photos. What edits added has their number with a plus.
    """
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.tracks import JobTracks
    from farm.settings import load_settings

    found = JobTracks(open_context(load_settings()), job).facts()
    if as_json:
        display.print_json([facts.row() for facts in found])
    elif found:
        display.print_lines(partial(track_lines, found))
    else:
        display.output.print("no tracks: no face was found, or an edit replaced all")


def track_lines(found: Sequence["TrackFacts"], width: int | None) -> Iterator[str]:
    """The tracks, one after the other. ``width``: of the terminal, None for a pipe: then tabs and no heading."""
    if width is not None:
        yield f"{'track':>6}  {'kind':5}  {'from':>9}  {'to':>9}  {'frames':>6}  score   size        covered"
    for t in found:
        number = number_text(t.track)
        size = f"{t.width:.0f}x{t.height:.0f}"
        if width is None:
            edits = ",".join(map(str, t.edits))
            row = number, t.kind, t.begins, t.ends, t.frames, t.covered, t.score, t.width, t.height, edits
            people = "" if t.person is None else t.person, t.reason
            yield "\t".join(map(str, (*row, *people)))
            continue
        covered = "yes" if t.covered == t.frames else "no" if not t.covered else f"{t.covered} of {t.frames}"
        edits = f" (edit {', '.join(map(str, t.edits))})" if t.edits else ""
        person = "" if t.person is None else f"  person {t.person}"
        times = f"{time_text(t.begins):>9}  {time_text(t.ends):>9}"
        score = "     " if t.track < 0 else f"{t.score:5.2f}"
        said = f"{covered}{edits}{person}"
        yield cut(f"{number:>6}  {t.kind:5}  {times}  {t.frames:6}  {score}   {size:10}  {said}", width)
        if t.reason:
            yield cut(f"{'':6}  by photos {shown(t.reason)}", width)
