"""The ``farm`` command, also as ``python -m farm``. Nothing is imported or started from the current folder."""

import os
import sys


def main() -> None:
    """Run the command line."""
    distrust_folder()
    if sys.getfilesystemencoding() != "utf-8":  # names of files would be other text than in another locale's process
        os.environ["PYTHONUTF8"] = "1"
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding if sys.stdout else "ascii")
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program again
    # with a standard stream closed, the next file that is opened would take its number, and get what is printed
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    from farm.cli.main import run  # noqa: PLC0415 - only now is the search path safe

    run()


def distrust_folder() -> None:
    """Take relative folders out of the search paths of programs and modules, here and for children.

    An empty entry, as in ``PYTHONPATH=:/opt/modules``, means the current folder. Only standard modules that are loaded
    already may be imported before. The folder that this package is in stays: whoever runs a checkout trusts it.
    """
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        here = ""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    value = os.environ.get("PYTHONPATH")
    given = value.split(os.pathsep) if value else []
    kept = [entry for entry in given if os.path.isabs(entry)]
    relative = {os.path.normpath(os.path.join(here, entry)) for entry in given if not os.path.isabs(entry)}
    if own in {here, *relative}:
        kept.append(own)
    sys.path[:] = [entry for entry in sys.path if entry and entry not in relative - {*kept}]
    os.environ["PYTHONPATH"] = os.pathsep.join(kept)
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(entry for entry in path if os.path.isabs(entry))
    os.environ["PYTHONSAFEPATH"] = "1"


if __name__ == "__main__":
    if not sys.flags.safe_path:
        sys.path.pop(0)  # the current folder
    main()
