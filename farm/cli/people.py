"""``farm people``: the tracks of a job by the people whom they show."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.edits import AuthorOption, FromOption, ReasonOption, ToOption, append
from farm.cli.jobs import JobArgument, JsonOption
from farm.cli.tables import cut
from farm.domain.edits import Action
from farm.domain.time import time_text
from farm.errors import NotFound, SettingsError

if TYPE_CHECKING:
    from farm.jobs.tracks import TrackFacts

People = Mapping[int, Sequence["TrackFacts"]]

_ACTIONS = (Action.KEEP.value, Action.RESTORE.value)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("people")(people)


def people(
    ctx: typer.Context,
    job: JobArgument,
    action: Annotated[
        str | None, typer.Argument(metavar="[keep|restore]", help="Do not cover people, or cover them again.")
    ] = None,
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[PERSON]", help="As the list numbers them.")] = None,
    begins: FromOption = None,
    ends: ToOption = None,
    reason: ReasonOption = "",
    author: AuthorOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the people whom a job's tracks show, or decide for all tracks of a person.

    For jobs with --keep, --only or --recogniser. In a pipe one line per person, separated by tabs: number, from, to
    (seconds), tracks, frames, covered frames. A track is of nobody where its faces are too few or small to be told.
    """
    from farm.cli import display

    if action is not None:
        if action not in _ACTIONS or not numbers:
            raise SettingsError(f'"{action}" is not valid; write keep PERSON or restore PERSON')
        ctx.obj = job
        said = reason or f"person {', '.join(map(str, numbers))}"
        tracks = _tracks_of(job, numbers)
        append(ctx, author, said, lambda marker: marker.of_tracks(Action(action), tracks, (begins, ends)))
        return
    found = _people(job)
    if as_json:
        display.print_json([{"person": person, "tracks": [t.row() for t in own]} for person, own in found.items()])
    elif found:
        display.print_lines(partial(_lines, found))
    else:
        display.output.print("nobody: no track shows enough faces that can be told")


def _tracks_of(job: str, numbers: Sequence[int]) -> list[int]:
    found = _people(job)
    for number in numbers:
        if number not in found:
            raise NotFound(f"job {job} has no person {number}", hint=f"farm people {job} lists them")
    return [facts.track for number in numbers for facts in found[number]]


def _people(job: str) -> People:
    """The tracks of each person, by number. Raises NotFound where faces were not told apart."""
    from farm.jobs.context import open_context
    from farm.jobs.tracks import JobTracks
    from farm.settings import load_settings

    tracks = JobTracks(open_context(load_settings()), job)
    if not tracks.known and tracks.job.options.get("people", {}).get("recogniser") is None:
        hint = "submit the video with --recogniser, --keep or --only"
        raise NotFound(f"job {tracks.job.id} does not tell people apart", hint=hint)
    found: dict[int, list[TrackFacts]] = defaultdict(list)
    for facts in tracks.facts():
        if facts.person is not None:
            found[facts.person].append(facts)
    return dict(sorted(found.items()))


def _lines(people: People, width: int | None) -> Iterator[str]:
    if width is not None:
        yield f"{'person':>6}  {'from':>9}  {'to':>9}  {'frames':>6}  {'covered':12}  tracks"
    for person, own in people.items():
        begins, ends = min(t.begins for t in own), max(t.ends for t in own)
        frames, covered = sum(t.frames for t in own), sum(t.covered for t in own)
        numbers = ", ".join(str(t.track) for t in own)
        if width is None:
            yield "\t".join(map(str, (person, begins, ends, numbers, frames, covered)))
            continue
        said = "yes" if covered == frames else "no" if not covered else f"{covered} of {frames}"
        yield cut(f"{person:6}  {time_text(begins):>9}  {time_text(ends):>9}  {frames:6}  {said:12}  {numbers}", width)
