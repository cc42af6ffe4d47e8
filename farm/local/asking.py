"""What is asked of jobs, checked against the machines that do them as far as no video is needed for that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm.domain.detectors import NOTHING
from farm.domain.options import JobOptions
from farm.domain.regions import Asked
from farm.jobs.abilities import try_detector, with_runtime
from farm.jobs.machine import Abilities
from farm.jobs.people import with_people
from farm.jobs.placing import Prepared, Request, prepare
from farm.jobs.repairing import Repairs
from farm.media.reading.limits import Limits
from farm.models.brought import with_files
from farm.models.digest import Fetch, fetch_recogniser
from farm.settings import Settings
from farm.signing import Signer
from farm.storage.opening import open_storage


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
    able: Abilities,
    *,
    keep: Sequence[Path] = (),
    only: Sequence[Path] = (),
    masks_given: bool = False,
) -> Checked:
    """Check the options of jobs against the machines that do them.

    ``able``: what they can do; ``keep``, ``only``: photos; ``masks_given``: no faces are looked for. Raises
    SettingsError, ModelError, DeviceError.
    """
    if not settings.embedded:
        Signer.load(settings.key_path)
    asked = with_runtime(options, able)
    if masks_given:
        asked = replace(asked, detect=replace(asked.detect, detector=NOTHING))
    asked = replace(asked, detect=with_files(asked.detect))
    try_detector(settings, asked.detect)
    if keep or only or asked.people.recogniser:
        fetch_recogniser(asked.people, fetch)
    asked, references = with_people(settings, asked, keep, only)
    return Checked(settings, asked, references, able.encoders)
