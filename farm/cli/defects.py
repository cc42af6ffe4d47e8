"""Defects of the farm itself: one line for the user, the traceback for the log that the line names."""

import traceback

from farm.configuration import default_home
from farm.domain.printable import shown
from farm.errors import FarmError

DEFECT = 70  # sysexits.h EX_SOFTWARE


def defect_line(error: Exception) -> str:
    """The user's line about a defect, after its traceback was appended to ``logs/defects.log``."""
    try:
        log = default_home() / "logs" / "defects.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as f:
            traceback.print_exception(error, file=f)
        where = f"please report it with the end of {log}"
    except (OSError, FarmError):
        where = "please report it"
    line = str(error).splitlines()[0] if str(error) else ""
    return shown(f"a defect in farm: {type(error).__name__}: {line} ({where})")
