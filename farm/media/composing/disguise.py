"""Disguises voices: the program ffmpeg shifts pitch and formants, each by its own amount, which changes at random.

Two passes of the Rubber Band library: one shifts pitch and formants together, the other the pitch alone. Both amounts
wander, so that no single shift in the other direction undoes them. The numbers come from the system's random source and
are kept nowhere.
"""

import contextlib
import os
import queue
import secrets
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np

from farm.errors import OutputError
from farm.media.reading.sound import Samples, SoundFormat
from farm.processes import dying_with_this, scratch_prefix

#: Semitones by which formants are shifted, and by which the pitch is shifted beyond them: least and most, on average;
#: and how far each wanders from its average.
_FORMANTS, _FORMANTS_WANDER = (2.0, 3.5), 1.0
_PITCH, _PITCH_WANDER = (2.0, 3.5), 2.0
#: Seconds between two changes: least and most; more of a sound of many hours, as each change is looked up in a list.
_STEP, _MOST_STEPS = (0.2, 0.6), 10_000
_BLOCK = 65_536  # bytes


def new_curve(seconds: float) -> str:
    """A random disguise for sound of about this length: a graph of filters for ffmpeg. Behind it, it stays as it is."""
    chance = secrets.SystemRandom()
    way = chance.choice((-1, 1))
    formants, pitch = chance.uniform(*_FORMANTS), chance.uniform(*_PITCH)
    longer = max(1.0, (seconds + 60) / (_MOST_STEPS * _STEP[0]))
    commands, time, first = [], 0.0, ""
    while time < seconds + 60:
        shifts = (
            formants + chance.uniform(-_FORMANTS_WANDER, _FORMANTS_WANDER),
            pitch + chance.uniform(-_PITCH_WANDER, _PITCH_WANDER),
        )
        scales = [2 ** (way * shift / 12) for shift in shifts]
        if not first:
            first = (
                f"rubberband@formants=pitch={scales[0]:.6f}:formant=shifted:channels=together,"
                f"rubberband@pitch=pitch={scales[1]:.6f}:formant=preserved:channels=together"
            )
        named = zip(("formants", "pitch"), scales, strict=True)
        commands.append(f"{time:.3f} " + ", ".join(f"rubberband@{name} pitch {scale:.6f}" for name, scale in named))
        time += chance.uniform(*_STEP) * longer
    return f"asendcmd=c='{';'.join(commands)}',{first}"


class Disguise:
    """Disguises one stream as it passes through, in a child process that ends with the block. Length and times stay."""

    def __init__(self, ffmpeg: Path, sound: SoundFormat, curve: str) -> None:
        self._ffmpeg, self._sound, self._curve = ffmpeg, sound, curve
        self._given = self._made = 0
        self._bytes = b""
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix=scratch_prefix(os.getpid()))
        self._said: IO[bytes] = tempfile.TemporaryFile()
        graph = Path(self._folder.name) / "graph.txt"
        graph.write_text(self._curve, encoding="utf-8")
        form = ["-f", "f32le", "-ar", str(self._sound.rate), "-ac", str(self._sound.channels)]
        command = [
            str(self._ffmpeg),
            "-nostdin",
            "-v",
            "error",
            *form,
            "-i",
            "pipe:0",
            "-/af",
            str(graph),
            *form,
            "pipe:1",
        ]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            preexec_fn=dying_with_this(),  # noqa: PLW1509 - two system calls, no lock is taken
        )
        self._reader = threading.Thread(target=self._read, name="disguise", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it did not take is flushed, to nobody
                    pipe.close()
        self._folder.cleanup()

    def push(self, samples: Samples) -> Iterator[Samples]:
        """Take samples (float32), and yield what is ready of those before. Raises OutputError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(samples, "<f4").tobytes())
        except OSError:
            raise self._failed() from None
        self._given += len(samples)
        yield from self._ready()

    def end(self) -> Iterator[Samples]:
        """Yield the rest: as many samples as were taken. Raises OutputError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            raise self._failed() from None
        self._reader.join()
        if self._process.wait():
            raise self._failed()
        yield from self._ready()
        if self._made < self._given:
            yield np.zeros((self._given - self._made, self._sound.channels), np.float32)

    def _ready(self) -> Iterator[Samples]:
        while not self._queue.empty():
            self._bytes += self._queue.get()
            whole = len(self._bytes) // (4 * self._sound.channels)
            found = np.frombuffer(self._bytes[: 4 * self._sound.channels * whole], "<f4")
            self._bytes = self._bytes[4 * self._sound.channels * whole :]
            samples = found.reshape(-1, self._sound.channels)[: max(0, self._given - self._made)]
            self._made += len(samples)
            if len(samples):
                yield samples

    def _read(self) -> None:
        assert self._process.stdout is not None
        while block := self._process.stdout.read1(_BLOCK):  # type: ignore[attr-defined]  # it is buffered
            self._queue.put(block)

    def _failed(self) -> OutputError:
        self._process.wait()
        self._said.seek(0)
        lines = self._said.read(_BLOCK).decode(errors="replace").strip().splitlines()
        said = lines[-1] if lines else f"it ended with status {self._process.returncode}"
        return OutputError(
            f"voices cannot be disguised: {self._ffmpeg}: {said}",
            hint="it takes an FFmpeg with the filter rubberband; the farm's own has it (do not set FARM_FFMPEG)",
        )
