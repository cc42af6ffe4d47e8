"""What an audit found as one HTML file, with the faces as the source shows them."""

from collections import defaultdict
from html import escape
from pathlib import Path
from typing import Any

from farm.domain.geometry import Box
from farm.domain.time import time_text
from farm.jobs.context import Context
from farm.jobs.tracks import JobTracks
from farm.media.reading.chunk import check_source
from farm.media.reading.stills import stills
from farm.preview.collect import MOST_TRACKS, crop
from farm.preview.page import beginning, image


def audit_page(context: Context, job_id: str, found: dict[str, Any]) -> bytes:
    """The page. ``found``: what :func:`farm.jobs.auditing.audit` returns.

    Raises NotFound, SourceError for a source that is gone or was changed, StorageError, JobFailed.
    """
    tracks = JobTracks(context, job_id, masked=True)
    source, faces = tracks.manifest.source, found["faces"][:MOST_TRACKS]
    check_source(Path(source.path), source)
    by_pts: dict[int, list[int]] = defaultdict(list)
    for number, face in enumerate(faces):
        by_pts[face["pts"]].append(number)
    pictures = {
        number: crop(still, Box(*faces[number]["box"]))
        for pts, still in stills(tracks.manifest, by_pts)
        for number in by_pts[pts]
    }
    count = len(found["faces"])
    said = f"{count} face{'' if count == 1 else 's'} outside the masks, in {found['looks']} frames that were looked at"
    more = f"; the {len(faces)} clearest are shown" if count > len(faces) else ""
    figures = "".join(
        f"<figure>{image(pictures.get(number), 'crop', 'face')}<figcaption>{_words(face)}</figcaption></figure>"
        for number, face in enumerate(faces)
    )
    title = f"{Path(tracks.job.output).name}: audit of job {tracks.job.id}"
    return f'{beginning(title, said + more)}<div class="grid">{figures}</div></html>\n'.encode()


def _words(face: dict[str, Any]) -> str:
    box = ",".join(f"{n:.0f}" for n in face["box"])
    lines = (
        f"{time_text(face['from'])} to {time_text(face['to'])}, {face['score']:.2f}",
        f"--at {face['at']:.3f} --box {box}",
    )
    return "<br>".join(map(escape, lines))
