"""A fitted model as a file that loads without this repository, and holds no code."""

import hashlib
import json
import sys
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.lib.recfunctions import repack_fields
from sklearn.base import BaseEstimator

# skops has scikit-learn import all of its modules; this one takes Dask, where that is installed.
sys.modules.setdefault("sklearn.externals.array_api_compat.dask.array", None)  # type: ignore[arg-type]
import skops.io  # noqa: E402


def save_model(path: Path, model: BaseEstimator) -> None:
    """Write a model for :func:`skops.io.load`, and beside it the SHA-256 of the file, as text.

    The same model gives the same bytes.

    skops notes the time, names objects and arrays by their addresses in memory, and copies what
    lies there between the fields of a tree's nodes. Here all times are that of
    :class:`zipfile.ZipInfo`, arrays are numbered in their order, fields have nothing between them,
    and objects have no names, without which skops loads one that stands in two places twice.
    Nothing is compressed: zlib's bytes depend on its version.

    Raises:
        skops.io.exceptions.UnsupportedTypeException: skops cannot save such a model.
    """
    names: dict[str, str] = {}

    def anonymous(node: dict[str, Any]) -> dict[str, Any]:
        node.pop("__id__", None)
        if isinstance(file := node.get("file"), str):
            node["file"] = names.setdefault(file, f"{len(names)}.npy")
        return node

    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(BytesIO(skops.io.dumps(model))) as dumped, ZipFile(path, "w") as archive:
        schema = json.loads(dumped.read("schema.json"), object_hook=anonymous)
        archive.writestr(ZipInfo("schema.json"), json.dumps(schema))
        for name, number in names.items():
            array = np.load(BytesIO(dumped.read(name)))
            with archive.open(ZipInfo(number), "w") as file:
                np.save(file, repack_fields(array))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".sha256").write_text(f"{digest}\n", encoding="utf-8")
