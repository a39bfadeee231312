"""Whether what the pipeline has made is what ``dvc.lock`` records, as of one run."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pathspec import GitIgnoreSpec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.common.errors import UserError

REPOSITORY = Path(__file__).parent.parent


class Stage(NamedTuple):
    """What ``dvc.lock`` records of a stage.

    The MD5 of what it has read and written, by path, and its parameters, by file and key.
    """

    read: dict[str, str]
    written: dict[str, str]
    params: dict[str, str]


def read_yaml(path: Path, remedy: str) -> Any:
    """What a file of YAML holds.

    Raises:
        UserError: It is not there, which has a ``remedy``, or cannot be read.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path} is not there: {remedy}")
        return YAML(typ="safe").load(path)
    except YAMLError as error:
        raise UserError(
            f"{path} is damaged, or of a merge that has stopped: make verify, or git status"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def read_pipeline(root: Path) -> Any:
    """What ``dvc.yaml`` holds.

    Raises:
        UserError: It is not there, or cannot be read.
    """
    return read_yaml(root / "dvc.yaml", "run it in the pipeline's folder, or name that by --root")


def recorded_stages(root: Path) -> dict[str, Stage]:
    """What ``dvc.lock`` records of the stages of ``dvc.yaml``; DVC keeps others there.

    Raises:
        UserError: One of the two files is not there, or cannot be read.
    """
    lock, pipeline = root / "dvc.lock", read_pipeline(root)
    content = read_yaml(lock, "make repro")
    try:
        return {
            name: Stage(
                _by_path(stage.get("deps", ())),
                _by_path(stage.get("outs", ())),
                {
                    f"{key} of {file}": repr(value)
                    for file, values in stage.get("params", {}).items()
                    for key, value in values.items()
                },
            )
            for name, stage in content["stages"].items()
            if name.partition("@")[0] in pipeline["stages"]
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{lock} is damaged: make verify, then make repro") from error


def _by_path(entries: Iterable[dict[str, str]]) -> dict[str, str]:
    return {entry["path"]: entry["md5"] for entry in entries}


def overlap(path: str, others: Iterable[str]) -> list[str]:
    """Those of ``others`` that are the same path, inside of it, or around it."""
    own = PurePosixPath(path)
    return [o for o in others if own.is_relative_to(o) or PurePosixPath(o).is_relative_to(own)]


def check_of_one_run(root: Path, files: Iterable[Path], code: Iterable[Path] = ()) -> None:
    """Hold files to what ``dvc.lock`` records of all stages that they come from.

    Those are the stages that make them, those that make what these have read, and so on.

    Args:
        root: The pipeline's folder.
        files: Outputs in it, or files in outputs that are folders.
        code: Files of this repository, as much of it as these stages have read.

    Raises:
        UserError: A file is not there, or is not what is recorded; or of another, two of the stages
            have had two contents.
    """
    lock, stages = root / "dvc.lock", recorded_stages(root)
    maker = {path: name for name, stage in stages.items() for path in stage.written}
    asked = [path.relative_to(root).as_posix() for path in files]
    todo, used, recorded = list(asked), set(), dict[str, str]()
    for path in todo:
        outs = overlap(path, maker)
        if not outs and path in asked:
            raise UserError(f"{lock} records nothing of {path}: make repro")
        for name in [maker[out] for out in outs]:
            if name not in used:
                used.add(name)
                for other, md5 in (pair for of in stages[name] for pair in of.items()):
                    if recorded.setdefault(other, md5) != md5:
                        raise UserError(f"{lock} is of two runs, with two {other}: make repro")
                todo += stages[name].read
    data = [path for path in recorded if overlap(path, maker)]
    # Where a stage has read a part of what another has written, only the files tell.
    compared = [path for path in data if overlap(path, asked) or overlap(path, data) != [path]]
    for path in compared:
        _compare(root, path, recorded[path])
    shared = [path.relative_to(REPOSITORY).as_posix() for path in code]
    for path in recorded.keys() - data:
        if overlap(path, shared):
            _compare(REPOSITORY, path, recorded[path])


def _compare(root: Path, name: str, md5: str) -> None:
    path = root / name
    try:
        if _content(root, path) == md5:
            return
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there: make repro, or dvc pull") from error
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error
    raise UserError(f"{path} is not what dvc.lock records: make repro, or make verify")


def _content(root: Path, path: Path) -> str:
    """The MD5 of a file, or of the list of files of a folder, as DVC writes it."""
    if not path.is_dir():
        return _md5(path)
    ignore = root / ".dvcignore"
    ignored = GitIgnoreSpec.from_lines(
        ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else ()
    )
    names = sorted(
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if not file.is_dir() and not ignored.match_file(file.relative_to(root))
    )
    listed = [{"md5": _md5(path / name), "relpath": name} for name in names]
    return f"{hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest()}.dir"


def _md5(path: Path) -> str:
    # To open a pipe would wait for ever.
    if not path.is_file():
        raise FileNotFoundError
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
