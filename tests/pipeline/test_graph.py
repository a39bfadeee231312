"""dvc.yaml against the code: what a stage imports and what its command names, it declares."""

import ast
import json
import re
import sys
from pathlib import Path

import pytest
from networkx import DiGraph, descendants
from ruamel.yaml import YAML

from stages.common.guard import LIBRARY_OF
from tests.support import ROOT
from tests.support.dag import NAMES, code, edges, modules, outs, plots, stages

MAX_CODE_DEPENDENCIES = 7


def names(path: Path) -> set[str]:
    """The names that a module imports: modules, and what may be one inside of a package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def imported(path: Path) -> set[Path]:
    """The modules of the repository that a module imports, itself included, all the way down."""
    found = {path}
    for name in names(path):
        module = ROOT / (name.replace(".", "/") + ".py")
        if name.startswith("stages.") and module.is_file() and module not in found:
            found |= imported(module)
    return found


# They fetch, show progress, count threads, read parameters and options: no byte of an output is of
# their making.
TOOLS = {"pooch", "psutil", "requests", "ruamel", "threadpoolctl", "tqdm"}
# They carry tasks to a cluster, where the same is computed.
TOOLS |= {"cloudpickle", "dask", "distributed", "toolz"}


def test_every_library_that_makes_bytes_is_pinned_for_the_stages() -> None:
    modules_of_stages = (ROOT / "stages").rglob("*.py")
    libraries = {name.split(".")[0] for path in modules_of_stages for name in names(path)}
    others = libraries - set(sys.stdlib_module_names) - {"stages"} - TOOLS
    assert others == set(LIBRARY_OF)
    pinned = YAML(typ="safe").load(ROOT / "stages" / "libraries.yaml")
    assert set(pinned) == set(LIBRARY_OF.values())


def within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def test_the_package_holds_no_code() -> None:
    """Every stage imports it, and what starts it; none declares them."""
    (docstring,) = ast.parse((ROOT / "stages" / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)
    starts = "from stages.common.run import start\nstart()"
    _, *code = ast.parse((ROOT / "stages" / "__main__.py").read_text()).body
    assert ast.unparse(ast.Module(code, [])) == starts


@pytest.mark.parametrize("name", NAMES)
def test_code_dependencies_are_the_imports_and_few(name: str) -> None:
    """And of folders, what all share: another way to write a report fits and searches nothing."""
    stage = stages()[name]
    _, _, _, module, *options = stage.cmd.split()
    entry = ["common.run", module]
    if module == "models.fit":
        entry.append(f"models.{options[options.index('--model') + 1]}")
    paths = (ROOT / "stages" / f"{module.replace('.', '/')}.py" for module in entry)
    needed = {str(path.relative_to(ROOT)) for path in set().union(*map(imported, paths))}
    assert [path for path in needed if not any(within(path, dep) for dep in modules(stage))] == []
    # A folder is there for one of its modules.
    assert [dep for dep in modules(stage) if not any(within(path, dep) for path in needed)] == []
    assert len(code(stage)) <= MAX_CODE_DEPENDENCIES
    folders = {path for path in modules(stage) if not Path(path).suffix}
    shared = {"stages/common", "stages/output", "stages/parallel"}
    if name.startswith(("fit@", "find_neighbors@")):
        shared.remove("stages/output")
    # It shows of which code all results are.
    assert folders <= ({"stages"} if name == "report" else shared)


@pytest.mark.parametrize(
    ("check", "before"),
    # Vega depends on no parameter.
    [
        ("check_params", {"check_params", "bundle_vega"}),
        ("check_data", {"check_params", "bundle_vega", "fetch", "check_data"}),
    ],
)
def test_every_other_stage_comes_after_the_checks(check: str, before: set[str]) -> None:
    after = descendants(DiGraph((dependency, stage) for stage, dependency in edges()), check)
    assert sorted(after) == [name for name in NAMES if name not in before]


def test_dvc_lock_is_of_these_stages() -> None:
    """DVC forgets no stage that was renamed."""
    assert sorted(YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]) == NAMES


def test_every_stage_says_what_it_does() -> None:
    assert [name for name, stage in stages().items() if not stage.desc] == []


def test_pictures_and_curves_are_all_plotted() -> None:
    made = {
        path
        for stage in stages().values()
        for path in outs(stage)
        if path.endswith((".png", ".csv"))
    }
    shown = plots()
    assert made <= set(shown)
    for name in set(shown) - made:
        assert set(shown[name]["y"]) <= made


def test_every_template_is_there_and_used() -> None:
    folder = ROOT / ".dvc" / "plots"
    used = {options["template"] for options in plots().values() if options}
    assert used == {path.stem for path in folder.glob("*.json")}
    for name in used:
        text = (folder / f"{name}.json").read_text()
        spec = json.loads(text)
        # DVC's only part in it, so that the report draws the same chart.
        assert re.findall("<DVC_.+?>", text) == ["<DVC_METRIC_DATA>"]
        assert spec["data"] == {"values": "<DVC_METRIC_DATA>"}
        assert spec["title"]
        assert spec["description"]
