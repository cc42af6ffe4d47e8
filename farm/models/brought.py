"""Networks that users bring as files: which files count, and what they were when a job was submitted."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from farm.digests import file_digest
from farm.domain.described import described
from farm.domain.detectors import PATH, DetectOptions, Named, named
from farm.domain.recognisers import NamedRecogniser
from farm.errors import ModelError

_HELP = "docs/howto/bring-a-detector.md says what the two files hold"
RECOGNISER_HELP = "docs/howto/choose-whom.md says what it holds"
T = TypeVar("T")


def with_files(options: DetectOptions) -> DetectOptions:
    """The options with the files that they name by absolute paths, and with the digest of these files.

    Raises ModelError for a file that is missing or is no description.
    """
    if options.detector is None or not any(one.network.argument == PATH for one in named(options.detector)):
        return options
    networks = [
        replace(one, argument=str(Path(one.argument).expanduser().absolute())) if one.network.argument == PATH else one
        for one in named(options.detector)
    ]
    for one in networks:
        if one.network.argument == PATH:
            read_description(_files(one)[1], described, _HELP)
    return replace(options, detector="+".join(one.written for one in networks), files=files_digest(networks))


def read_description(beside: Path, parse: Callable[[str], T], hint: str) -> T:
    """What the TOML file beside a network says, by ``parse``, which raises ValueError. Raises ModelError."""
    try:
        return parse(beside.read_text(encoding="utf-8"))
    except OSError as e:
        raise ModelError(f"{beside}: {e.strerror}", hint=hint) from e
    except ValueError as e:  # also of a file that is not UTF-8
        raise ModelError(f"{beside}: {e}", hint=hint) from e


def check_files(networks: Iterable[Named], digest: str | None) -> None:
    """Raise ModelError unless the files that networks name are those of ``digest``, where it is given."""
    if digest is not None and files_digest(networks) != digest:
        raise ModelError("the detector's files are not those of when the job was submitted", hint="submit it again")


def files_digest(networks: Iterable[Named]) -> str:
    """The SHA-256 of the digests of all files that the networks name, in order. Raises ModelError."""
    digests = []
    for one in networks:
        for path in _files(one) if one.network.argument == PATH else ():
            try:
                digests.append(file_digest(path))
            except OSError as e:
                raise ModelError(f"{path}: {e.strerror}", hint=_HELP) from e
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def recogniser_files(named: NamedRecogniser) -> tuple[NamedRecogniser, str | None]:
    """A recogniser with the file that it names by an absolute path, and the digest of this file and of what describes
    it; None where it names none. Raises ModelError for a file that is missing.
    """
    if named.recogniser.argument != PATH:
        return named, None
    path = Path(named.argument).expanduser().absolute()
    digests = []
    for one in (path, path.with_suffix(".toml")):
        try:
            digests.append(file_digest(one))
        except OSError as e:
            if one == path:
                raise ModelError(f"{path}: {e.strerror}", hint=RECOGNISER_HELP) from e
    return replace(named, argument=str(path)), hashlib.sha256("".join(digests).encode()).hexdigest()


def check_recogniser(named: NamedRecogniser, digest: str | None) -> None:
    """Raise ModelError unless the files that a recogniser names are those of ``digest``, where it is given."""
    if digest is not None and recogniser_files(named)[1] != digest:
        raise ModelError("the recogniser's files are not those of when the job was submitted", hint="submit it again")


def _files(one: Named) -> tuple[Path, Path]:
    path = Path(one.argument)
    return path, path.with_suffix(".toml")
