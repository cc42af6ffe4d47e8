"""Each mutation is caught by its schedule: ``make mutations`` prints by what."""

import py_compile
from pathlib import Path

import pytest

from tests.faults.conftest import Runs
from tests.faults.mutations import MUTATIONS, Mutation, mutated
from tests.faults.test_directed import DIRECTED

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def codes(request: pytest.FixtureRequest, runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The mutated copies of the farm, by the mutation's name; all of them run from now on."""
    found = {}
    chosen: list[Mutation] = [item.callspec.params["mutation"] for item in request.session.items
              if hasattr(item, "callspec") and item.parent is request.node]  # fmt: skip
    for mutation in chosen:
        found[mutation.name] = tmp_path_factory.mktemp("mutation") / "code"
        mutated(mutation, found[mutation.name])
        for edit in mutation.edits:
            py_compile.compile(str(found[mutation.name] / edit.file), doraise=True)
        runs.begin([DIRECTED[mutation.caught_by]], found[mutation.name])
    return found


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.partition(":")[0])
def test_a_mutation_is_caught(runs: Runs, codes: dict[str, Path], mutation: Mutation) -> None:
    wanted = DIRECTED[mutation.caught_by]
    outcome = runs.outcome(wanted, codes[mutation.name])
    print("\n".join(outcome.lines))
    assert isinstance(outcome.error, AssertionError), f"seed {wanted.seed} ({mutation.caught_by}): {outcome.error!r}"
    print(f"CAUGHT {mutation.name} | {wanted.seed} ({mutation.caught_by}) | {str(outcome.error).splitlines()[0]}")
