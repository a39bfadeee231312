"""dvc.yaml against what stages use: a stage declares all of it, and nothing else.

A declared dependency that no stage uses is an error too: it would run for nothing. What a stage
opens and reads is in the trace that it has left as it ran (tests/support/trace).
"""

import ast
import json
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from dvc.utils.flatten import flatten
from networkx import DiGraph, descendants
from ruamel.yaml import YAML

from stages.common.guard import LIBRARY_OF
from tests.support import ROOT
from tests.support.clone import Clone
from tests.support.dag import NAMES, declared, edges, outs, parameters, stages

# They hold no code but a call, and no stage declares them.
PACKAGE = {"__init__": "", "__main__": "from stages.common.run import start\nstart()"}
# What makes every stage wait for the checks, and git keep an empty folder.
UNREAD = {
    *("data/params.checked", "data/data.checked"),
    *("data/idx/.gitignore", "data/pictures/.gitignore"),
    "stages/parallel/cluster.py",  # where there is a cluster
}
PARAMETER_FILES = set().union(*(parameters(stage) for stage in stages().values()))
# They fetch, show progress, count threads, read parameters and options: no byte of an output is of
# their making.
TOOLS = {"pooch", "psutil", "requests", "ruamel", "threadpoolctl", "tqdm"}
# They carry tasks to a cluster, where the same is computed.
TOOLS |= {"cloudpickle", "dask", "distributed", "toolz"}


class Used(NamedTuple):
    """What a stage has read and written of the repository, and its parameters: ``file key``."""

    read: set[str]
    written: set[str]
    parameters: set[str]


@cache
def keys(path: Path) -> set[str]:
    """The dotted keys of all values of a file of parameters."""
    return set(flatten(YAML(typ="safe").load(path)))


def leaves(file: str, key: str = "") -> set[str]:
    """All values at a key of a file of parameters, or below it, as ``file key``."""
    found = (leaf for leaf in keys(ROOT / file) if f"{leaf}.".startswith(f"{key}." if key else ""))
    return {f"{file} {leaf}" for leaf in found}


def files(folder: Path, path: str) -> set[str]:
    """The path, or of a folder the files in it."""
    found = (folder / path).rglob("*") if (folder / path).is_dir() else [folder / path]
    return {
        str(file.relative_to(folder))
        for file in found
        if not file.is_dir() and "__pycache__" not in file.parts
    }


@pytest.fixture(scope="module")
def used(clone: Clone) -> dict[str, Used]:
    """What each stage has used when the DAG ran."""
    names, found = {stage.cmd: name for name, stage in stages().items()}, {}
    for path in (clone.folder.parent / "trace").iterdir():
        command, read, written, values = json.loads(path.read_text())
        package = {f"stages/{name}.py" for name in PACKAGE}
        found[names[command]] = Used(
            {file for file in read if not (clone.folder / file).is_dir()}
            - PARAMETER_FILES
            - package,
            set(written),
            set().union(*(leaves(file, key) for file, key in values if file in PARAMETER_FILES)),
        )
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_uses_what_it_declares(clone: Clone, used: dict[str, Used], name: str) -> None:
    stage, of_stage = stages()[name], used[name]
    dependencies = [files(clone.folder, path) - UNREAD for path in declared(stage)]
    outputs = set().union(*(files(clone.folder, path) for path in outs(stage)))
    undeclared = of_stage.read - UNREAD - outputs - set().union(*dependencies)
    assert undeclared == set()
    # Of a folder, it reads one file; the next test asks for the others.
    unread = [each for each in dependencies if each and not each & of_stage.read]
    assert unread == []
    assert of_stage.written == outputs
    of_files = parameters(stage).items()
    assert of_stage.parameters == set().union(
        *(leaves(file, key) for file, listed in of_files for key in listed)
    )


def test_every_file_of_a_declared_folder_is_read_and_hashed(
    clone: Clone, used: dict[str, Used]
) -> None:
    """What .dvcignore names, or DVC ignores by itself, could change unseen."""
    recorded = YAML(typ="safe").load(clone.folder / "dvc.lock")["stages"].values()
    hashed = {
        dep["path"]: dep["nfiles"]
        for stage in recorded
        for dep in stage.get("deps", [])
        if "nfiles" in dep
    }
    folders = {path: files(clone.folder, path) for path in hashed}
    assert hashed == {path: len(inside) for path, inside in folders.items()}
    assert {"stages/common", "stages/output", ".dvc/plots", "data/metrics/digits"} <= set(hashed)
    read = set().union(*(each.read for each in used.values()))
    others = PARAMETER_FILES | {f"stages/{name}.py" for name in PACKAGE} | UNREAD
    unread = set().union(*folders.values()) - read - others
    # A saved model is for people.
    assert {path for path in unread if not path.endswith("/model.skops")} == set()


def test_every_parameter_is_declared_by_a_stage() -> None:
    """That it is read, too, the first test shows."""
    declared_keys = {
        (file, key)
        for stage in stages().values()
        for file, listed in parameters(stage).items()
        for key in listed
        # A stage that reads the whole file shows nothing about a key.
        if key
    }
    found = set().union(*(leaves(file, key) for file, key in declared_keys))
    assert found == set().union(*map(leaves, PARAMETER_FILES))


@cache
def imported(path: Path) -> set[str]:
    """The names that a module imports: modules, and what may be one inside of a package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_code_imports_no_other(name: str) -> None:
    """Nor where the sample does not come: of another source of data, for one."""
    code = {path for path in declared(stages()[name]) if path.split("/")[0] == "stages"}
    listed = set().union(*(files(ROOT, path) for path in code))
    names = set().union(*(imported(ROOT / path) for path in listed if path.endswith(".py")))
    modules = {f"{name.replace('.', '/')}.py" for name in names}
    assert {path for path in modules - listed if (ROOT / path).is_file()} == set()


def test_every_library_that_makes_bytes_is_pinned_for_the_stages() -> None:
    modules = (ROOT / "stages").rglob("*.py")
    libraries = {name.split(".")[0] for path in modules for name in imported(path)}
    assert libraries - set(sys.stdlib_module_names) - {"stages"} - TOOLS == set(LIBRARY_OF)
    assert {f"stages/libraries.yaml {library}" for library in LIBRARY_OF.values()} == leaves(
        "stages/libraries.yaml"
    )


@pytest.mark.parametrize("module", PACKAGE)
def test_the_package_holds_no_code(module: str) -> None:
    _, *code = ast.parse((ROOT / "stages" / f"{module}.py").read_text()).body
    assert ast.unparse(ast.Module(code, [])) == PACKAGE[module]


def test_every_other_stage_comes_after_the_checks() -> None:
    graph = DiGraph((dependency, stage) for stage, dependency in edges())
    # Vega depends on no parameter.
    others = set(NAMES) - {"check_params", "bundle_vega"}
    assert descendants(graph, "check_params") == others
    assert descendants(graph, "check_data") == others - {"fetch", "check_data"}
