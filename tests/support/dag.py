"""The graph of dvc.yaml, as DVC reads it."""

from functools import cache
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage

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


def code(stage: PipelineStage) -> set[str]:
    """Those of :func:`declared` that are code: files, and folders of files."""
    return {path for path in declared(stage) if path.split("/")[0] == "stages"}


def modules(stage: PipelineStage) -> set[str]:
    """Those of :func:`code` that Python imports: its command names what the stage opens itself.

    But the stage that shows results opens all code, too.
    """
    return {path for path in code(stage) if path == "stages" or path not in stage.cmd.split()}


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


def plots() -> dict[str, dict[str, Any]]:
    """The options of every plot in dvc.yaml, by its path, or by its name at the top level."""
    with Repo(str(ROOT)) as repo:
        ((definitions,),) = repo.index._plots.values()
        drawn = repo.index.plots
    return {
        str(out.def_path): out.plot if isinstance(out.plot, dict) else {} for out in drawn
    } | dict(definitions)
