"""Checks an output's metadata: nothing that the policy removes is in it, and nothing that it keeps is missing."""

import re
from collections.abc import Mapping, Sequence

from av.container import InputContainer
from av.stream import Stream

from farm.domain.manifest import Manifest
from farm.errors import VerificationError
from farm.media.composing.arguments import Tags, keeps_any_key
from farm.media.composing.rest import Rest
from farm.media.reading.metadata import is_private, kept
from farm.media.reading.probe import is_cover_art

#: Muxers add these.
_MADE = frozenset({"encoder", "handler_name", "vendor_id", "language"})
#: What each container is known to keep exactly; the rest may be renamed, shortened or dropped.
_SURE = {
    "mp4": frozenset({"title", "comment", "language"}),
    "mov": frozenset({"title", "comment"}),
    "matroska": frozenset({"title", "comment", "language"}),
    "webm": frozenset({"title", "language"}),
    "mpegts": frozenset[str](),
}
_LANGUAGE = re.compile("[a-z]{3}")


def check_tags(
    rest: Rest,
    policy: str,
    container: str,
    output: InputContainer,
    manifest: Manifest,
    copies: Sequence[tuple[int, Stream]],
) -> None:
    """Raise VerificationError for metadata that ``policy`` removes and for lost metadata, as far as it can be told.

    ``copies``: the output's streams with the index that each had in the source.
    """
    any_key = keeps_any_key(container, rest.tags[None].kept)
    _check("the output", rest.tags[None], output.metadata, policy, container, any_key=any_key)
    videos = [(manifest.source.video.index, s) for s in output.streams.video if not is_cover_art(s)]
    for index, copy in (*videos, *copies):
        tags = rest.tags.get(index)
        if tags is not None and copy.type != "attachment" and not is_cover_art(copy):
            _check(f"stream {index}", tags, copy.metadata, policy, container, any_key=False)
    for chapter in output.chapters():
        _check_removed("a chapter", chapter["metadata"], policy, ())


def _check(where: str, tags: Tags, found: Mapping[str, str], policy: str, container: str, *, any_key: bool) -> None:
    _check_removed(where, found, policy, [key for key in tags.removed if key.lower() == "timecode"])
    have = {key.lower(): value for key, value in found.items()}
    for key, value in tags.kept.items():
        name = key.lower()
        sure = name in _SURE[container] or (any_key and name.startswith("com."))
        if not sure or (name == "language" and (value == "und" or not _LANGUAGE.fullmatch(value))):
            continue
        if where != "the output" and name != "language" and container in ("mp4", "mov"):
            continue  # container tracks store no other metadata there
        if value.strip() and have.get(name, "").strip() != value.strip():
            raise VerificationError(f"{where}: its metadata {key} is {have.get(name)!r}, the source's {value!r}")


def _check_removed(where: str, found: Mapping[str, str], policy: str, removed: Sequence[str]) -> None:
    ours = {key: value for key, value in found.items() if value and key.lower() not in _MADE}
    _, private = kept(ours, policy)
    left = [*private, *(key for key in removed if key.lower() in {name.lower() for name in found})]
    # values that muxers add are checked too, unless nothing is to be removed
    left += [key for key in found if key.lower() in _MADE and policy != "keep" and is_private(key, found[key])]
    if left:
        raise VerificationError(f"{where}: has metadata that was to be left out: {', '.join(left)}")
