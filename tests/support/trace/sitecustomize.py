"""Once this folder is on PYTHONPATH, a stage leaves what its guard and its parameters have seen.

Python imports a module of this name at its start. A file in the folder ``DIGITLINE_TRACE`` is a
JSON array: the stage's command, the files that it has read, those that it has written, and the file
and key of each parameter that it has read.
"""

import atexit
import json
import os
import sys
from pathlib import Path


def record() -> None:
    """Write that file, named by the number of the process."""
    guard, params = (sys.modules[f"stages.common.{name}"] for name in ("guard", "params"))
    files = [[*map(os.path.relpath, paths)] for paths in (guard.used, guard.written)]
    keys = [[os.path.relpath(path), key] for path, key in params.values_read]
    seen = [" ".join(["python", *sys.orig_argv[1:]]), *files, keys]
    Path(os.environ["DIGITLINE_TRACE"], f"{os.getpid()}.json").write_text(json.dumps(seen))


if sys.orig_argv[1:3] == ["-m", "stages"]:
    atexit.register(record)
