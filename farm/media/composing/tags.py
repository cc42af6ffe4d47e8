"""Decides which metadata of a source an output keeps."""

from collections.abc import Collection, Mapping

from av.container import InputContainer

from farm.media.composing.arguments import Tags, keeps_any_key
from farm.media.reading.metadata import kept, of_the_file

#: The file's metadata that MP4 keeps as iTunes tags; QuickTime keeps ``make`` and ``model`` too.
_MP4_KEYS = frozenset({
    "title", "artist", "album_artist", "composer", "album", "date", "encoder", "comment", "genre", "copyright",
    "grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "episode_sort",
    "season_number", "media_type", "hd_video", "gapless_playback", "compilation", "disc", "track", "location",
    "creation_time", "make", "model", "author", "software", "timecode",
})  # fmt: skip
#: The file's metadata that each container keeps; all of it where there is no row.
_KEYS = {
    "mp4": _MP4_KEYS,
    "mov": _MP4_KEYS,
    "mpeg": frozenset({"encoder"}),
    "avi": frozenset({
        "title", "artist", "album", "comment", "copyright", "date", "genre", "encoder", "language", "software",
    }),
    **dict.fromkeys(("3gp", "3g2"), frozenset({
        "title", "artist", "author", "genre", "comment", "album", "copyright", "date", "encoder",
        "creation_time", "major_brand", "minor_version", "compatible_brands",
    })),
}  # fmt: skip


def all_tags(
    opened: InputContainer, indexes: Collection[int], container: str, policy: str, *, part: bool
) -> tuple[dict[int | None, Tags], tuple[str, ...]]:
    """The metadata of an output and of its streams, and the keys that the policy removes.

    ``indexes``: of the streams in the source. ``part``: the output begins later, so that a time code is not its own.
    """
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
        if part:
            gone += [key for key in remains if key.lower() == "timecode"]
        if index is None and keeps_any_key(container, remains):
            gone += _twins(remains)
        tags[index] = Tags({k: v for k, v in remains.items() if k not in gone}, (*removed, *gone))
    return tags, tuple(all_removed)


def _twins(tags: Mapping[str, str]) -> list[str]:
    """Keys that libavformat repeats with their language (``make-eng`` beside ``make``)."""
    return [key for key, value in tags.items() if key[-4:-3] == "-" and tags.get(key[:-4]) == value]


def unheld_tags(container: str, tags: Mapping[str, str]) -> list[str]:
    """Keys of the file's metadata that an output cannot hold; Matroska and FLV hold any."""
    held = _KEYS.get(container)
    if held is None or keeps_any_key(container, tags):
        return []
    twins = _twins(tags)
    return [key for key in tags if key not in twins and key.lower() not in held]
