"""Logs: one JSON object a line in a file of the process's own, lines of text or JSON on a console, and reading them.

A record carries what it is about: job, stage, chunk (counted from 1) and attempt (its token); from ``extra`` where it
is logged, or from :func:`about`. Nothing that a message quotes can begin another line or hold a password of an address.
"""

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from farm.configuration import masked_in
from farm.domain.printable import shown
from farm.errors import SettingsError

SUBJECT = ("job", "stage", "chunk", "attempt")
_about: dict[str, object] = {}  # of the process, not of a thread: what its threads do is about the same order


@contextmanager
def about(**subject: object) -> Iterator[None]:
    """What all records of this process are about meanwhile; names of :data:`SUBJECT`."""
    _about.update(subject)
    try:
        yield
    finally:
        _about.clear()


class _Text(logging.Formatter):
    """A record is one line, whatever its message quotes; the lines of a traceback follow it, indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - overrides
        return shown(masked_in(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - overrides
        return "\n".join(f"  {shown(masked_in(line))}" for line in super().formatException(ei).splitlines())


class _Json(logging.Formatter):
    """A record is one JSON object, in ASCII."""

    def __init__(self, process: str, worker: str | None) -> None:
        super().__init__()
        self._process, self._worker = process, worker

    def format(self, record: logging.LogRecord) -> str:
        row: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": self._process,
            "pid": record.process,
            "worker": self._worker,
            "logger": record.name,
            **{name: getattr(record, name, _about.get(name)) for name in SUBJECT},
            "message": masked_in(record.getMessage()),
        }
        if record.exc_info:
            row["traceback"] = masked_in(self.formatException(record.exc_info))
        return json.dumps({name: value for name, value in row.items() if value is not None}, default=str)


def begin_log(process: str, path: Path | None = None, *, worker: str | None = None, console: str | None = None) -> None:
    """Write this process's log from level INFO on, and the tracebacks of what ends it or one of its threads.

    ``path``: the file for JSON. ``console``: standard error too, as ``text``, ``json`` or ``auto``: text on a terminal.
    Raises SettingsError.
    """
    handlers: list[logging.Handler] = []
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(logging.FileHandler(path, encoding="ascii"))
        except OSError as e:
            hint = "set FARM_HOME to a folder that can be written"
            raise SettingsError(f"cannot write the log {path}: {e.strerror}", hint=hint) from e
        handlers[0].setFormatter(_Json(process, worker))
    if console is not None:
        as_text = console == "text" or (console == "auto" and sys.stderr.isatty())
        text = _Text("%(asctime)s %(levelname)s %(name)s: %(message)s")
        handlers.append(logging.StreamHandler())
        handlers[-1].setFormatter(text if as_text else _Json(process, worker))
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    logging.captureWarnings(capture=True)
    if path is not None:
        sys.excepthook = _logging_too(sys.__excepthook__)
        threading.excepthook = lambda args: _log_end(args.exc_type, args.exc_value, args.exc_traceback)


Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


def _logging_too(hook: Hook) -> Hook:
    def both(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _log_end(kind, error, trace)
        hook(kind, error, trace)

    return both


def _log_end(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and issubclass(kind, Exception):
        logging.getLogger(__name__).critical("a defect: %s", kind.__name__, exc_info=(kind, error, trace))


_TOKEN = re.compile(r"[0-9a-f]{24}")


def lines_about(folder: Path, job: str, tokens: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """The records in the logs of ``folder``, rotated ones too, that are about a job, or name one of the ``tokens``.

    In no order. What is no record is skipped: half a line at the end of a file, or what a library printed.
    """
    wanted = set(tokens)
    for path in (*folder.glob("*.log.1"), *folder.glob("*.log")):
        try:
            with path.open(encoding="ascii", errors="replace") as lines:
                for line in lines:
                    if line.startswith("{") and (job in line or not wanted.isdisjoint(_TOKEN.findall(line))):
                        row = _record(line)
                        if row is not None and (row.get("job") == job or not wanted.isdisjoint(_TOKEN.findall(line))):
                            yield row
        except OSError:
            continue  # rotated meanwhile, or of another user


def _record(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
        datetime.fromisoformat(row["time"])
    except (ValueError, TypeError, LookupError):
        return None
    return row if isinstance(row, dict) else None
