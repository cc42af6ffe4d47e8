"""Repaired copies of sources: made before a job is planned, and kept in the store by what they are."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.filesize import decimal

from farm.digests import file_digest
from farm.domain.artefacts import repaired_name
from farm.domain.manifest import VIDEO
from farm.domain.options import SourceOptions
from farm.domain.printable import shown
from farm.errors import SourceError, StorageError
from farm.jobs.space import existing
from farm.media.composing.repair import plan_repair, write_repaired
from farm.media.failing import reading
from farm.media.reading.chunk import OR_REPAIR
from farm.media.reading.limits import Limits
from farm.media.reading.probe import Probe, probe_source
from farm.media.reading.resizing import probe_as_asked
from farm.storage.base import Storage

#: The copies' time of change, so that the same copy gives the same plan. A later one shows that it was changed.
_MOMENT_NS = 946_684_800 * 10**9

_REPAIRED = "it is repaired already: cut it there, and redact the parts one by one"


@contextmanager
def said_of(source: Path, copy: Path) -> Iterator[None]:
    """Errors of a copy name the source, and do not advise to repair it. Where both are one, they stay as they are."""
    try:
        yield
    except SourceError as e:
        if copy == source:
            raise
        hint = e.hint and e.hint.replace(OR_REPAIR, "")
        hint = _REPAIRED if hint and "--repair" in hint else hint
        raise SourceError(e.message.replace(str(copy), str(source)), hint=hint, field=e.field) from e


@dataclass(frozen=True, slots=True)
class Repairs:
    """Where repaired copies go: the store, and its folder. ``tell`` is given a line before a long copy."""

    store: Storage
    root: Path
    tell: Callable[[str], None] = lambda _: None

    def probe(self, source: Path, options: SourceOptions, limits: Limits) -> tuple[Probe, SourceOptions]:
        """The probe of the repaired copy of a source, and the options with its key; of the source if it needs none.

        Raises SourceError, StorageError where the disk is too small.
        """
        seen = probe_source(source, limits)
        self.tell(shown(f"{source}: is read for --repair"))
        repair = plan_repair(seen, limits)
        if not repair.needed:
            seen = probe_as_asked(source, options, limits)
            return replace(seen, notes=(*seen.notes, "repair: nothing to repair was found")), options
        if any(other.kind == VIDEO for other in seen.others):
            hint = "extract one first, for example: ffmpeg -i IN -map 0:v:0 -map 0:a -c copy OUT"
            raise SourceError(f"{source}: holds several videos, which cannot be repaired together", hint=hint)
        self._check_space(seen)
        self.tell(shown(f"{source}: is copied for --repair ({decimal(seen.size)})"))
        with reading(source, SourceError, "cannot be read"):
            name = repaired_name(repair.suffix, file_digest(source))
        with self.store.put(name) as draft, said_of(source, draft.path):
            notes = write_repaired(repair, draft.path)
            os.utime(draft.path, ns=(_MOMENT_NS, _MOMENT_NS))
        with self.store.fetch(draft.key) as path, said_of(source, path.resolve()):
            copy = probe_as_asked(path.resolve(), options, limits)
        return (
            replace(copy, container=seen.container, notes=(*notes, *copy.notes)),
            replace(options, copy=draft.key),
        )  # fmt: skip

    def _check_space(self, seen: Probe) -> None:
        place = existing(self.root)
        free = shutil.disk_usage(place).free
        if free < 1.05 * seen.size:
            text = f"{place}: {decimal(free)} are free, and the repaired copy needs {decimal(seen.size)}"
            raise StorageError(text, hint="free some space there; `farm clean` deletes what ended jobs left")
