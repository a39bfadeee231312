"""Run one stage: ``python -m stages data.split --params params.yaml ...``.

Calls ``main`` of ``stages/data/split.py`` with the options as its arguments, guarded by
:mod:`stages.common.guard`. A user's mistake and a full disk are told in one line, Ctrl-C stops at
once, and a bug keeps its traceback.
"""

import errno
import os
import sys
from importlib import import_module
from pathlib import Path

from stages.common.errors import UserError
from stages.common.guard import Guard, end_with_parent

STAGES = Path(__file__).parent


def is_stage(path: Path) -> bool:
    """Whether a module is a stage, which defines ``main``."""
    return path.is_file() and b"\ndef main(" in path.read_bytes()


def names() -> list[str]:
    """The names of all stages."""
    modules = (path for path in sorted(STAGES.rglob("[!_]*.py")) if is_stage(path))
    return [".".join(path.relative_to(STAGES).with_suffix("").parts) for path in modules]


def run(stage: str, arguments: list[str]) -> None:
    """Run ``main`` of a stage's module with command-line ``arguments``."""
    guard = Guard(stage, arguments)
    end_with_parent()
    try:
        main = import_module(f"stages.{stage}").main
        guard.check_libraries()
        import_module("tyro").cli(main, prog=f"python -m stages {stage}", args=arguments)
        guard.check_libraries()
        guard.check_unchanged()
    finally:
        guard.check_refused()


if __name__ == "__main__":
    if len(sys.argv) < 2 or not is_stage(STAGES / f"{sys.argv[1].replace('.', '/')}.py"):
        sys.exit(f"usage: python -m stages STAGE ..., where STAGE is {' | '.join(names())}")
    try:
        run(sys.argv[1], sys.argv[2:])
    except KeyboardInterrupt:
        # Threads that still fit a model would be waited for.
        os._exit(130)
    except UserError as error:
        sys.exit(str(error))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        sys.exit(f"{sys.argv[1]}: the disk is full: {error}")
