"""What the project promises of its own shape."""

import graphlib
import importlib
import inspect
import pkgutil
import re
import sys
from importlib import metadata
from pathlib import Path

import grimp
import pytest

import farm
from farm import errors
from farm.doctor import CV2_DISTRIBUTIONS, WANTED_CV2

PROJECT = Path(__file__).parent.parent.parent
LONGEST = 300
CODE = ("farm", "workers", "migrations", "tests")


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Every module's direct imports, those for type checkers only left out."""
    graph = grimp.build_graph(
        "farm", "workers", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_no_module_is_long() -> None:
    lengths = {
        path.relative_to(PROJECT): len(path.read_text(encoding="utf-8").splitlines())
        for folder in CODE
        for path in (PROJECT / folder).rglob("*.py")
    }
    assert lengths
    assert {str(path): n for path, n in lengths.items() if n > LONGEST} == {}


def test_no_import_cycle(imports: dict[str, set[str]]) -> None:
    graphlib.TopologicalSorter(imports).prepare()


def test_domain_is_standard_library_only(imports: dict[str, set[str]]) -> None:
    own = {"farm.errors", "farm.domain"}
    for module, imported in imports.items():
        if module == "farm.errors" or module.startswith("farm.domain"):
            foreign = {
                name
                for name in imported
                if name.split(".")[0] not in sys.stdlib_module_names
                and name not in own
                and not name.startswith("farm.domain.")
            }
            assert foreign == set(), f"{module} imports {foreign}"


def test_exactly_one_cv2() -> None:
    here = {d.metadata["Name"].lower().replace("_", "-") for d in metadata.distributions()}
    assert here & set(CV2_DISTRIBUTIONS) == {WANTED_CV2}


def farm_errors() -> list[type[errors.FarmError]]:
    for module in pkgutil.walk_packages(farm.__path__, "farm."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: list[type[errors.FarmError]] = []
    waiting = [errors.FarmError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting.extend(kind.__subclasses__())
    return [k for k in found if k.__module__.startswith(("farm.", "workers."))]


def test_exit_codes_are_documented() -> None:
    text = (PROJECT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    rows = {int(code): names for code, names in re.findall(r"^\| (\d+) \| ([^|]*) \|", text, flags=re.MULTILINE)}
    documented = {name: code for code, names in rows.items() for name in re.findall(r"`(\w+)`", names)}
    real = {kind.__name__: kind.exit_code for kind in farm_errors()}
    assert documented == real


def test_every_error_says_something() -> None:
    for kind in farm_errors():
        assert inspect.getdoc(kind)
        assert str(kind())


def test_no_footage_and_no_weights_in_the_project() -> None:
    heavy = [
        p
        for folder in (*CODE, "docs")
        for p in (PROJECT / folder).rglob("*")
        if p.suffix in {".onnx", ".mp4", ".mkv", ".mov", ".webm", ".pt", ".h5"}
    ]
    assert heavy == []


def test_the_lock_names_versions_and_no_place() -> None:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        assert re.match(r"[a-z0-9-]+==[^\s;]+( ; .+)?$", line), line
