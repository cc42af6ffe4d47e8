"""Errors for the person who reads them: what happened, where, what to do.

The first line of an error's docstring is its default message. Every error carries the exit code that the
command line returns for it; the table in ``docs/exit-codes.md`` is checked against these classes by a test.
"""

import inspect


class FarmError(Exception):
    """Blur Farm could not do what was asked."""

    exit_code = 1
    #: True when another attempt on another worker cannot help.
    permanent = True

    def __init__(self, message: str | None = None, *, hint: str | None = None, field: str | None = None) -> None:
        """``message`` says what and where, ``hint`` what to do about it.

        ``field``: the option of a job that the error is about, as ``detect.size``. Then message and hint may name
        options in this way; the command line shows them as it spells them.
        """
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").splitlines()[0]
        self.hint = hint
        self.field = field
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class JobFailed(FarmError):
    """The job failed; no output was published."""


class SourceError(FarmError):
    """The source cannot be redacted exactly."""

    exit_code = 3


class OutputError(FarmError):
    """The output cannot be written."""

    exit_code = 4


class ModelError(FarmError):
    """A model is missing or its weights are not the expected ones."""

    exit_code = 5


class BrokerError(FarmError):
    """Redis cannot be reached."""

    exit_code = 6
    permanent = False


class DatabaseError(FarmError):
    """The database cannot be used."""

    exit_code = 6
    permanent = False


class DatabaseAway(DatabaseError):
    """The database does not answer; it may soon."""


class DeviceError(FarmError):
    """The device asked for is not there."""

    exit_code = 7
    permanent = False


class OutOfMemory(DeviceError):
    """The device's memory is full."""


class DeviceLost(DeviceError):
    """The device does not answer any more, and this process cannot use it again."""


class StorageError(FarmError):
    """The store cannot be written or read."""

    exit_code = 8
    permanent = False


class DamagedArtefact(StorageError):
    """An artefact in the store is not what was written there. The job makes it again by itself."""

    def __init__(self, key: str = "an artefact", what: str = "is damaged") -> None:
        """``key``: the artefact's; ``what``: what is wrong with it."""
        super().__init__(f"{key} {what} in the store", hint="the job makes it again")
        self.key = key


class VerificationError(FarmError):
    """What was written is not what was planned."""

    exit_code = 9
    permanent = False


class SettingsError(FarmError):
    """A setting has a value that cannot be used."""

    exit_code = 2


class NotFound(FarmError):
    """There is no such job, chunk or worker."""

    exit_code = 2


class PrintError(FarmError):
    """Standard output cannot be written."""

    exit_code = 74  # sysexits.h EX_IOERR


class IllegalTransition(FarmError):
    """The job is not in a state that allows this."""

    exit_code = 2


class EditError(FarmError):
    """The edit cannot be made."""

    exit_code = 2


class AttemptStopped(FarmError):
    """The attempt was stopped before its chunk was done."""

    permanent = False
