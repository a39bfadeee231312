"""Traces a stage, once this folder is on PYTHONPATH: what it opens, and reads of params.yaml.

Python imports a module of this name at its start, in worker processes too. Every line of the trace
is a JSON array: the command of the stage, the kind of event, and what it was about.
"""

import atexit
import json
import os
import sys
from typing import Any

COMMAND = "DIGITLINE_TRACED_COMMAND"
FOLDER = os.environ.get("DIGITLINE_TRACE")
REPOSITORY = os.getcwd() + os.sep
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

if sys.orig_argv[1:3] == ["-m", "stages"]:
    os.environ[COMMAND] = " ".join(["python", *sys.orig_argv[1:]])

if FOLDER and COMMAND in os.environ:
    # Opened here, by its number from then on: the hook must not see its own writing.
    trace = os.open(f"{FOLDER}/{os.getpid()}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def log(kind: str, what: Any) -> None:
        """Write one line of the trace."""
        os.write(trace, (json.dumps([os.environ[COMMAND], kind, what]) + "\n").encode())

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        """Log every file of the repository that is opened."""
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if path.startswith(REPOSITORY):
                log("write" if arguments[2] & WRITES else "read", path.removeprefix(REPOSITORY))

    def parameters() -> None:
        """Log every key that was read of a file of parameters."""
        if params := sys.modules.get("stages.common.params"):
            for path, key in params.values_read:
                log("param", [str(path).removeprefix(REPOSITORY), key])

    sys.addaudithook(hook)
    atexit.register(parameters)
