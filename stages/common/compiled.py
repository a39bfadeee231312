"""What numba compiles, kept for the next run."""

import os
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import UserProvidedCacheLocator

from stages.common.guard import LIBRARIES


class ByContent(UserProvidedCacheLocator):
    """Where numba keeps the machine code of a file: by its content, wherever the file is."""

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        """The name of a folder: the digest of the file and of the pinned libraries."""
        return sha256(Path(py_file).read_bytes() + LIBRARIES.read_bytes()).hexdigest()

    def get_source_stamp(self) -> str:
        """The same for all files of that content, whatever their time."""
        return ""


def compiler() -> Callable[..., Any]:
    """``numba.njit`` for functions that release the GIL.

    Where ``NUMBA_CACHE_DIR`` is set, as in every stage, the machine code is kept there. By itself,
    numba would take it for that of any file of the same path, time and size, and of no other path.
    """
    numba.config.CACHE_LOCATOR_CLASSES = f"{__name__}.{ByContent.__name__}"
    return partial(numba.njit, nogil=True, cache="NUMBA_CACHE_DIR" in os.environ)
