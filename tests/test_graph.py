"""dvc.yaml against the code: what a stage imports and what its command names, it declares."""

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage
from ruamel.yaml import YAML

from tests.clone import ROOT

# DVC's own use of pygtrie.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@cache
def stages() -> dict[str, PipelineStage]:
    with Repo(str(ROOT)) as repo:
        return {stage.addressing: stage for stage in repo.index.stages}


def imported(path: Path) -> set[Path]:
    """The modules of the repository that a module imports, itself included, all the way down."""
    found = {path}
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            module = ROOT / (name.replace(".", "/") + ".py")
            if name.startswith("stages.") and module.is_file() and module not in found:
                found |= imported(module)
    return found


def words(stage: PipelineStage) -> list[str]:
    return stage.cmd.split()


def within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def declared(stage: PipelineStage) -> set[str]:
    return {str(dep.def_path) for dep in stage.deps if not isinstance(dep, ParamsDependency)}


NAMES = sorted(stages())


@pytest.mark.parametrize("name", NAMES)
def test_code_dependencies_are_the_imports(name: str) -> None:
    stage = stages()[name]
    entry = ["stages.__main__", f"stages.{words(stage)[3]}"]
    if "--model" in words(stage):
        entry.append(f"stages.models.{words(stage)[words(stage).index('--model') + 1]}")
    closure = set().union(
        *(imported(ROOT / (module.replace(".", "/") + ".py")) for module in entry)
    )
    code = set()
    for path in declared(stage):
        if path.endswith(".py"):
            code.add(ROOT / path)
        elif path.startswith("stages/") and (ROOT / path).is_dir():
            code |= set((ROOT / path).glob("*.py"))
    assert {str(path.relative_to(ROOT)) for path in code} == {
        str(path.relative_to(ROOT)) for path in closure
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_command_names_the_declared_paths(name: str) -> None:
    stage = stages()[name]
    named = {word for word in words(stage) if "/" in word}
    data = {path for path in declared(stage) if not path.endswith(".py")}
    outs = {str(out.def_path) for out in stage.outs}
    assert outs <= named
    # Of a folder, a command may name it and declare files below it, or the other way round.
    for path in named - outs:
        assert any(within(path, dep) or within(dep, path) for dep in data), path
    # Which a command need not name: the folder of all schemas, and the token of the check.
    for dep in data - {"stages/_params", "data/params.checked"}:
        assert any(within(dep, word) for word in words(stage)), dep


def test_every_stage_comes_after_the_check_of_the_parameters() -> None:
    # Vega depends on no parameter.
    names = [name for name in NAMES if name not in {"check_params", "bundle_vega"}]
    with Repo(str(ROOT)) as repo:
        graph = repo.index.graph
        by_name = {stage.addressing: stage for stage in graph}
        reached, todo = set(), [by_name[name] for name in names]
        for stage in todo:
            ancestors, stack = set(), [stage]
            while stack:
                for parent in graph.successors(stack.pop()):
                    if parent not in ancestors:
                        ancestors.add(parent)
                        stack.append(parent)
            if by_name["check_params"] in ancestors:
                reached.add(stage.addressing)
    assert sorted(reached) == names


def test_dvc_lock_is_of_these_stages() -> None:
    """DVC forgets no stage that was renamed."""
    assert sorted(YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]) == NAMES


def plots() -> dict[str, dict[str, Any]]:
    """The options of every plot in dvc.yaml, by its path, or by its name at the top level."""
    with Repo(str(ROOT)) as repo:
        ((definitions,),) = repo.index._plots.values()
        outs = repo.index.plots
    return {
        str(out.def_path): out.plot if isinstance(out.plot, dict) else {} for out in outs
    } | dict(definitions)


def test_pictures_and_curves_are_all_plotted() -> None:
    made = {
        str(out.def_path)
        for stage in stages().values()
        for out in stage.outs
        if str(out.def_path).endswith((".png", ".csv"))
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
