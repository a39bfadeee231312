"""What is around every stage, so that no stage has to think of it.

- A stage opens no file of the repository but its code and those that its command line names, and
  starts no process, whose files nobody would watch.
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
import stat
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeAlias

from stages.common.errors import UserError

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
# How many of the arguments of an audit event are paths, which it writes:
# https://docs.python.org/3/library/audit_events.html.
WRITES = {"os.link": 2, "os.remove": 1, "os.rename": 2, "os.symlink": 2, "os.truncate": 1}
STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
STANDARD_LIBRARY = [sysconfig.get_path("stdlib")]
# Up to this size, files are compared by their content; larger ones by what the system knows.
SMALL = 2**20
WRITTEN = ("st_ino", "st_size", "st_mtime_ns")

State: TypeAlias = tuple[os.stat_result, bytes] | None


def state(path: str) -> State:
    """What the system knows of a file or a folder, and a digest of what is in it.

    Of a folder, it is of the names in it, but that of Python's bytecode; of a file above 1 MB, it
    is empty. ``None`` if there is nothing.
    """
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            names = sorted(set(os.listdir(path)) - {"__pycache__"})
            return found, hashlib.md5(os.fsencode("/".join(names))).digest()
        if not stat.S_ISREG(found.st_mode) or found.st_size > SMALL:
            return found, b""
        return found, hashlib.md5(Path(path).read_bytes()).digest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_same(was: State, now: State) -> bool:
    """Whether a file has the same content; whether a folder has the same names."""
    if was is None or now is None:
        return was is now
    (before, content), (after, content_now) = was, now
    if content or content_now:
        return content == content_now
    if any(getattr(before, name) != getattr(after, name) for name in WRITTEN):
        return False
    # Its time can be put back; when that was done cannot. But of a file with several names, as in a
    # cache of hard links, it tells of each new name as well.
    has_names = max(before.st_nlink, after.st_nlink) > 1
    return has_names or before.st_ctime_ns == after.st_ctime_ns


def inside(path: str, folders: list[str]) -> bool:
    """Whether ``path`` is one of ``folders``, which may be files, or below one."""
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


def temporary_folder() -> str:
    """The folder of temporary files; the current one if there is none, or none has room."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return os.getcwd()


def code_in_use() -> set[str]:
    """The modules of the repository that Python has loaded."""
    files = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
    return {path for path in files if inside(path, [str(STAGES)])}


def is_pipe(path: str) -> bool:
    """Whether ``path`` is a named pipe, to open which may wait for ever."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


def is_called_by_a_stage() -> bool:
    """Whether code of this repository asks, also in a thread, and no library of its own accord."""
    frame: FrameType | None = sys._getframe(1)
    while frame:
        file = frame.f_code.co_filename
        standard = inside(file, STANDARD_LIBRARY) and "site-packages" not in file
        if not (standard or file.startswith("<") or file == __file__):
            return inside(file, [str(STAGES)])
        frame = frame.f_back
    return True


class Guard:
    """Watches the files that this process opens, from now on and for good.

    Args:
        stage: The name of the stage, for messages.
        arguments: Its command line. The files and folders named there are all that it may open.
    """

    def __init__(self, stage: str, arguments: list[str]) -> None:
        self.stage, self.root = stage, os.getcwd()
        self.named = [os.path.abspath(argument) for argument in arguments]
        # A declared file may be a link into DVC's cache.
        self.named_real = [os.path.realpath(path) for path in self.named]
        # Libraries and temporary files may lie in the repository; or the repository among them.
        others = [sys.prefix, sys.base_prefix, temporary_folder()]
        self.others = [folder for folder in others if not inside(self.root, [folder])]
        # Those that Python has read already. Hence the imports inside of methods: of a module that
        # is read from now on, the state is recorded before.
        self.read: dict[str, State] = {path: state(path) for path in code_in_use()}
        self.folders = {
            folder: state(folder) for path in self.named for folder, _, _ in os.walk(path)
        }
        self.written: set[str] = set()
        self.refused: UserError | None = None
        # It is not read either, see below; elsewhere, it would be.
        sys.dont_write_bytecode, sys.pycache_prefix = True, None
        multiprocessing.process.BaseProcess.start = self._refuse_process  # type: ignore[assignment]
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(details[0], int):
            self._on_open(os.fsdecode(details[0]), bool(details[2] & OPENED_TO_WRITE))
        elif event == "sqlite3.connect" and details[0] not in ("", ":memory:"):
            self._on_open(os.fsdecode(details[0]), True)
        elif event in WRITES:
            paths, others = details[: WRITES[event]], details[WRITES[event] :]
            # Else they are names in a folder that is open elsewhere, or a file that is.
            if event == "os.truncate" or set(others) == {-1}:
                for path in paths:
                    if not isinstance(path, int):
                        self._on_open(os.fsdecode(path), True)
        elif event in STARTS or event == "subprocess.Popen":
            folder = os.path.realpath((event == "subprocess.Popen" and details[2]) or self.root)
            is_here = inside(folder, [self.root]) and not inside(folder, self.others)
            if is_here and is_called_by_a_stage():
                self._refuse_process()

    def _on_open(self, name: str, writes: bool) -> None:
        path = os.path.abspath(name)
        if inside(path, self.others):
            return
        real = os.path.realpath(path)
        if not (inside(path, [self.root]) or inside(real, [self.root])):
            return
        self.check_refused()
        if path.endswith(".pyc"):
            # Python reads the source then: bytecode of its second and size may be of other code.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        is_code = path.endswith(".py") and inside(path, [str(STAGES)]) and not writes
        is_named = inside(path, self.named) or inside(real, self.named_real)
        if is_named or is_code or path == str(LIBRARIES):
            if is_pipe(path):
                self._refuse(f"{os.path.relpath(path)} is a pipe, where {self.stage} needs a file")
            if writes:
                self.written.add(path)
                self.read.pop(path, None)
            elif path not in self.written and path not in self.read:
                # Known before it is looked at, which opens it again.
                self.read[path] = None
                self.read[path] = state(path)
            return
        # A name inside a folder that is open elsewhere looks like a file here, but is none.
        if writes or os.path.isfile(path) or is_pipe(path):
            self._refuse(
                f"{self.stage} {'writes' if writes else 'reads'} {os.path.relpath(path)}, "
                "which its command in dvc.yaml does not name"
            )

    def _refuse(self, message: str) -> NoReturn:
        self.refused = UserError(message)
        raise self.refused

    def _refuse_process(self) -> NoReturn:
        self._refuse(f"{self.stage} starts a process, whose files nobody watches: use threads")

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
        """Raise :class:`UserError` if a file or a folder is not as it was when it was used.

        In a file of parameters, only the values that were read count; of a folder that the command
        names, the names in it.
        """
        from stages.common.params import unchanged_since_read

        folders = {
            path: was
            for path, was in self.folders.items()
            if not any(inside(written, [path]) for written in self.written)
        }
        for path, was in (folders | self.read).items():
            now = state(path)
            if not is_same(was, now) and not (now and unchanged_since_read(Path(path))):
                raise UserError(
                    f"{os.path.relpath(path)} changed while {self.stage} ran: run dvc repro again"
                )
