"""What workers can do, and what the program of the workers says of this machine. It needs no database."""

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from farm import processes
from farm.errors import DeviceError, FarmError, ModelError, SettingsError
from farm.settings import Settings

_SECONDS = 120  # a GPU's driver may take a while to start
_CANNOT = "the abilities of this machine cannot be determined"


@dataclass(frozen=True, slots=True)
class Abilities:
    """``encoders``: FFmpeg's names; ``runtimes``: of :data:`farm.domain.runtimes.RUNTIMES`."""

    encoders: frozenset[str]
    runtimes: frozenset[str]


class Machine:
    """This machine as the program of the workers sees it, which is asked while this process does something else."""

    def __init__(self, settings: Settings) -> None:
        """Start the program. Raises DeviceError."""
        self._question = Question(settings, _CANNOT, "--abilities")

    def close(self) -> None:
        """End the program, if nobody has waited for its answer."""
        self._question.close()

    @cached_property
    def _found(self) -> dict[str, list[str]]:
        try:
            found: dict[str, list[str]] = json.loads(self._question.answer())
        except ValueError as e:
            raise DeviceError(f"{_CANNOT}: {e}") from e
        return found

    @property
    def devices(self) -> list[str]:
        """The names of the devices of the setting ``devices``. Raises DeviceError for one that is not there,
        SettingsError.
        """
        return self._found["devices"]

    @property
    def abilities(self) -> Abilities:
        """What workers of these devices will report. Raises DeviceError, SettingsError."""
        return Abilities(frozenset(self._found["encoders"]), frozenset(self._found["runtimes"]))

    @property
    def of_each(self) -> dict[str, list[str]] | None:
        """The abilities of a worker of any of these devices as JSON; None where they may differ."""
        if not all(name.startswith("cpu") for name in self.devices):
            return None
        return {name: self._found[name] for name in ("encoders", "runtimes")}


class Question:
    """A question to the program of the workers on this machine, which takes it a moment to answer."""

    def __init__(self, settings: Settings, cannot: str, *words: str) -> None:
        """``cannot``: the beginning of an error where it does not answer. Raises DeviceError."""
        root, self._cannot = Path("/"), cannot
        try:
            self._process = subprocess.Popen(
                processes.module("workers", settings.devices, *words),
                cwd=root,
                env=processes.environment(root),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C is for this process
                preexec_fn=processes.dying_with_this(),  # noqa: PLW1509 - two system calls, no lock is taken
            )
        except OSError as e:
            raise DeviceError(f"{cannot}: {e}") from e

    def close(self) -> None:
        """End the program, if it has not been waited for."""
        if self._process.returncode is None:
            processes.kill(self._process)
            self._process.communicate()

    def answer(self, timeout: float = _SECONDS) -> str:
        """What it says. Raises DeviceError, and what the program ended with: ModelError, SettingsError."""
        try:
            answer, said = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as e:
            self.close()
            raise DeviceError(f"{self._cannot}: {e}") from e
        if self._process.returncode:
            raise _refusal(self._process.returncode, said)
        return answer


def devices_of(settings: Settings) -> list[str]:
    """The names of the devices of the setting ``devices``. Raises DeviceError where one is not there, SettingsError."""
    return ask_workers(settings, "the devices of this machine cannot be determined", "--list").split()


def ask_workers(settings: Settings, cannot: str, *words: str, timeout: float = _SECONDS) -> str:
    """Ask, and wait for the answer: see :class:`Question`."""
    return Question(settings, cannot, *words).answer(timeout)


def _refusal(status: int, said: str) -> FarmError:
    """The error with which the workers' program ended, from its exit status and what it said."""
    line = (said.strip().splitlines() or [f"the workers cannot run here: they ended with {status}"])[-1]
    kind = next((kind for kind in (SettingsError, ModelError) if status == kind.exit_code), DeviceError)
    return kind(line.removeprefix("error: "))
