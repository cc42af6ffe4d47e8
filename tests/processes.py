"""The processes of a farm that cannot be told apart by their command lines."""

import psutil


def works(process: psutil.Process) -> bool:
    """Whether it is the child of a worker, which does the work: forked from the worker's process, or spawned."""
    parent, words = process.parent(), process.cmdline()
    if parent is None or "workers.process" not in parent.cmdline():
        return False
    return words == parent.cmdline() or any("billiard.spawn" in word and "spawn_main" in word for word in words)
