"""A saved model: what is read from it, the same bytes, and nothing of this repository."""

import pickle
import struct
import time
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier

from stages.common.arrays import save_group
from stages.data.sources import Mnist
from stages.models import dummy, forest, sgd
from stages.models.fit import to_sklearn
from stages.models.saved import save_model

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TREE = ["sklearn.tree._tree.Tree"]


def fitted(kind: str, X: Any, y: Any) -> BaseEstimator:
    """A model, as the stage fits it and keeps it."""
    built: Any = {
        "dummy": lambda: dummy.build(X, strategy="prior"),
        "forest": lambda: forest.build(X, n_estimators=5, seed=42),
    }.get(kind, lambda: sgd.build(X, max_iter=20, tol=1e-3, seed=42, scale=kind))()
    return to_sklearn(built.fit(X, y))


@pytest.mark.parametrize("kind", ["none", "all_images", "each_fold", "forest", "dummy"])
def test_what_is_loaded_says_the_same_and_the_same_model_gives_the_same_bytes(
    digits: Mnist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Of another fit, with no object in common, at another time, and of what was loaded."""
    X, y = digits[0][:300].reshape(300, -1), digits[1][:300]
    model: Any = fitted(kind, X, y)
    path = tmp_path / "new" / "model.skops"
    save_model(path, model)
    expected = path.read_bytes()
    assert skops.io.get_untrusted_types(file=path) == (TREE if kind == "forest" else [])
    assert b"stages" not in expected
    loaded = skops.io.load(path, trusted=TREE)
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, method):
            answers, again = (getattr(of, method)(X) for of in (model, loaded))
            np.testing.assert_array_equal(answers, again)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    others = (fitted(kind, X, y), pickle.loads(pickle.dumps(model)), loaded)
    # Or the test would show nothing.
    assert skops.io.dumps(others[0]) != skops.io.dumps(model)
    for other in others:
        save_model(path, other)
        assert path.read_bytes() == expected
    with ZipFile(path) as archive:
        assert {(info.date_time, info.compress_type) for info in archive.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), ZIP_STORED)
        }


def test_headers_are_those_that_every_python_writes(tmp_path: Path) -> None:
    """Without the fields for 4 GB and more, in which Pythons of 3.11 differ."""
    save_group(tmp_path / "group.npz", scores=np.linspace(0, 1, 7), n=np.array(3))
    save_model(tmp_path / "model.skops", DummyClassifier().fit([[0], [1]], [0, 1]))
    for path in (tmp_path / "group.npz", tmp_path / "model.skops"):
        content = path.read_bytes()
        with ZipFile(path) as archive:
            for info in archive.infolist():
                header = content[info.header_offset :][:30]
                version, n_extra = struct.unpack("<4xH22xH", header)
                assert (version, n_extra, info.extract_version, info.extra) == (20, 0, 20, b"")
