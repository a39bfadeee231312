"""What is around every stage, so that no stage has to think of it.

- A stage opens no file of the repository but its code and those that its command line names, and
  starts no process by multiprocessing or joblib, whose files nobody would watch.
- It fails if a file, a folder's list of files or a parameter that it used was changed before it
  ended. DVC hashes what a stage depends on only then, and would record the change as used
  (treeverse/dvc#11058).
- It computes with the pinned version of each library.

It is there for mistakes. Whoever wants to get around it can: docs/trust.md says how.
"""

import errno
import multiprocessing.process
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from stages.common.errors import UserError, end

STAGES = Path(__file__).parent.parent
LIBRARIES = STAGES / "libraries.yaml"
# The libraries that make the bytes of an output, by the module that a stage imports.
LIBRARY_OF = {
    "PIL": "pillow",
    "jinja2": "jinja2",
    "joblib": "joblib",
    "markupsafe": "markupsafe",
    "matplotlib": "matplotlib",
    "mlxtend": "mlxtend",
    "numba": "numba",
    "numpy": "numpy",
    "pydantic": "pydantic",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "skops": "skops",
    "vl_convert": "vl-convert-python",
}
OPENED_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

State: TypeAlias = list[str] | tuple[int, int, int] | None
# What this process has read of the repository, as it was then; and what it has written.
used: dict[str, State] = {}
written: set[str] = set()


def state(path: str) -> State:
    """What tells whether a file, or the list of names in a folder, is another one than before.

    ``None`` if there is nothing. Python's bytecode does not count.
    """
    try:
        if os.path.isdir(path):
            return sorted(set(os.listdir(path)) - {"__pycache__"})
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def inside(path: str, folders: list[str]) -> bool:
    """Whether ``path`` is one of ``folders``, which may be files, or below one."""
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


def watch(stage: str, arguments: list[str]) -> None:
    """Watch the files that this process opens, from now on and for good.

    Args:
        stage: The name of the stage, for messages.
        arguments: Its command line. The files and folders named there are all that it may open.
    """
    root, named = os.getcwd(), [os.path.abspath(argument) for argument in arguments]
    # Libraries may lie in the repository; or the repository among them.
    libraries = [path for path in (sys.prefix, sys.base_prefix) if not inside(root, [path])]

    def look(event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(details[0], int):
            path = os.path.abspath(os.fsdecode(details[0]))
            if inside(path, [root]) and not inside(path, libraries):
                look_at(stage, named, path, bool(details[2] & OPENED_TO_WRITE))

    # Python has read some code already. Hence the imports inside of functions: of a module that is
    # read from now on, the state is recorded before.
    code = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
    folders = {folder for path in named for folder, _, _ in os.walk(path)}
    for path in folders | {path for path in code if inside(path, [str(STAGES)])}:
        used[path] = state(path)
    # It is not read either, see below; elsewhere, it would be.
    sys.dont_write_bytecode, sys.pycache_prefix = True, None
    multiprocessing.process.BaseProcess.start = lambda *_: end(  # type: ignore[method-assign]
        f"{stage} starts a process, whose files nobody watches: use threads", 1
    )
    sys.addaudithook(look)


def look_at(stage: str, named: list[str], path: str, writes: bool) -> None:
    """Record that a stage opens a file of the repository, or end it if it must not."""
    if path.endswith(".pyc"):
        # Python reads the source then: bytecode of its second and size may be of other code.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    is_code = (path.endswith(".py") and inside(path, [str(STAGES)])) or path == str(LIBRARIES)
    if not inside(path, named) and (writes or not is_code):
        # A name inside a folder that is open elsewhere looks like a file here, but is none.
        if writes or os.path.isfile(path):
            # At once: a library may take an exception for a file that is missing.
            end(
                f"{stage} {'writes' if writes else 'reads'} {os.path.relpath(path)}, "
                "which its command in dvc.yaml does not name",
                1,
            )
    elif writes:
        written.add(path)
        for folder in [of for of in used if inside(path, [of])]:
            del used[folder]
    elif path not in written and path not in used:
        used[path] = state(path)


def check_libraries() -> None:
    """Raise :class:`UserError` unless the libraries imported so far are the pinned ones."""
    from stages.common.params import read

    for module in sorted(LIBRARY_OF.keys() & sys.modules.keys()):
        library = LIBRARY_OF[module]
        pinned, installed = read(LIBRARIES, library), version(library)
        if installed != pinned:
            raise UserError(
                f"{library} {installed} is installed, but results are of {pinned}: "
                "pip install --require-hashes -r requirements.txt"
            )


def check_unchanged(stage: str) -> None:
    """Raise :class:`UserError` if files or folders are not as they were when ``stage`` used them.

    In a file of parameters, only the values that were read count.
    """
    from stages.common.params import unchanged_since_read

    changed = [
        os.path.relpath(path)
        for path, was in [*used.items()]
        if (now := state(path)) != was and not (now and unchanged_since_read(Path(path)))
    ]
    if changed:
        raise UserError(
            f"{', '.join(sorted(changed))} changed while {stage} ran: run dvc repro again"
        )
