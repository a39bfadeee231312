"""No stage uses what it does not declare: files, code, parameters, as it ran.

The trace of a stage (tests/trace) has what its processes opened and read. A declared
dependency that a stage does not use is an error too: it would run for nothing.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage
from ruamel.yaml import YAML

from tests.clone import Clone
from tests.test_graph import NAMES, stages

# DVC's own use of pygtrie.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

# Python's and DVC's own, which no stage asks for.
OWN = (".git", ".dvc", "__pycache__")


def events(clone: Clone, command: str) -> Iterator[tuple[str, Any]]:
    """What the trace of the clone has of a command: kind and object of each event."""
    for path in clone.trace.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            traced, kind, what = json.loads(line)
            if traced == command:
                yield kind, what


def leaves(params: Any, key: str) -> set[str]:
    """The dotted keys of all values below a key."""
    value = params
    for part in filter(None, key.split(".")):
        value = value[part]
    if not isinstance(value, dict):
        return {key}
    return set().union(*(leaves(params, f"{key}.{name}".lstrip(".")) for name in value))


def stage_of(clone: Clone, name: str) -> PipelineStage:
    with Repo(str(clone.folder)) as repo:
        return next(stage for stage in repo.index.stages if stage.name == name)


def files(clone: Clone, paths: set[str]) -> set[str]:
    """The paths, and of a folder the modules in it."""
    found = set()
    for path in paths:
        inside = (clone.folder / path).glob("*.py") if (clone.folder / path).is_dir() else [path]
        found |= {str(Path(clone.folder, file).relative_to(clone.folder)) for file in inside}
    return found


def discrepancies(clone: Clone, name: str) -> list[str]:
    """A line for each thing that a stage uses undeclared, or declares and does not use."""
    stage = stage_of(clone, name)
    used: dict[str, set[str]] = {"read": set(), "write": set(), "param": set()}
    for kind, what in events(clone, stage.cmd):
        if kind in ("read", "write"):
            path = Path(what)
            if path.is_relative_to(clone.folder) and not set(path.parts) & set(OWN):
                used[kind].add(str(path.relative_to(clone.folder)))
            elif path.parent.name == "__pycache__" and path.is_relative_to(clone.folder / "stages"):
                module = path.parent.parent / f"{path.name.split('.')[0]}.py"
                used["read"].add(str(module.relative_to(clone.folder)))
        else:
            used[kind].add(what)

    params = YAML(typ="safe").load(clone.folder / "params.yaml")
    keys: set[str] = set()
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            keys = set().union(*(leaves(params, key) for key in dep.params or [""]))
    outs = {str(out.def_path) for out in stage.outs}
    deps = files(
        clone, {str(dep.def_path) for dep in stage.deps if not isinstance(dep, ParamsDependency)}
    )
    # The token that makes every stage wait for the check of the parameters.
    deps.discard("data/params.checked")
    keys_read = set().union(*(leaves(params, key) for key in used["param"]))
    read = used["read"] - outs - {"params.yaml"}
    return [
        *(f"{name} reads {path} undeclared" for path in sorted(read - deps)),
        *(f"{name} declares {path} and does not read it" for path in sorted(deps - read)),
        *(f"{name} writes {path} undeclared" for path in sorted(used["write"] - outs)),
        *(f"{name} declares {path} and does not write it" for path in sorted(outs - used["write"])),
        *(f"{name} reads {key} of params.yaml undeclared" for key in sorted(keys_read - keys)),
        *(f"{name} declares {key} and does not read it" for key in sorted(keys - keys_read)),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_uses_what_it_declares(clone: Clone, name: str) -> None:
    assert discrepancies(clone, name) == []


def test_every_parameter_is_read_by_a_stage(clone: Clone) -> None:
    params = YAML(typ="safe").load(clone.folder / "params.yaml")
    read = set()
    for stage in stages().values():
        for kind, what in events(clone, stage.cmd):
            if kind == "param" and what:
                read |= leaves(params, what)
    assert leaves(params, "") - read == set()


CHECK = "    check_sizes(len(load(labels)), n_train)\n"


@pytest.mark.parametrize(
    ("file", "before", "after", "found"),
    [
        pytest.param(
            "stages/split.py",
            CHECK,
            CHECK + '    Path("README.md").read_text()\n',
            "split reads README.md undeclared",
            id="undeclared read",
        ),
        pytest.param(
            "stages/split.py",
            CHECK,
            CHECK + '    Path("stray.txt").write_text("")\n',
            "split writes stray.txt undeclared",
            id="write outside the outs",
        ),
        pytest.param(
            "dvc.yaml",
            "      - stages/split.py\n",
            "      - stages/split.py\n      - README.md\n",
            "split declares README.md and does not read it",
            id="unused dependency",
        ),
        pytest.param(
            "dvc.yaml",
            "      - stages/_params/split.py\n",
            "",
            "split reads stages/_params/split.py undeclared",
            id="forgotten import",
        ),
        pytest.param(
            "dvc.yaml",
            "      - split\n",
            "      - split\n      - gallery\n",
            "split declares gallery.n_digits and does not read it",
            id="unread parameter",
        ),
        pytest.param(
            "stages/split.py",
            CHECK,
            CHECK + '    read(params, "binary.target", int)\n',
            "split reads binary.target of params.yaml undeclared",
            id="undeclared parameter",
        ),
    ],
)
def test_a_planted_fault_is_named(
    clone: Clone, file: str, before: str, after: str, found: str
) -> None:
    path = clone.folder / file
    text = path.read_text()
    assert text.count(before) == 1
    old_traces = set(clone.trace.glob("*.jsonl"))
    kept = {trace: trace.rename(trace.with_suffix(".kept")) for trace in old_traces}
    path.write_text(text.replace(before, after))
    try:
        clone.dvc("repro", "--single-item", "--force", "split")
        assert discrepancies(clone, "split") == [found]
    finally:
        path.write_text(text)
        (clone.folder / "stray.txt").unlink(missing_ok=True)
        for trace in clone.trace.glob("*.jsonl"):
            trace.unlink()
        for trace, moved in kept.items():
            moved.rename(trace)
        clone.undo()
