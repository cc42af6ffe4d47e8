"""``python -m tests.gpu.bench``: what a GPU is worth to the farm, in less than eight minutes (make bench-gpu).

Prints frames a second of decoding, detection and a whole job, how busy the card is, what the size of a batch brings,
and whether the boxes are those that the CPU finds. Needs no test framework, and of the farm's dependencies only what
it says in one line. Exit codes: 0; 1: boxes differ, or a part failed; 3: something is not installed; 77: no card here.
``--device cpu`` runs all of it on the CPU builds, with few pictures: it shows that it runs, and measures nothing.
"""

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).parents[2]
NO_CARD, NOT_INSTALLED = 77, 3
_SECONDS = 440.0
#: What is imported, and the package that brings it.
_NEEDED = {
    "numpy": "numpy",
    "cv2": "opencv-contrib-python-headless",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "psutil": "psutil",
}


def missing(modules: Sequence[str]) -> list[str]:
    """Those modules that are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--video", type=Path, help="1080p of people; default: the footage's crowd1080.mp4")
    parser.add_argument("--weights", type=Path, help="of centerface; default: where the farm keeps them")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="how long it may take")
    given = parser.parse_args(words)
    if lacking := missing(list(_NEEDED)):
        print(f"install first: pip install {' '.join(_NEEDED[name] for name in lacking)}", file=sys.stderr)
        return NOT_INSTALLED
    weights, video = given.weights or _weights(), given.video or _video()
    for path, how in ((weights, "farm models pull centerface, or --weights"), (video, "FARM_TEST_DATA, or --video")):
        if not path.is_file():
            print(f"{path} is missing: {how} FILE", file=sys.stderr)
            return NOT_INSTALLED
    from farm.errors import FarmError  # noqa: PLC0415 - after it is known that its imports are there
    from tests.gpu.parts import Bench  # noqa: PLC0415 - as above

    try:
        return Bench(given.device, video, weights, given.seconds).run()
    except FarmError as e:
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code


def _weights() -> Path:
    home = Path(os.environ.get("FARM_HOME") or Path.home() / ".local" / "share" / "blurfarm")
    folders = [Path(os.environ.get("FARM_MODELS_DIR") or home / "models"), PROJECT / ".cache" / "models"]
    paths = [folder / "centerface.onnx" for folder in folders]
    return next((path for path in paths if path.is_file()), paths[0])


def _video() -> Path:
    folder = Path(os.environ.get("FARM_TEST_DATA") or PROJECT.parent / "shared" / "data")
    return folder / "truth" / "crowd1080.mp4"


if __name__ == "__main__":
    sys.exit(main())
