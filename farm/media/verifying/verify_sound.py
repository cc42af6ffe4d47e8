"""Checks edited sound by its decoded samples: nothing of the source in edited spans, elsewhere the source's sound.

Both files are decoded, in lockstep. What is to be in them is computed from the edits again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer

from farm.domain.manifest import Manifest, OtherStream
from farm.domain.options import ComposeOptions
from farm.domain.sound import SoundSpan
from farm.errors import SourceError, VerificationError
from farm.media.composing.sound import encoded_streams, source_track
from farm.media.composing.streams import rest_of
from farm.media.composing.trim import Trim
from farm.media.failing import reading
from farm.media.progress import Progress, no_progress
from farm.media.reading.opening import open_source
from farm.media.reading.probe import codec_name
from farm.media.reading.sound import Track, decoded_sound
from farm.media.verifying.compare_streams import StreamPackets
from farm.media.verifying.sound_stream import SoundStream
from farm.media.verifying.verify_streams import open_checks


def check_sound(
    source: InputContainer,
    output: InputContainer,
    pairs: Mapping[int, OtherStream],
    manifest: Manifest,
    container: str,
    options: ComposeOptions,
    spans: Sequence[SoundSpan],
    progress: Progress = no_progress,
) -> None:
    """Compare the edited streams of an output with the source's. ``pairs``: the source's stream by the output's index.

    Raises VerificationError that names the stream, the property and the time: anything of the source in an edited span,
    sound that is missing, not the source's, at another time, of another rate or layout.
    """
    trim, tick = Trim.of(manifest), manifest.source.video.time_base
    ours = {other.index: source_track(source, other.index, other.codec, trim) for other in pairs.values()}
    theirs = {index: Track(index) for index in pairs}
    checks = {
        index: SoundStream(other, ours[other.index], theirs[index], spans, tick, trim.shift, container,
            codec_name(output.streams[index]), _tick(output, index), disguised=options.voice == "disguise")
        for index, other in pairs.items()
    }  # fmt: skip
    by_source = {check.other.index: check for check in checks.values()}
    wanted = decoded_sound(source, Path(source.name), ours, SourceError)
    found = decoded_sound(output, Path(output.name), theirs, VerificationError, progress)
    for track, samples in found:
        check = checks[track.index]
        check.found.add(samples)
        while check.needs:
            following = next(wanted, None)
            if following is None:
                break
            by_source[following[0].index].wanted.add(following[1])
        check.compare()
    for track, samples in wanted:
        by_source[track.index].wanted.add(samples)
        by_source[track.index].compare()
    for check in checks.values():
        check.end()


def _tick(output: InputContainer, index: int) -> Fraction:
    return output.streams[index].time_base or Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class SoundEdits:
    """What of an output's sound was edited: its plan and container, its options, and the spans."""

    manifest: Manifest
    container: str
    options: ComposeOptions
    spans: tuple[SoundSpan, ...]


def copied(
    source: Path, ours: Sequence[StreamPackets], theirs: Sequence[StreamPackets], edits: SoundEdits
) -> tuple[list[StreamPackets], list[StreamPackets]]:
    """The streams of a source and of its output without the sound that was encoded. Raises SourceError."""
    with open_source(source) as opened, reading(source, SourceError, "cannot be read"):
        plan = rest_of(opened, source, edits.manifest, edits.container, edits.options).plan
    codecs = encoded_streams(plan, edits.options, edits.spans)
    kept = [other.index for other in plan.kept if other.kind == "audio"]
    sounds = [stream for stream in theirs if stream.other.kind == "audio"]
    encoded = [stream for index, stream in zip(kept, sounds, strict=False) if index in codecs]
    return [s for s in ours if s.other.index not in codecs], [s for s in theirs if all(s is not e for e in encoded)]


def sound_fault(source: Path, output: Path, edits: SoundEdits) -> str | None:
    """What is wrong with an output's edited sound, in words. Raises SourceError."""
    try:
        with open_source(source) as ours, open_source(output) as theirs:
            pairs = open_checks(ours, theirs, edits.manifest, edits.options, edits.spans).edited
            check_sound(ours, theirs, pairs, edits.manifest, edits.container, edits.options, edits.spans)
    except VerificationError as e:
        return e.message
    return None
