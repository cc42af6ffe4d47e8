"""Decides what an output takes from the source apart from the video: streams, metadata and chapters."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer

from farm.domain.manifest import Manifest
from farm.domain.options import ComposeOptions
from farm.media.composing.arguments import Tags, keeps_any_key
from farm.media.composing.streams import USUAL, StreamPlan, plan_streams
from farm.media.composing.trim import Chapter, Trim, chapters_of
from farm.media.reading.metadata import kept, names, of_the_file
from farm.media.reading.stream_details import stream_details

#: The file's metadata that MP4 keeps as iTunes tags; QuickTime keeps ``make`` and ``model`` too.
_MP4_KEYS = frozenset({
    "title", "artist", "album_artist", "composer", "album", "date", "encoder", "comment", "genre", "copyright",
    "grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "episode_sort",
    "season_number", "media_type", "hd_video", "gapless_playback", "compilation", "disc", "track", "location",
    "creation_time", "make", "model", "author", "software", "timecode",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rest:
    """What an output takes apart from the video. ``tags``: metadata by stream, None for the file's own."""

    plan: StreamPlan
    tags: Mapping[int | None, Tags]
    chapters: tuple[Chapter, ...]
    #: whether the output's chapters differ from the source's
    changed: bool
    notes: tuple[str, ...]


def rest_of(
    opened: InputContainer, path: Path, manifest: Manifest, container: str, options: ComposeOptions = USUAL
) -> Rest:
    """Decide what an output takes from a source, with notes for the user. Raises SourceError."""
    trim = Trim.of(manifest)
    details = stream_details(opened, path, texts=options.metadata != "keep")
    plan = plan_streams(manifest.source.others, container, options, details)
    chapters, lost = chapters_of(opened, trim, options.metadata)
    notes = list(plan.notes)
    if chapters and container == "mpegts":
        notes.append("the chapters were left out: mpegts files cannot hold them")
        chapters = []
    tags, removed = _all_tags(opened, manifest, container, options.metadata, trim, plan)
    if removed or lost:
        notes.append(f"metadata left out: {names((*removed, *lost))}")
    unheld = _unheld(container, tags[None].kept)
    if unheld:
        notes.append(f"metadata that {container} files cannot hold: {names(unheld)}")
    if trim.start is not None and any("timecode" in map(str.lower, t.removed) for t in tags.values()):
        notes.append("the time code was left out: it is that of the source's first frame")
    return Rest(plan, tags, tuple(chapters), not trim.whole or bool(lost), tuple(notes))


def _all_tags(
    opened: InputContainer, manifest: Manifest, container: str, policy: str, trim: Trim, plan: StreamPlan
) -> tuple[dict[int | None, Tags], tuple[str, ...]]:
    """The metadata of everything in the output, and the keys that the policy removes."""
    indexes = {manifest.source.video.index, *(o.index for o in plan.kept)}
    owners: dict[int | None, dict[str, str]] = {
        None: opened.metadata,
        **{s.index: s.metadata for s in opened.streams if s.index in indexes},
    }
    tags: dict[int | None, Tags] = {}
    all_removed: list[str] = []
    for index, metadata in owners.items():
        remains, removed = kept(metadata, policy)
        all_removed += removed
        gone = [key for key in metadata if of_the_file(key)]
        if trim.start is not None:
            gone += [key for key in remains if key.lower() == "timecode"]
        if index is None and keeps_any_key(container, remains):
            gone += _twins(remains)
        tags[index] = Tags({k: v for k, v in remains.items() if k not in gone}, (*removed, *gone))
    return tags, tuple(all_removed)


def _twins(tags: Mapping[str, str]) -> list[str]:
    """Keys that libavformat repeats with their language (``make-eng`` beside ``make``)."""
    return [key for key, value in tags.items() if key[-4:-3] == "-" and tags.get(key[:-4]) == value]


def _unheld(container: str, tags: Mapping[str, str]) -> list[str]:
    """Keys of the file's metadata that an MP4 or QuickTime file cannot hold."""
    if container not in ("mp4", "mov") or keeps_any_key(container, tags):
        return []
    twins = _twins(tags)
    return [key for key in tags if key not in twins and key.lower() not in _MP4_KEYS]
