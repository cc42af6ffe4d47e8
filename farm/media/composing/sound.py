"""Edits the sound of a source: writes its samples with spans replaced and voices disguised; ffmpeg encodes them as it
composes.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from farm.domain.manifest import Manifest, OtherStream
from farm.domain.options import ComposeOptions
from farm.domain.sound import SoundSpan
from farm.errors import OutputError, SourceError
from farm.media.composing.arguments import EditedSound
from farm.media.composing.disguise import Disguise, new_curve
from farm.media.composing.held import can_be_decoded, encoded_as, holds
from farm.media.composing.replacing import Replacement, replacements_of, with_replacements
from farm.media.composing.streams import StreamPlan, wanted
from farm.media.composing.trim import Trim
from farm.media.encoding.sound import can_be_encoded, rate_for, sound_encoder
from farm.media.failing import reading, writing
from farm.media.progress import Progress, no_progress
from farm.media.reading.opening import open_source
from farm.media.reading.sound import Heard, Samples, SoundFormat, Track, as_float, decoded_sound

_PCM = {
    "u8": "pcm_u8", "s16": "pcm_s16le", "s32": "pcm_s32le", "s64": "pcm_s64le", "flt": "pcm_f32le", "dbl": "pcm_f64le",
}  # fmt: skip
#: Of AAC and Opus.
_MOST_CHANNELS = 8


def is_edited(options: ComposeOptions, spans: Sequence[SoundSpan] = ()) -> bool:
    """Whether an output's sound is not the source's: then it is encoded again."""
    return options.audio != "drop" and not options.pictures and bool(spans or options.voice == "disguise")


def encoded_streams(plan: StreamPlan, options: ComposeOptions, spans: Sequence[SoundSpan] = ()) -> dict[int, str]:
    """The streams of sound that are not copied, with the codecs that they are encoded as if there is an encoder."""
    everything = is_edited(options, spans)
    return {
        other.index: plan.encoded.get(other.index, other.codec)
        for other in plan.kept
        if other.kind == "audio" and (everything or other.index in plan.encoded)
    }


def source_track(opened: InputContainer, index: int, codec: str, trim: Trim) -> Track:
    """A source's stream as it is encoded as ``codec``: the part that an output has, at a rate that the codec takes."""
    track, stream = Track(index, Heard(trim.start, trim.end)), opened.streams[index]
    if isinstance(stream, AudioStream) and (rate := rate_for(codec, stream.rate)) != stream.rate:
        track.format = SoundFormat(rate, stream.layout.name, stream.channels, stream.format.packed.name)
    return track


@dataclass(slots=True)
class _Writer:
    """Writes the samples of a stream to a file of PCM, which keeps the time of each exactly.

    ``began``: the number of the first sample, counted from the output's time 0. ``voices``: through which the samples
    go first, if they are disguised; muted samples do not reach them.
    """

    path: Path
    sound: SoundFormat
    began: int
    replacements: list[Replacement]
    stack: ExitStack
    voices: Disguise | None = None
    _file: OutputContainer | None = None
    _taken: int = 0
    _count: int = 0

    def take(self, samples: Samples) -> None:
        """Append samples of the source. Raises OutputError, StorageError."""
        made = with_replacements(samples, self._taken, self.replacements, self.sound)
        self._taken += len(samples)
        if self.voices is None:
            self._write(made)
        else:
            for disguised in self.voices.push(as_float(made).astype(np.float32)):
                self._write(disguised)

    def end(self, tail: int) -> None:
        """Write what the disguise still holds, and ``tail`` samples of silence."""
        for made in self.voices.end() if self.voices else ():
            self._write(made)
        if tail:
            self._write(self.sound.silence(tail))
        with writing(self.path):
            if self._file is not None:
                self._file.close()

    def _abandon(self) -> None:
        if self._file is not None:
            with suppress(av.error.FFmpegError, OSError):  # what it cannot write any more is not needed
                self._file.close()

    def _write(self, samples: Samples) -> None:
        if self.voices is not None:
            samples = with_replacements(samples, self._count, self.replacements, self.sound)
        with writing(self.path):
            if self._file is None:
                self._file = av.open(str(self.path), "w", format="nut")
                self.stack.callback(self._abandon)
                stream = self._file.add_stream(_PCM[self.sound.sample], rate=self.sound.rate)
                assert isinstance(stream, AudioStream)
                stream.layout = self.sound.layout
                stream.time_base = Fraction(1, self.sound.rate)
            packet = Packet(np.ascontiguousarray(samples).tobytes())
            packet.pts = packet.dts = self.began + self._count
            packet.duration = len(samples)
            packet.time_base = Fraction(1, self.sound.rate)
            packet.stream = self._file.streams.audio[0]
            self._file.mux(packet)
        self._count += len(samples)


def write_sound(
    source: Path,
    manifest: Manifest,
    codecs: Mapping[int, str],
    container: str,
    options: ComposeOptions,
    spans: Sequence[SoundSpan],
    out: Path,
    stack: ExitStack,
    ffmpeg: Path,
    progress: Progress = no_progress,
) -> dict[int, EditedSound]:
    """Write the edited samples of streams of sound to files beside ``out``, which ``stack`` removes.

    ``codecs``: of :func:`encoded_streams`. Returns the files by the stream's index; a stream that has no sound is not
    among them. ``progress`` is called with frames of the video. Raises SourceError for sound that cannot be decoded,
    OutputError for a codec that cannot be encoded, StorageError.
    """  # fmt: skip
    trim, tick = Trim.of(manifest), manifest.source.video.time_base
    curve = new_curve(manifest.seconds) if options.voice == "disguise" else None
    writers: dict[int, _Writer] = {}
    made: dict[int, EditedSound] = {}
    with ExitStack() as files, open_source(source) as opened:
        tracks = {index: source_track(opened, index, codec, trim) for index, codec in codecs.items()}
        seen = in_frames(progress, manifest)
        for track, samples in decoded_sound(opened, source, tracks, SourceError, seen):
            if track.index not in writers:
                assert track.format is not None
                assert track.began is not None
                sound, rate = track.format, track.format.rate
                path = out.with_name(f".{out.name}.sound{track.index}")
                stack.callback(path.unlink, missing_ok=True)
                spread = sound_encoder(codecs[track.index], sound, 0, held_by(container)).encoder.spread
                replacements = replacements_of(spans, tick, track.began, rate, spread)
                began = round((track.began - trim.shift) * rate)
                voices = files.enter_context(Disguise(ffmpeg, sound, curve)) if curve else None
                written = replace(sound, sample="flt") if voices else sound
                writers[track.index] = _Writer(path, written, began, replacements, files, voices)
            writers[track.index].take(samples)
        for index, writer in writers.items():
            track = tracks[index]
            bits = int(track.size * 8 * writer.sound.rate / max(track.count, writer.sound.rate))
            encoded = sound_encoder(codecs[index], writer.sound, bits, held_by(container))
            writer.end(encoded.encoder.tail)
            made[index] = EditedSound(writer.path, writer.sound, encoded)
    return made


def sound_notes(opened: InputContainer, plan: StreamPlan, codecs: Mapping[int, str], container: str) -> list[str]:
    """Notes on streams of sound that are encoded in another codec than the source's, as there is no encoder for it."""
    notes = []
    for other in plan.kept:
        stream, given = opened.streams[other.index], codecs.get(other.index)
        if given is not None and isinstance(stream, AudioStream) and stream.rate:
            sound = SoundFormat(rate_for(given, stream.rate), stream.layout.name, stream.channels, "flt")
            codec = sound_encoder(given, sound, 0, held_by(container)).codec
            if codec != given:
                notes.append(f"stream {other.index} (audio, {other.codec}) was encoded as {codec}")
    return notes


def refuse_unencodable(path: Path, others: Sequence[OtherStream], container: str, options: ComposeOptions) -> None:
    """Raise OutputError for sound that ``options.audio`` is to encode, and that no encoder takes: of many channels.

    Raises SourceError for a file that cannot be read.
    """
    with open_source(path) as opened, reading(path, SourceError, "cannot be read"):
        for other in wanted(others, options):
            codec = encoded_as(container, other, options, opened.format.name)
            stream = opened.streams[other.index]
            if codec is None or not isinstance(stream, AudioStream):
                continue
            if not 0 < stream.channels <= _MOST_CHANNELS:
                raise OutputError(
                    f"stream {other.index} (audio, {other.codec}): its {stream.channels} channels cannot be encoded as "
                    f"{codec}",
                    hint="use compose.audio drop",
                    field="compose.audio",
                )


def refuse_uneditable(others: Sequence[OtherStream], container: str) -> None:
    """Raise OutputError for a stream of sound whose codec cannot be edited in an output of this container."""
    for other in others:
        known = can_be_decoded(other.codec)
        if other.kind == "audio" and not (known and can_be_encoded(other.codec, held_by(container))):
            raise OutputError(
                f"stream {other.index} (audio, {other.codec}): its sound cannot be edited: there is no "
                f"{'encoder' if known else 'decoder'} for it",
                hint="leave all sound out with compose.audio drop, or convert it first: "
                "ffmpeg -i IN -map 0 -c copy -c:a aac OUT",
                field="compose.voice",
            )


def held_by(container: str) -> Callable[[str], bool]:
    """Which codecs of sound a container takes."""
    return lambda codec: holds(container, OtherStream(0, "audio", codec))


def in_frames(progress: Progress, manifest: Manifest) -> Progress:
    """A callback for seconds of the source's clock, which calls ``progress`` with frames; the count never falls."""
    video, most = manifest.source.video, 0
    begins = float(manifest.chunks[0].pts_start * video.time_base)

    def seen(seconds: int) -> None:
        nonlocal most
        share = (seconds - begins) / max(manifest.seconds, 1e-9)
        most = max(most, min(manifest.frames, int(share * manifest.frames)))
        progress(most)

    return seen
