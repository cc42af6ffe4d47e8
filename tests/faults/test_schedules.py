"""Seeded schedules of faults: no job is lost, none is stuck, and what is published is exact.

``make faults SEEDS=1-200`` names the seeds; a seed that fails is repeated with ``make faults SEEDS=17``.
``FARM_FAULT_KINDS`` (``"kill child,flushall"``) restricts the kinds of faults.
"""

import os

import pytest

from tests.faults.conftest import Runs
from tests.faults.schedule import KINDS, Schedule, schedule, seeds

_SEEDS = seeds(os.environ.get("FARM_FAULT_SEEDS", "1-12"))
_ONLY = frozenset(filter(None, os.environ.get("FARM_FAULT_KINDS", "").split(","))) or None
#: Seeds that are over fast: processes are killed, Redis is emptied, an artefact is deleted, a chunk kills its worker,
#: and ffmpeg lies. They run in CI.
_FAST = (2, 9, 12, 15, 81)


@pytest.fixture(scope="module")
def asked(request: pytest.FixtureRequest, runs: Runs) -> Runs:
    """The runs of all seeds that this session asks for, begun in the order of their tests."""
    chosen = [item.callspec.params["seed"] for item in request.session.items if hasattr(item, "callspec")
              and item.parent is request.node and "seed" in item.callspec.params]  # fmt: skip
    runs.begin([schedule(seed, _ONLY) for seed in chosen])
    return runs


def _check(asked: Runs, wanted: Schedule) -> None:
    outcome = asked.outcome(wanted)
    print("\n".join([*outcome.lines, f"seed {wanted.seed} took {outcome.seconds:.1f} s"]))
    if outcome.error is not None:
        raise outcome.error


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", _FAST)
def test_fast_seeds(asked: Runs, seed: int) -> None:
    _check(asked, schedule(seed, _ONLY))


@pytest.mark.e2e
@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", _SEEDS)
def test_seeds(asked: Runs, seed: int) -> None:
    _check(asked, schedule(seed, _ONLY))


def test_a_seed_always_means_the_same() -> None:
    assert schedule(7) == schedule(7)
    everything = [schedule(seed) for seed in range(600)]
    assert {fault.kind for each in everything for fault in each.faults} == {k for k in KINDS if KINDS[k].weight}
    assert {each.poison for each in everything} == {None, "kills", "hangs"}
    assert {each.clock for each in everything} == {0, 3600, -3600}
    assert all(each.farm in KINDS[fault.kind].where for each in everything for fault in each.faults)
    assert seeds("1-3,7") == [1, 2, 3, 7]
