"""IDX files, as their specification has them."""

import gzip
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from numpy.typing import NDArray

from stages.data.sources import IDX_FILES

# The third byte, by the type of the values.
TYPES = {"|u1": 8, "|i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def idx_bytes(array: NDArray) -> bytes:
    """Zeros, type, number of dimensions, sizes and values."""
    magic = TYPES[array.dtype.str]
    header = struct.pack(f">HBB{array.ndim}I", 0, magic, array.ndim, *array.shape)
    return header + array.tobytes()


def write_idx(
    folder: Path, parts: Sequence[NDArray], rename: Callable[[str], str] = str
) -> list[Path]:
    """Images and labels in the order of ``IDX_FILES``, gzipped if their names say so; the paths."""
    paths = [folder / rename(name) for name in IDX_FILES]
    for path, array in zip(paths, parts, strict=True):
        content = idx_bytes(array)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return paths
