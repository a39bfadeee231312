"""No stage uses what it does not declare: files, code, parameters, as it ran.

The trace of a stage (tests/support/trace) has what its processes opened and read. A declared
dependency that no stage uses is an error too: it would run for nothing.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from dvc.stage import PipelineStage
from ruamel.yaml import YAML

from tests.support.clone import Clone
from tests.support.dag import NAMES, declared, outs, parameters, stages

# They hold no code but a call; and which DVC runs the stage.
PACKAGE = {"stages/__init__.py", "stages/__main__.py", ".dvc/tmp/rwlock"}
# What makes every stage wait for the checks, and git keep an empty folder.
UNREAD = {
    *("data/params.checked", "data/data.checked"),
    *("data/idx/.gitignore", "data/pictures/.gitignore"),
    "stages/parallel/cluster.py",  # where there is a cluster
}


@pytest.fixture(scope="module")
def clone(clone: Clone) -> Clone:
    """The DAG run once, with the trace of that run alone."""
    return Clone(clone.folder, clone.trace.with_name("trace of the DAG"))


@cache
def events(trace: Path) -> dict[str, list[tuple[str, Any]]]:
    """What a trace has of each command: kind and object of its events."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for path in trace.glob("*.jsonl"):
        for command, kind, what in map(json.loads, path.read_text().splitlines()):
            found.setdefault(command, []).append((kind, what))
    return found


def leaves(clone: Clone, file: str, key: str) -> set[str]:
    """All values below a key of a file of parameters, as ``key of file``."""

    def below(value: Any, key: str) -> set[str]:
        if not isinstance(value, dict):
            return {f"{key} of {file}"}
        return set().union(*(below(value[name], f"{key}.{name}".lstrip(".")) for name in value))

    value = YAML(typ="safe").load(clone.folder / file)
    for part in filter(None, key.split(".")):
        value = value[part]
    return below(value, key)


PARAMETER_FILES = set().union(*(parameters(stage) for stage in stages().values()))


def files(clone: Clone, path: str) -> set[str]:
    """The path, or of a folder the files in it."""
    folder = clone.folder / path
    inside = folder.rglob("*") if folder.is_dir() else [folder]
    return {
        str(file.relative_to(clone.folder))
        for file in inside
        if not file.is_dir() and "__pycache__" not in file.parts
    }


def used(clone: Clone, stage: PipelineStage) -> dict[str, set[str]]:
    """What a stage has read and written of the repository, and which parameters it has read."""
    found: dict[str, set[str]] = {"read": set(), "write": set(), "param": set()}
    for kind, what in events(clone.trace)[stage.cmd]:
        path = Path(what[0] if kind == "param" else what)
        if path.parent.name == "__pycache__" and path.parts[0] == "stages":
            kind, path = "read", path.parent.parent / f"{path.name.split('.')[0]}.py"
        if "__pycache__" in path.parts:
            continue
        name = str(path)
        if kind == "param" and name in PARAMETER_FILES:
            found[kind] |= leaves(clone, name, what[1])
        elif kind != "param" and name not in PARAMETER_FILES | PACKAGE:
            found[kind].add(name)
    return found


def discrepancies(clone: Clone, name: str, declaring: str | None = None) -> list[str]:
    """A line for each thing that a stage uses undeclared, or declares and does not use.

    What it declares may be taken from another stage.
    """
    stage, found = stages(clone.folder)[declaring or name], used(clone, stages(clone.folder)[name])
    keys = {
        leaf
        for file, keys in parameters(stage).items()
        for key in keys
        for leaf in leaves(clone, file, key)
    }
    deps = {path: files(clone, path) - UNREAD for path in declared(stage)}
    written = {path: files(clone, path) for path in outs(stage)}
    of_deps, of_outs = set().union(*deps.values()), set().union(*written.values())
    read = found["read"] - of_outs - UNREAD
    return [
        *(f"{name} reads {path} undeclared" for path in sorted(read - of_deps)),
        # Of a folder, one file: test_every_file_of_a_declared_folder_is_read asks for the others.
        *(
            f"{name} declares {path} and does not read it"
            for path, inside in sorted(deps.items())
            if inside and not inside & read
        ),
        *(f"{name} writes {path} undeclared" for path in sorted(found["write"] - of_outs)),
        *(
            f"{name} declares {path} and does not write it"
            for path, inside in sorted(written.items())
            if inside - found["write"]
        ),
        *(f"{name} reads {key} undeclared" for key in sorted(found["param"] - keys)),
        *(f"{name} declares {key} and does not read it" for key in sorted(keys - found["param"])),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_uses_what_it_declares(clone: Clone, name: str) -> None:
    assert discrepancies(clone, name) == []


def test_what_is_of_another_stage_is_named(clone: Clone) -> None:
    """What ``split`` uses, held against what ``gallery`` declares: a fault of each kind."""
    assert set(discrepancies(clone, "split", "gallery")) >= {
        "split reads data/mnist/labels.npy undeclared",
        "split declares stages/data/gallery.py and does not read it",
        "split writes data/test/labels.npy undeclared",
        "split declares reports/pictures/first_digits.png and does not write it",
        "split reads split.n_train of params.yaml undeclared",
        "split declares gallery.n_digits of params.yaml and does not read it",
    }


def test_every_file_of_a_declared_folder_is_read(clone: Clone) -> None:
    inside, read = set(), set()
    for stage in stages(clone.folder).values():
        folders = {path for path in declared(stage) if (clone.folder / path).is_dir()}
        inside |= set().union(*(files(clone, path) for path in folders))
        read |= used(clone, stage)["read"]
    assert inside - UNREAD - read - PARAMETER_FILES - PACKAGE == set()


def test_dvc_sees_every_file_of_a_declared_folder(clone: Clone) -> None:
    """What .dvcignore names, or DVC ignores by itself, could change unseen."""
    lock = YAML(typ="safe").load(clone.folder / "dvc.lock")
    seen = {
        dep["path"]: dep["nfiles"]
        for stage in lock["stages"].values()
        for dep in stage.get("deps", [])
        if "nfiles" in dep
    }
    assert seen == {path: len(files(clone, path)) for path in seen}
    assert {"stages/common", "stages/output", ".dvc/plots", "data/metrics/digits"} <= set(seen)


@pytest.mark.parametrize("file", sorted(PARAMETER_FILES))
def test_every_parameter_is_read_by_a_stage(clone: Clone, file: str) -> None:
    read = set()
    for stage in stages().values():
        # A stage that reads the whole file shows nothing about a key.
        if parameters(stage).get(file) != [""]:
            read |= used(clone, stage)["param"]
    assert leaves(clone, file, "") - read == set()
