"""Run one stage: ``python -m stages split --params params.yaml ...``.

Calls ``main`` of the stage's module, and sees to what no stage should have to think of:

- It opens no file of the repository but its code and those that its command line names.
- It fails if a file or a parameter that it used was changed before it ended. DVC hashes what a
  stage depends on only then, and would record the change as used (treeverse/dvc#11058).
- It computes with the pinned version of each library.
- It ends when DVC is killed, so that the next run has the outputs to itself.
- A full disk is told in one line; Ctrl-C stops at once.
"""

import errno
import os
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from stages._errors import UserError

HERE = Path(__file__).parent
LIBRARIES = HERE / "libraries.yaml"
# The libraries that make the bytes of an output, by the module that a stage imports.
LIBRARY_OF = {
    "PIL": "pillow",
    "jinja2": "jinja2",
    "joblib": "joblib",
    "matplotlib": "matplotlib",
    "mlxtend": "mlxtend",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "sklearnex": "scikit-learn-intelex",
    "vl_convert": "vl-convert-python",
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
SECONDS_BETWEEN_LOOKS = 0.2

State: TypeAlias = tuple[int, ...] | None


def state(path: str) -> State:
    """Of a file: another one once it was written or replaced; ``None`` where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def inside(path: str, folders: list[str]) -> bool:
    """Whether ``path`` is one of ``folders``, which may be files, or below one."""
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


def guard(stage: str, arguments: list[str]) -> dict[str, State]:
    """From now on, refuse to open a file of the repository that ``arguments`` do not name.

    Returns:
        The files that were read, as they were at their first opening; filled as that happens.
    """
    read: dict[str, State] = {}
    written = set()
    named = [os.path.abspath(argument) for argument in arguments]
    root, own = os.getcwd(), [sys.prefix, str(LIBRARIES)]

    def on_open(event: str, details: tuple[Any, ...]) -> None:
        if event != "open" or isinstance(details[0], int):
            return
        path, writes = os.path.abspath(os.fsdecode(details[0])), details[2] & WRITES
        if inside(path, named):
            if writes:
                written.add(path)
                read.pop(path, None)
            elif path not in written:
                read.setdefault(path, state(path))
        elif inside(path, [root]) and not inside(path, own):
            is_code = path.endswith(".py") and inside(path, [str(HERE)]) and not writes
            # A name inside a folder that is open elsewhere looks like a file here, but is none.
            is_file = writes or os.path.isfile(path)
            if is_file and not is_code and "__pycache__" not in path:
                raise UserError(
                    f"{stage} {'writes' if writes else 'reads'} {os.path.relpath(path)}, "
                    "which its command in dvc.yaml does not name"
                )

    sys.addaudithook(on_open)
    return read


def check_libraries(known: set[str]) -> None:
    """Raise :class:`UserError` unless the libraries imported are the pinned ones.

    Args:
        known: The modules that were checked before; those checked now are added.
    """
    from stages._params.base import read

    for module in sorted((LIBRARY_OF.keys() - known) & sys.modules.keys()):
        library = LIBRARY_OF[module]
        pinned, installed = read(LIBRARIES, library, str), version(library)
        if installed != pinned:
            raise UserError(
                f"{library} {installed} is installed, but results are of {pinned}: "
                "pip install --require-hashes -r requirements.txt"
            )
        known.add(module)


def check_unchanged(stage: str, before: dict[str, State]) -> None:
    """Raise :class:`UserError` if a file is not in the state that it was in before.

    Of a file of parameters, only the values that were read count.
    """
    from stages._params.base import is_as_read

    for path, was in before.items():
        now = state(path)
        if now != was and not (now and is_as_read(Path(path))):
            raise UserError(
                f"{os.path.relpath(path)} changed while {stage} ran: run dvc repro again"
            )


def end_with_parent() -> None:
    """End this process soon after its parent, which is DVC."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def run(stage: str, arguments: list[str]) -> None:
    """Run ``main`` of ``stages/{stage}.py`` with command-line ``arguments``."""
    # Taken before Python reads a module of the repository; so what needs one imports it late.
    code = {str(path): state(str(path)) for path in HERE.rglob("*.py")}
    data = guard(stage, arguments)
    end_with_parent()
    main: Callable[..., None] = import_module(f"stages.{stage}").main
    libraries: set[str] = set()
    check_libraries(libraries)
    import_module("tyro").cli(main, prog=f"python -m stages {stage}", args=arguments)
    check_libraries(libraries)
    loaded = {getattr(module, "__file__", None) for module in sys.modules.values()}
    check_unchanged(stage, {path: was for path, was in code.items() if path in loaded} | data)


if __name__ == "__main__":
    names = sorted(path.stem for path in HERE.glob("[!_]*.py"))
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        raise UserError(f"usage: python -m stages STAGE ..., where STAGE is {' | '.join(names)}")
    try:
        run(sys.argv[1], sys.argv[2:])
    except KeyboardInterrupt:
        # Threads that still fit a model would be waited for.
        os._exit(130)
    except OSError as error:
        # NumPy's own error, of an array that was written in part, has no number.
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, None}:
            raise
        raise UserError(f"{sys.argv[1]}: the disk is full: {error}") from None
