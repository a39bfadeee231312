"""What numba compiles, kept for the next run."""

import os
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba

from stages.common.guard import LIBRARIES


def compiler(file: str) -> Callable[..., Any]:
    """``numba.njit`` for the functions of ``file``, which release the GIL.

    Where ``NUMBA_CACHE_DIR`` is set, as in every stage, the machine code is kept there. numba takes
    it for that of any file of the same name, time and size; so its folder is named by the digest
    of the file and of the pinned libraries.
    """
    folder = os.environ.get("NUMBA_CACHE_DIR")
    if folder:
        digest = sha256(Path(file).read_bytes() + LIBRARIES.read_bytes()).hexdigest()
        numba.config.CACHE_DIR = f"{folder}/{digest}"
    return partial(numba.njit, nogil=True, cache=bool(folder))
