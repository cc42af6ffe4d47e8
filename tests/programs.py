"""Programs for tests: shell scripts in place of ffmpeg and redis-server."""

from pathlib import Path

OLD_FFMPEG = "ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026\nlibavformat    59. 27.100 / 59. 27.100"
OLD_REDIS = "Redis server version 2.4.10 (00000000:0)"


def program(folder: Path, name: str, body: str) -> Path:
    """A shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def ffmpeg_like(folder: Path, version: str, filters: str = "noise setts", otherwise: str = "exit 1") -> Path:
    """An ``ffmpeg`` that describes itself as able, and runs ``otherwise`` for anything else."""
    return program(
        folder,
        "ffmpeg",
        f"case \"$*\" in\n-version) echo '{version}' ;;\n"
        "'-hide_banner -muxers') echo ' E mp4 E mov E matroska E mpegts E webm E avi E vob E 3gp E 3g2 E flv' ;;\n"
        f"'-hide_banner -bsfs') echo '{filters}' ;;\n*) {otherwise} ;;\nesac",
    )
