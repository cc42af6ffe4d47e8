"""The jobs of the harness, and what they give where nothing disturbs them."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from farm.domain.track import FrameTracks, load_frame

#: Options of every job: mpeg4's bytes repeat; small pictures are found fast.
_COMMON = ("--chunk-seconds", "0.5", "--detect-size", "448")
#: By name: which clip, and its own options.
WORKS: dict[str, tuple[int, tuple[str, ...]]] = {
    "blurred": (0, ()),
    "again": (0, ()),  # equal to the first, with another output
    "solid": (0, ("--style", "solid")),
    "other": (1, ("--style", "pixelate")),
    "pictures": (1, ("--style", "solid")),  # a folder of pictures, not a video
}
#: In a covered face the mean difference from the source is larger than this, of 255: the encoder alone is below 3.
_COVERED = 6.0

Picture = NDArray[np.uint8]


def output_in(folder: Path, name: str) -> Path:
    """The output of a job."""
    return folder / (name if name == "pictures" else f"{name}.mp4")


def words(name: str, clips: list[Path], folder: Path) -> list[str]:
    """The words of ``farm submit`` for a job whose output is in a folder."""
    clip, options = WORKS[name]
    where = ["--frames"] if name == "pictures" else ["--codec", "mpeg4", "-o"]
    return ["submit", str(clips[clip]), *where, str(output_in(folder, name)), *_COMMON, *options, "--detach"]


@dataclass(frozen=True, slots=True)
class Video:
    """What a file holds: the time and the picture of every frame, and its sound."""

    times: list[Fraction]
    pictures: list[Picture]
    sound: list[tuple[Fraction, bytes]]


def read(path: Path) -> Video:
    """Decode a file. Pictures are luma planes, in shades of grey, followed by the chroma planes."""
    video = Video([], [], [])
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.stream.type == "audio" and packet.size and packet.pts is not None and packet.time_base:
                video.sound.append((packet.pts * packet.time_base, bytes(packet)))
            elif packet.stream.type == "video":
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame)
                    assert not frame.is_corrupt, f"{path}: frame {len(video.times)} is corrupt"
                    assert frame.pts is not None
                    assert frame.time_base is not None
                    video.times.append(frame.pts * frame.time_base)
                    video.pictures.append(frame.to_ndarray().astype(np.uint8))
    return video


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Those of the files in a folder, by name."""
    return {path.name: digest(path) for path in folder.iterdir()}


def rows(home: Path, query: str, *values: object) -> list[dict[str, Any]]:
    """What the farm's database says; nothing where there is none yet."""
    path = home / "farm.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        database.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in database.execute(query, values)]
        except sqlite3.OperationalError as e:
            if "no such table" in str(e) or "unable to open" in str(e):
                return []
            raise


def tracks(home: Path, store: Path, job: str) -> dict[int, tuple[str, list[FrameTracks] | None]]:
    """By chunk of a job: the key of its masks, and the masks in the store; None where these are not readable."""
    found: dict[int, tuple[str, list[FrameTracks] | None]] = {}
    query = 'SELECT "index", artefact FROM chunks WHERE job_id = ? AND stage = \'edit\' ORDER BY "index"'
    for row in rows(home, query, job):
        artefact = json.loads(row["artefact"])
        path = store / artefact["key"]
        whole = path.is_file() and digest(path) == artefact["sha256"]
        lines = path.read_text().splitlines() if whole else []
        found[row["index"]] = artefact["key"], [load_frame(line) for line in lines] if whole else None
    return found


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A job in peace: what its source holds, what it published, and its masks by chunk.

    ``pictures``: the digests of what it published, where that is a folder of pictures; ``output`` is empty then.
    """

    source: Video
    output: Video
    masks: dict[int, list[FrameTracks]]
    pictures: dict[str, str] = field(default_factory=dict)

    def uncovered(self, pictures: list[Picture]) -> list[int]:
        """The numbers of the frames in which a face of the masks is not covered."""
        bare, number = [], 0
        for chunk in sorted(self.masks):
            for frame in self.masks[chunk]:
                source, shown = self.source.pictures[number], pictures[number]
                height = source.shape[0] * 2 // 3  # of the luma plane in yuv420p
                for box in (tracked.box for tracked in frame.boxes):
                    x, y = max(0, round(box.x)), max(0, round(box.y))
                    area = np.s_[y : min(height, round(box.y + box.h)), x : round(box.x + box.w)]
                    apart = np.abs(source[area].astype(np.int16) - shown[area])
                    if apart.size and apart.mean() < _COVERED:
                        bare.append(number)
                number += 1
        return bare


@dataclass(slots=True)
class Reference:
    """The clips, and the undisturbed jobs by name. ``home`` and ``store``: of their farm."""

    clips: list[Path]
    jobs: dict[str, Undisturbed] = field(default_factory=dict)
    digests: list[str] = field(default_factory=list)
    home: Path = Path()
    store: Path = Path()

    def kept(self, folder: str, job: str, name: str, index: int = 0) -> Path:
        """The artefact of an undisturbed job in a folder of the store, by the beginning of its name or its index."""
        query = "SELECT c.artefact FROM chunks c JOIN jobs j ON j.id = c.job_id WHERE j.output LIKE ? ORDER BY c.id"
        keys: list[str] = [json.loads(row["artefact"])["key"] for row in rows(self.home, query, f"%/{job}.mp4")]
        mine = [key for key in keys if key.startswith(f"{folder}/") and Path(key).name.startswith(name)]
        return self.store / mine[index]

    def learn(self, home: Path, store: Path, outputs: Path) -> None:
        """Take over the jobs of a farm at peace, whose outputs are in the folder ``outputs``."""
        self.home, self.store = home, store
        self.digests = [digest(clip) for clip in self.clips]
        for row in rows(home, "SELECT id, status, reason, output FROM jobs"):
            name = Path(row["output"]).stem
            assert row["status"] == "done", row
            source, path = read(self.clips[WORKS[name][0]]), output_in(outputs, name)
            pictures = digests(path) if path.is_dir() else {}
            output = Video([], [], []) if pictures else read(path)
            masks = {}
            for chunk, (_, found) in tracks(home, store, row["id"]).items():
                assert found is not None
                masks[chunk] = found
            self.jobs[name] = Undisturbed(source, output, masks, pictures)
            assert len(masks) >= 4
            covered = [bool(frame.boxes) for chunk in sorted(masks) for frame in masks[chunk]]
            assert len(covered) == len(source.times)
            assert sum(covered) > 0.8 * len(covered)
            if pictures:
                assert len(pictures) == len(source.times) + 1  # and a list of them
                continue
            assert output.times == source.times
            assert output.sound == source.sound
            assert self.jobs[name].uncovered(output.pictures) == []
            assert len(self.jobs[name].uncovered(source.pictures)) >= sum(covered)  # so it can fail


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until ``holds``. Raises AssertionError after so many seconds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)
