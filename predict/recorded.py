"""Whether what the pipeline has made is what ``dvc.lock`` records, as of one run."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from stages.common.errors import UserError

REPOSITORY = Path(__file__).parent.parent


def check_of_one_run(root: Path, stage: str, code: Iterable[Path]) -> None:
    """Hold what a stage and all behind it have made to what ``dvc.lock`` records.

    Unlike ``dvc status``, it takes no notice of what was edited since.

    Args:
        root: The pipeline's folder.
        stage: The stage's name.
        code: Files of this repository that these stages have read, too.

    Raises:
        UserError: DVC cannot read the pipeline; an output that is there, or the code, is not what
            is recorded; or of a file or a parameter, two of the stages have had two contents.
    """
    lock, recorded = root / "dvc.lock", dict[str, Any]()
    changed: list[Path] = []
    try:
        with Repo(str(root)) as repo:
            for each in repo.stage.collect(f"{root / 'dvc.yaml'}:{stage}", with_deps=True):
                for entry in (*each.outs, *each.deps):
                    path, content = entry.def_path, entry.hash_info.value
                    contents = {path: content}
                    if isinstance(content, dict):
                        contents = {f"{key} of {path}": value for key, value in content.items()}
                    for name, value in contents.items():
                        if recorded.setdefault(name, value) != value:
                            raise UserError(f"{lock} is of two runs, with two {name}: make repro")
                for out in each.outs:
                    if {"modified", "new"} & set(out.workspace_status().values()):
                        changed.append(root / out.def_path)
    except DvcException as error:
        line = str(error).splitlines()[0]
        raise UserError(
            f"the pipeline in {root.resolve()} (name another by --root): {line}"
        ) from error
    for path in code:
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        if recorded.get(path.relative_to(REPOSITORY).as_posix()) != md5:
            changed.append(path)
    if changed:
        raise UserError(f"{changed[0]} is not what dvc.lock records: make repro, or make verify")
