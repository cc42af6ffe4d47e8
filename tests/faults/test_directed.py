"""Schedules that are made for one promise each; the mutation check (:mod:`tests.faults.mutations`) runs them, too."""

from dataclasses import replace

import pytest

from tests.faults.conftest import Runs
from tests.faults.forging import TARGETS
from tests.faults.schedule import FOR_GOOD, Fault, Schedule

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(300)]


def _once(seed: int, farm: str, kind: str = "", moment: str = "detecting", lasts: float | None = None) -> Schedule:
    faults = (Fault(moment, 0.0, kind, lasts, 0.0),) if kind else ()
    return Schedule(seed, farm, ("blurred",), faults)


_AT_THE_END = Fault("composing", 0.2, "kill coordinator", None, 0.0)
#: By name. The seed is its number in reports.
DIRECTED: dict[str, Schedule] = {
    "tripled": _once(1001, "networked", "tripled", "start", lasts=20.0),
    "stale": Schedule(1002, "networked", ("blurred",), (Fault("start", 0.0, "stale", 6.0, 0.9),)),
    "hung": _once(1003, "embedded", "hang child"),
    "refused": Schedule(1004, "networked", ("blurred",), (Fault("start", 0.0, "refused", 5.0, 0.6),)),
    "long-partition": Schedule(
        1018, "networked", ("blurred",), (Fault("detecting", 0.3, "long partition", 60.0, 0.52),)
    ),
    "lies": replace(_once(1005, "embedded"), lies=True),
    "bad-write": replace(_once(1006, "embedded"), bad_write="write"),
    "bad-sync": replace(_once(1007, "embedded"), bad_write="sync"),
    "frozen": _once(1008, "embedded", "stop host", lasts=FOR_GOOD),
    "forged": Schedule(1009, "networked", ("blurred",), (Fault("start", 0.0, "forged", 6.0, 0.6),)),
    **{f"altered-{what}": replace(_once(1010 + n, "embedded"), altered=what) for n, what in enumerate(TARGETS)},
    "pictures": Schedule(
        1019, "embedded", ("pictures",), (Fault("detecting", 0.3, "kill worker", None, 0.0), _AT_THE_END)
    ),
    "rewritten-threshold": replace(_once(1020, "embedded"), rewritten="threshold"),
    "rewritten-masks": replace(_once(1021, "embedded"), rewritten="masks"),
}


@pytest.mark.parametrize("name", sorted(DIRECTED))
def test_directed(runs: Runs, name: str) -> None:
    outcome = runs.outcome(DIRECTED[name])
    print("\n".join(outcome.lines))
    if outcome.error is not None:
        raise outcome.error
