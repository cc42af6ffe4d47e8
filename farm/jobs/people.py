"""Whom a job covers, from what a person asks for: photos are read here, once, before a job is submitted."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from farm.domain.detectors import PATH
from farm.domain.options import JobOptions
from farm.domain.recognisers import (
    DEFAULT,
    Likeness,
    NamedRecogniser,
    PeopleOptions,
    Whom,
    described_recogniser,
    named_recogniser,
)
from farm.errors import SettingsError
from farm.jobs.machine import ask_workers
from farm.models.brought import RECOGNISER_HELP, read_description, recogniser_files
from farm.settings import Settings

_SECONDS = 300  # for photos of many megapixels, and weights that are fetched


def with_people(
    settings: Settings, options: JobOptions, keep: Sequence[Path], only: Sequence[Path]
) -> tuple[JobOptions, str | None]:
    """The options of a job that covers everyone but the people on the photos ``keep``, or ``only`` these; and the faces
    on the photos, as JSON of :mod:`farm.domain.faces`.

    All that its recogniser depends on is fixed in the options. Raises SettingsError for options that do not go
    together and for a photo that cannot be used, ModelError and DeviceError for a recogniser that cannot be.
    """
    asked, photos = options.people, [*keep, *only]
    if keep and only:
        raise SettingsError("--keep and --only cannot be combined", hint="leave one of them out")
    if asked.recogniser is None and not photos:
        for name in ("alike", "margin"):
            if getattr(asked, name) is not None:
                flag = PeopleOptions.options()[name].name
                raise SettingsError(f"{flag}: there is nobody to compare; add --keep or --only", field=flag)
        return options, None
    if double := [path.name for path in photos if [p.name for p in photos].count(path.name) > 1]:
        raise SettingsError(f"two photos are called {double[0]}", hint="give each another name: it is shown with them")
    named, files = recogniser_files(named_recogniser(asked.recogniser or DEFAULT))
    likeness, text = _likeness(named), _read(settings, named, photos)
    people = PeopleOptions(
        whom=(Whom.BUT if keep else Whom.ONLY if only else Whom.EVERYONE).value,
        recogniser=named.written,
        alike=_said(likeness.alike, named.likeness.alike) if asked.alike is None else asked.alike,
        margin=_said(likeness.margin, named.likeness.margin) if asked.margin is None else asked.margin,
        unlike=likeness.unlike,
        smallest=likeness.smallest,
        references=sha256(text.encode()).hexdigest() if photos else None,
        files=files,
    )
    return replace(options, people=people), text if photos else None


def _said(value: float, usual: float) -> float | None:
    """What a file says that is not as usual: what a job's options need not say is not shown with them."""
    return None if value == usual else value


def _likeness(named: NamedRecogniser) -> Likeness:
    """What likeness means with a recogniser: as the file beside it says, where there is one."""
    beside = Path(named.argument).with_suffix(".toml")
    if named.recogniser.argument != PATH or not beside.exists():
        return named.likeness
    return read_description(beside, lambda text: described_recogniser(text, named.recogniser)[1], RECOGNISER_HELP)


def _read(settings: Settings, named: NamedRecogniser, photos: Sequence[Path]) -> str:
    """The faces on photos, from the program that the workers use; without photos the recogniser is only tried."""
    paths = [str(path.expanduser().absolute()) for path in photos]
    asked = f"--recogniser={named.written}", *paths
    return ask_workers(settings, f"{named.written} cannot be tried", *asked, timeout=_SECONDS).strip()
