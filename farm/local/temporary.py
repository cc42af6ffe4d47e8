"""A home for a farm that is for one measurement only: nothing of it is left, and nothing of the user's is used."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farm.configuration import CONFIG, PATHS, SETTINGS_FILE, given_in_file, variable
from farm.errors import SettingsError
from farm.processes import scratch_prefix
from farm.settings import Settings

#: Settings that say where a farm is, and with whom it works.
_PLACES = (*PATHS, "broker_url", "database_url")


@contextmanager
def temporary_home(settings: Settings) -> Iterator[Path]:
    """A folder that is removed at the end, with a farm's home in it for this process and its children.

    The home has the user's settings but for the places, and finds the user's models. Changes this process's
    environment as long as it lasts. The folder lies where temporary files are (``TMPDIR``); should this process be
    killed, the next farm removes it. Raises SettingsError where it cannot be made.
    """
    said = given_in_file(type(settings).model_fields)
    # numbers, texts and truth values are the same in JSON
    lines = [f"{n} = {json.dumps(g.value, ensure_ascii=False)}\n" for n, g in said.items() if n not in _PLACES]
    try:
        folder = Path(tempfile.mkdtemp(prefix=scratch_prefix(os.getpid())))
        home = folder / "home"
        home.mkdir()
        (home / SETTINGS_FILE).write_text("".join(lines), "utf-8")
    except OSError as e:
        where = e.filename or "the folder for temporary files"
        raise SettingsError(f"{where}: {e.strerror}", hint="name a folder with room for it in TMPDIR") from e
    before, temporary = dict(os.environ), tempfile.tempdir
    try:
        for name in (CONFIG, *map(variable, _PLACES)):
            os.environ.pop(name, None)
        os.environ[variable("home")] = str(home)
        os.environ[variable("models_dir")] = str(settings.models_root)
        # children that are killed leave their temporary files
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        yield folder
    finally:
        os.environ.clear()
        os.environ.update(before)
        tempfile.tempdir = temporary
        shutil.rmtree(folder, ignore_errors=True)
