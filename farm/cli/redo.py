"""``farm redo``: look for faces again in a part of a video, and what other commands share of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.edits import FromOption, ToOption
from farm.cli.jobs import JobArgument, JsonOption
from farm.cli.revisions import go_on
from farm.domain.detectors import DetectOptions
from farm.errors import SettingsError

if TYPE_CHECKING:
    from farm.settings import Settings

QualityOption = Annotated[str | None, typer.Option(metavar="NAME", help="As for `farm submit`: thorough finds more.")]
DetectorOption = Annotated[str | None, typer.Option(metavar="NAME", help="Another detector, as for `farm submit`.")]
SizeOption = Annotated[
    str | None, typer.Option("--detect-size", metavar="PIXELS", help="Larger finds smaller faces and is slower.")
]
TilesOption = Annotated[str | None, typer.Option(metavar="N", help="Also look at N x N enlarged parts.")]
ThresholdOption = Annotated[str | None, typer.Option(metavar="SCORE", help="Lower finds more, also in vain.")]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("redo")(redo)


def redo(
    job: JobArgument,
    begins: FromOption = None,
    ends: ToOption = None,
    quality: QualityOption = None,
    detector: DetectorOption = None,
    detect_size: SizeOption = None,
    tiles: TilesOption = None,
    threshold: ThresholdOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for faces again in a part of a video, and redact what changed. Edits are kept.

    A whole chunk is looked at wherever it shows any moment of the part, or of a second before and after it.
    """
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.redoing import redo as look_again
    from farm.settings import load_settings

    settings = load_settings()
    given = {"quality": quality, "detector": detector, "size": detect_size, "tiles": tiles, "threshold": threshold}
    if not any(value is not None for value in given.values()):
        hint = "add --quality thorough, --detect-size, --detector, --tiles or --threshold"
        raise SettingsError("nothing says how to look again", hint=hint)
    change = changed_detect(settings, given, quiet=as_json)
    found, chunks = look_again(open_context(settings), job, (begins, ends), change)
    if not as_json:
        display.errors.print(f"job {found}: {chunks} chunk{'' if chunks == 1 else 's'} to be looked at again")
    go_on(found, detach=detach, as_json=as_json)


def changed_detect(
    settings: "Settings", given: dict[str, str | None], *, quiet: bool
) -> Callable[[DetectOptions], DetectOptions]:
    """Changes the options of a job's detector by what was given, as for ``farm submit``; its weights are there then.

    Another quality also replaces the job's own size, tiles and steps. Raises SettingsError, ModelError.
    """
    from farm.cli.model_progress import fetcher
    from farm.jobs.abilities import try_detector
    from farm.models.brought import with_files
    from farm.models.digest import model_digest

    said = DetectOptions.parsed(given)
    if "quality" in said:
        said = {"size": None, "every": None, "tiles": None} | said

    def change(detect: DetectOptions) -> DetectOptions:
        changed = with_files(replace(detect, **said))
        if changed != detect:
            model_digest(changed, fetcher(settings, quiet=quiet), testing=settings.testing)
            try_detector(settings, changed)
        return changed

    return change
