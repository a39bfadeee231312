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
import hashlib
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
# Up to this size, files are compared by their content; larger ones by what the system knows.
SMALL = 2**20

State: TypeAlias = list[str] | tuple[int, int, int] | bytes | None


def state(path: str) -> State:
    """What tells whether a file, or the list of names in a folder, is another one than before.

    ``None`` if there is nothing. Python's bytecode does not count.
    """
    try:
        if os.path.isdir(path):
            return sorted(set(os.listdir(path)) - {"__pycache__"})
        found = os.stat(path)
        if found.st_size > SMALL:
            return found.st_ino, found.st_size, found.st_mtime_ns
        return hashlib.md5(Path(path).read_bytes()).digest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def inside(path: str, folders: list[str]) -> bool:
    """Whether ``path`` is one of ``folders``, which may be files, or below one."""
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


class Guard:
    """Watches the files that this process opens, from now on and for good.

    Args:
        stage: The name of the stage, for messages.
        arguments: Its command line. The files and folders named there are all that it may open.
    """

    def __init__(self, stage: str, arguments: list[str]) -> None:
        self.stage, self.root = stage, os.getcwd()
        self.named = [os.path.abspath(argument) for argument in arguments]
        # Libraries may lie in the repository; or the repository among them.
        libraries = [sys.prefix, sys.base_prefix]
        self.libraries = [folder for folder in libraries if not inside(self.root, [folder])]
        # Python has read some code already. Hence the imports inside of methods: of a module that
        # is read from now on, the state is recorded before.
        code = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
        folders = {folder for path in self.named for folder, _, _ in os.walk(path)}
        used = folders | {path for path in code if inside(path, [str(STAGES)])}
        self.used = {path: state(path) for path in used}
        self.written: set[str] = set()
        # It is not read either, see below; elsewhere, it would be.
        sys.dont_write_bytecode, sys.pycache_prefix = True, None
        multiprocessing.process.BaseProcess.start = self._refuse_process  # type: ignore[assignment]
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(details[0], int):
            path = os.path.abspath(os.fsdecode(details[0]))
            if inside(path, [self.root]) and not inside(path, self.libraries):
                self._on_open(path, bool(details[2] & OPENED_TO_WRITE))

    def _on_open(self, path: str, writes: bool) -> None:
        if path.endswith(".pyc"):
            # Python reads the source then: bytecode of its second and size may be of other code.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        is_code = path.endswith(".py") and inside(path, [str(STAGES)]) and not writes
        if not (inside(path, self.named) or is_code or path == str(LIBRARIES)):
            # A name inside a folder that is open elsewhere looks like a file here, but is none.
            if writes or os.path.isfile(path):
                # At once: a library may take an exception for a file that is missing.
                end(
                    f"{self.stage} {'writes' if writes else 'reads'} {os.path.relpath(path)}, "
                    "which its command in dvc.yaml does not name",
                    1,
                )
        elif writes:
            self.written.add(path)
            self.used = {of: was for of, was in self.used.items() if not inside(path, [of])}
        elif path not in self.written and path not in self.used:
            # Known before it is looked at, which opens it again.
            self.used[path] = None
            self.used[path] = state(path)

    def _refuse_process(self, *_: Any) -> None:
        end(f"{self.stage} starts a process, whose files nobody watches: use threads", 1)

    def check_libraries(self) -> None:
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

    def check_unchanged(self) -> None:
        """Raise :class:`UserError` if a file or a folder is not as it was when it was used.

        In a file of parameters, only the values that were read count.
        """
        from stages.common.params import unchanged_since_read

        for path, was in [*self.used.items()]:
            now = state(path)
            if now != was and not (now and unchanged_since_read(Path(path))):
                raise UserError(
                    f"{os.path.relpath(path)} changed while {self.stage} ran: run dvc repro again"
                )
