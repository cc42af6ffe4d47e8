"""What is asked of jobs: their options by the settings in force, checked as far as no video is needed for that."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from farm.broker import check_broker
from farm.domain.detectors import NOTHING
from farm.domain.options import PICTURE_FORMATS, JobOptions, load_options, submit_options
from farm.domain.regions import Asked
from farm.errors import SettingsError
from farm.jobs.abilities import try_detector, usable, with_runtime
from farm.jobs.people import with_people
from farm.jobs.placing import Prepared, Request, prepare
from farm.jobs.repairing import Repairs
from farm.local.farm import check_programs, is_running
from farm.media.reading.limits import Limits
from farm.models.brought import with_files
from farm.models.digest import Fetch, fetch_recogniser
from farm.settings import Settings
from farm.signing import Signer
from farm.storage.opening import open_storage

_LOSSLESS = "ffv1"


def job_options(settings: Settings, *, pictures: bool = False, debug: bool = False) -> JobOptions:
    """A job's options, from settings that :func:`load_settings` returned.

    ``pictures``: its frames are written as pictures instead of a video; ``debug``: boxes are drawn on it. Raises
    SettingsError for a value that cannot be used.
    """
    row: dict[str, dict[str, Any]] = defaultdict(dict)
    for option in submit_options():
        section, _, field = option.name.partition(".")
        if (value := getattr(settings, option.setting)) is not None:
            row[section][field] = value
    pictures_as = row["compose"].pop("pictures", PICTURE_FORMATS[0])
    if pictures:
        if row["redact"].keys() & {"codec", "encoder"}:
            raise SettingsError("--frames: cannot be combined with --codec or --encoder; leave them out")
        row["redact"]["codec"] = _LOSSLESS
        row["redact"].pop("crf", None)
        row["compose"]["pictures"] = pictures_as
    if debug:  # of the command line only: no setting may uncover faces
        row["redact"]["debug"] = True
    return load_options(row)


@dataclass(frozen=True, slots=True)
class Checked:
    """Options with all filled in that no video decides; the faces on photos; and the encoders that workers have."""

    settings: Settings
    options: JobOptions
    references: str | None
    encoders: frozenset[str]

    def prepare(
        self,
        source: Path,
        output: Path | None,
        *,
        overwrite: bool,
        folder: bool = False,
        review: bool = False,
        audit: bool = False,
        strict: bool = False,
        edits: Asked,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Prepared:
        """One video with these options: see :class:`farm.jobs.placing.Request`, and :func:`farm.jobs.placing.prepare`
        for what is raised. ``tell`` is given a line before a long copy.
        """
        settings = self.settings
        request = Request(
            source, output, overwrite, self.options, settings.chunk_seconds, Limits.of(settings), folder,
            (settings.home, settings.store_root), review, audit, strict, edits, self.references,
            Repairs(open_storage(settings), settings.store_root, tell),
        )  # fmt: skip
        return prepare(request, self.encoders)


def check_options(
    settings: Settings,
    options: JobOptions,
    fetch: Fetch,
    *,
    keep: Sequence[Path] = (),
    only: Sequence[Path] = (),
    masks_given: bool = False,
    start: bool = True,
) -> Checked:
    """Check the options of jobs against the machines that do them.

    ``keep``, ``only``: photos; ``masks_given``: no faces are looked for; ``start``: an embedded farm will be started
    where none runs. Raises SettingsError, ModelError, DeviceError, BrokerError, DatabaseError.
    """
    running = settings.embedded and is_running(settings)
    if not running and settings.embedded and start:
        check_programs(settings)  # they will be started after the videos were probed and the model was fetched
    if not settings.embedded:
        check_broker(settings)  # before its workers are asked what they can do
        Signer.load(settings.key_path)
    able = usable(settings, running=running)
    asked = with_runtime(options, able)
    if masks_given:
        asked = replace(asked, detect=replace(asked.detect, detector=NOTHING))
    asked = replace(asked, detect=with_files(asked.detect))
    try_detector(settings, asked.detect)
    if keep or only or asked.people.recogniser:
        fetch_recogniser(asked.people, fetch)
    asked, references = with_people(settings, asked, keep, only)
    return Checked(settings, asked, references, able.encoders)
