"""What is around every stage, so that no stage has to think of it.

- A stage opens no file of the repository but its code and those that its command line names.
- It fails if a file or a parameter that it used was changed before it ended. DVC hashes what a
  stage depends on only then, and would record the change as used (treeverse/dvc#11058).
- It computes with the pinned version of each library.
- It ends when DVC is killed, so that the next run has the outputs to itself.
"""

import os
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from stages.common.errors import UserError

STAGES = Path(__file__).parent.parent
LIBRARIES = STAGES / "libraries.yaml"
# The libraries that make the bytes of an output, by the module that a stage imports.
LIBRARY_OF = {
    "PIL": "pillow",
    "idx2numpy": "idx2numpy",
    "jinja2": "jinja2",
    "joblib": "joblib",
    "markupsafe": "markupsafe",
    "matplotlib": "matplotlib",
    "mlxtend": "mlxtend",
    "numpy": "numpy",
    "pydantic": "pydantic",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "sklearnex": "scikit-learn-intelex",
    "vl_convert": "vl-convert-python",
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
SECONDS_BETWEEN_LOOKS = 0.2

State: TypeAlias = tuple[int, ...] | None


def state(path: str) -> State:
    """A value that changes when the file is written or replaced; ``None`` if there is no file."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def inside(path: str, folders: list[str]) -> bool:
    """Whether ``path`` is one of ``folders``, which may be files, or below one."""
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


def end_with_parent() -> None:
    """End this process soon after its parent, which is DVC."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


class Guard:
    """Watches the files that this process opens, from now on and for good.

    Args:
        stage: The name of the stage, for messages.
        arguments: Its command line. The files and folders named there are all that it may open.
    """

    def __init__(self, stage: str, arguments: list[str]) -> None:
        self.stage = stage
        self.named = [os.path.abspath(argument) for argument in arguments]
        self.root, self.own = os.getcwd(), [sys.prefix, str(LIBRARIES)]
        # Recorded before Python reads a module of the stage; hence the imports inside of methods.
        self.code = {str(path): state(str(path)) for path in STAGES.rglob("*.py")}
        self.read: dict[str, State] = {}
        self.written: set[str] = set()
        self.refused: UserError | None = None
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, details: tuple[Any, ...]) -> None:
        if event != "open" or isinstance(details[0], int):
            return
        path, writes = os.path.abspath(os.fsdecode(details[0])), bool(details[2] & WRITES)
        if inside(path, [self.root]):
            self.check_refused()
        if inside(path, self.named):
            if writes:
                self.written.add(path)
                self.read.pop(path, None)
            elif path not in self.written:
                self.read.setdefault(path, state(path))
        elif inside(path, [self.root]) and not inside(path, self.own):
            is_code = path.endswith(".py") and inside(path, [str(STAGES)]) and not writes
            # A name inside a folder that is open elsewhere looks like a file here, but is none.
            is_file = writes or os.path.isfile(path)
            if is_file and not is_code and "__pycache__" not in path:
                self.refused = UserError(
                    f"{self.stage} {'writes' if writes else 'reads'} {os.path.relpath(path)}, "
                    "which its command in dvc.yaml does not name"
                )
                raise self.refused

    def check_refused(self) -> None:
        """Raise again what was raised before: the stage may have caught it, and gone on."""
        if self.refused:
            raise self.refused

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
        """Raise :class:`UserError` if a file is not as it was when the stage read it.

        In a file of parameters, only the values that were read count.
        """
        from stages.common.params import is_as_read

        loaded = {getattr(module, "__file__", None) for module in sys.modules.values()}
        code = {path: was for path, was in self.code.items() if path in loaded}
        for path, was in (code | self.read).items():
            now = state(path)
            if now != was and not (now and is_as_read(Path(path))):
                raise UserError(
                    f"{os.path.relpath(path)} changed while {self.stage} ran: run dvc repro again"
                )
