"""The graph of dvc.yaml, as DVC reads it; and all stages, run without DVC."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage
from networkx import topological_sort

from tests.support import ROOT


@cache
def stages(folder: Path = ROOT) -> dict[str, PipelineStage]:
    """Every stage by its name."""
    with Repo(str(folder)) as repo:
        return {stage.name: stage for stage in repo.index.stages}


NAMES = sorted(stages())


def edges() -> set[tuple[str, str]]:
    """A stage that depends on another, and that other, as pairs of names."""
    with Repo(str(ROOT)) as repo:
        return {(stage.name, dep.name) for stage, dep in repo.index.graph.edges}


def declared(stage: PipelineStage) -> set[str]:
    """The files and folders that a stage depends on, code and data."""
    return {str(dep.def_path) for dep in stage.deps if not isinstance(dep, ParamsDependency)}


def outs(stage: PipelineStage) -> set[str]:
    """The files and folders that a stage writes."""
    return {str(out.def_path) for out in stage.outs}


def parameters(stage: PipelineStage) -> dict[str, list[str]]:
    """The declared keys of each file of parameters; the empty key is the whole file."""
    return {
        str(dep.def_path): list(dep.params) or [""]
        for dep in stage.deps
        if isinstance(dep, ParamsDependency)
    }


def plots() -> set[str]:
    """Every plot in dvc.yaml: its path, or its name at the top level."""
    with Repo(str(ROOT)) as repo:
        ((definitions,),) = repo.index._plots.values()
        return {str(out.def_path) for out in repo.index.plots} | set(definitions)


def run_stages(*folders: Path, python: str = sys.executable, **environment: str) -> Any:
    """Run all stages in each folder, in one process; what the libraries report of the machine."""
    with Repo(str(ROOT)) as repo:
        # Its edges lead from a stage to those that it depends on.
        commands = [stage.cmd for stage in reversed([*topological_sort(repo.index.graph)])]
    script = str(ROOT / "tests" / "support" / "in_one_process.py")
    done = subprocess.run(
        [python, "-W", "ignore", script, *map(str, folders)],
        env={**os.environ, "PYTHONPATH": str(folders[0]), **environment},
        input="\n".join(commands),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
