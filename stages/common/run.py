"""Run one stage: ``python -m stages data.split --params params.yaml ...``.

Calls ``main`` of ``stages/data/split.py`` with the options as its arguments, in an environment
that :mod:`stages.common.process_environment` has cleaned, guarded by :mod:`stages.common.guard`. A
user's mistake and a full disk are told in one line, Ctrl-C stops at once, and a bug keeps its
traceback.
"""

import errno
import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from stages.common.errors import UserError, end
from stages.common.guard import check_libraries, check_unchanged, watch
from stages.common.process_environment import clean_environment, end_with_dvc

STAGES = Path(__file__).parent.parent
# What makes a value of a word of the command line, by the argument's type; else it is the word.
VALUE: dict[Any, Callable[[str], Any]] = {Path: Path, list[Path]: Path, bool: json.loads}


def is_stage(path: Path) -> bool:
    """Whether a module is a stage, which defines ``main``."""
    return path.is_file() and b"\ndef main(" in path.read_bytes()


def names() -> list[str]:
    """The names of all stages."""
    modules = (path for path in sorted(STAGES.rglob("[!_]*.py")) if is_stage(path))
    return [".".join(path.relative_to(STAGES).with_suffix("").parts) for path in modules]


def options(main: Callable[..., None], prog: str, words: list[str]) -> dict[str, Any]:
    """The arguments of ``main``, each from an option of its name: ``--train data/train``."""
    parser = ArgumentParser(
        prog,
        description=main.__doc__,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, kind in main.__annotations__.items():
        if name != "return":
            option = f"--{name.replace('_', '-')}"
            nargs = "+" if kind == list[Path] else None
            parser.add_argument(option, required=True, type=VALUE.get(kind, str), nargs=nargs)
    return vars(parser.parse_args(words))


def run(stage: str, arguments: list[str]) -> None:
    """Run ``main`` of a stage's module with command-line ``arguments``.

    Raises:
        UserError: A mistake of the user's; for example, Python imports another checkout's stages.
    """
    if Path.cwd() != STAGES.resolve().parent:
        raise UserError(f"{STAGES.parent} has these stages: run them there, without PYTHONSAFEPATH")
    end_with_dvc()
    clean_environment()
    watch(stage, arguments)
    main = import_module(f"stages.{stage}").main
    check_libraries()
    main(**options(main, f"python -m stages {stage}", arguments))
    check_libraries()
    check_unchanged(stage)


def start() -> None:
    """Run the stage that the command line names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if not is_stage(STAGES.joinpath(*name.split(".")).with_suffix(".py")):
        sys.exit(f"usage: python -m stages STAGE ..., where STAGE is {' | '.join(names())}")
    try:
        run(name, sys.argv[2:])
    except KeyboardInterrupt:
        end("", 130)
    except UserError as error:
        end(str(error), 1)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("stages"):
            raise
        end(f"{error}, which another Python has: . .venv/bin/activate, or make repro", 1)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        end(f"{name}: the disk is full: {error}", 1)
