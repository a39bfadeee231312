"""How much faster: each cell of the notebook that takes time, its way and the pipeline's.

``python -m benchmarks --quick`` takes 5,000 images and a few minutes, ``--full`` all of them and
an hour or two. Needs what ``dvc repro split`` makes. Writes ``benchmarks/quick.md`` or ``full.md``.

The notebook's way is scikit-learn with the arguments that the notebook gives it, on float64, in
this process. The pipeline's way is the command of each stage, imports, reading and writing
included.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from dvc.repo import Repo
from joblib import cpu_count
from ruamel.yaml import YAML
from scipy.ndimage import shift
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

ROOT = Path(__file__).parent.parent
# `python` and `dvc` are those of the environment that runs the benchmark.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRONMENT = {**os.environ, "PATH": PATH}


@dataclass
class Mnist:
    """The arrays of the notebook: float64 pixels (n, 784) and uint8 digits (n,)."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any

    @property
    def fives(self) -> Any:
        """Whether each training image is a 5."""
        return self.y == 5

    @cached_property
    def scaled(self) -> Any:
        """Standardised pixels."""
        return StandardScaler().fit_transform(self.X)


def sgd() -> SGDClassifier:
    """The notebook's ``sgd_clf``."""
    return SGDClassifier(max_iter=1000, tol=1e-3, random_state=42)


def denoised(mnist: Mnist) -> None:
    """In 67-70; the notebook cleans one digit, the pipeline all of the test set."""
    random = np.random.RandomState(42)
    noisy = mnist.X + random.randint(0, 100, mnist.X.shape)
    test = mnist.X_test + random.randint(0, 100, mnist.X_test.shape)
    KNeighborsClassifier().fit(noisy, mnist.X).predict(test[:1])


def grid(mnist: Mnist) -> None:
    """Exercise 1."""
    candidates = {"weights": ["uniform", "distance"], "n_neighbors": [3, 4, 5]}
    search = GridSearchCV(KNeighborsClassifier(), candidates, cv=5)
    search.fit(mnist.X, mnist.y).predict(mnist.X_test)


def augmented(mnist: Mnist) -> None:
    """Exercise 2."""
    images = [mnist.X] + [
        np.array([shift(image.reshape(28, 28), step, cval=0).ravel() for image in mnist.X])
        for step in ((0, 1), (0, -1), (1, 0), (-1, 0))
    ]
    classifier = KNeighborsClassifier(n_neighbors=4, weights="distance")
    classifier.fit(np.concatenate(images), np.tile(mnist.y, 5)).predict(mnist.X_test)


SHUFFLED = StratifiedKFold(n_splits=3, shuffle=True, random_state=42)
# By the stages that answer them, the notebook's cells. A stage that answers several groups is named
# with each, and counted once.
CELLS: dict[str, dict[str, Callable[[Mnist], Any]]] = {
    "label fit@binary_sgd fit@binary_sgd_shuffled": {
        "In 10 | SGD detector": lambda m: sgd().fit(m.X, m.fives),
        "In 12 | its shuffled folds": lambda m: cross_val_score(sgd(), m.X, m.fives, cv=SHUFFLED),
        "In 13 | its folds": lambda m: cross_val_score(sgd(), m.X, m.fives, cv=3),
        "In 16 | its predictions": lambda m: cross_val_predict(sgd(), m.X, m.fives, cv=3),
        "In 24 | its scores": lambda m: cross_val_predict(
            sgd(), m.X, m.fives, cv=3, method="decision_function"
        ),
    },
    "fit@binary_forest": {
        "In 36 | forest detector": lambda m: cross_val_predict(
            RandomForestClassifier(random_state=42), m.X, m.fives, cv=3, method="predict_proba"
        )
    },
    "fit@digits_svc": {"In 40 | SVC": lambda m: SVC().fit(m.X, m.y).predict(m.X[:1])},
    "fit@digits_ovr_svc": {
        "In 46 | one-vs-rest SVC": lambda m: (
            OneVsRestClassifier(SVC()).fit(m.X, m.y).predict(m.X[:1])
        )
    },
    "fit@digits_sgd": {
        "In 48 | ten-class SGD": lambda m: sgd().fit(m.X, m.y),
        "In 50 | its folds": lambda m: cross_val_score(sgd(), m.X, m.y, cv=3),
    },
    "fit@digits_sgd_scaled": {
        "In 51 | its folds, scaled": lambda m: cross_val_score(sgd(), m.scaled, m.y, cv=3),
        "In 52 | its predictions, scaled": lambda m: cross_val_predict(sgd(), m.scaled, m.y, cv=3),
    },
    "find_neighbors@train_in_train evaluate_multilabel": {
        "In 61-64 | multilabel kNN": lambda m: cross_val_predict(
            KNeighborsClassifier(), m.X, np.c_[m.y >= 7, m.y % 2 == 1], cv=3
        )
    },
    "denoise": {"In 67-70 | denoising kNN": denoised},
    "find_neighbors@train_in_train find_neighbors@test_in_train search_grid": {
        "Exercise 1 | kNN grid": grid
    },
    "augment find_neighbors@test_in_augmented": {"Exercise 2 | kNN on shifted images": augmented},
    # So little there that it is not timed.
    "check_params fit@binary_dummy evaluate_binary": {"In 15-39 | metrics": lambda _: None},
}


def machine() -> dict[str, str]:
    """What the times depend on, and the date."""
    cpus = Path("/proc/cpuinfo")
    names = re.findall("model name.*: (.+)", cpus.read_text()) if cpus.exists() else []
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": names[0] if names else platform.processor(),
        "cores": str(cpu_count()),
        "Python": platform.python_version(),
        # Which every stage refuses to do without.
        **YAML(typ="safe").load(ROOT / "stages" / "libraries.yaml"),
    }


def workspace(folder: Path, sizes: tuple[int | None, int | None]) -> Mnist:
    """A copy of the stages in ``folder``, with the first images of each set."""
    shutil.copytree(ROOT / "stages", folder / "stages")
    shutil.copy(ROOT / "params.yaml", folder)
    arrays = []
    for part, size in zip(("train", "test"), sizes, strict=True):
        (folder / "data" / part).mkdir(parents=True)
        for kind in ("images", "labels"):
            array = np.load(ROOT / "data" / part / f"{kind}.npy")[:size]
            np.save(folder / "data" / part / f"{kind}.npy", array)
            arrays.append(array.reshape(len(array), -1).astype(float) if array.ndim > 1 else array)
    return Mnist(*arrays)


def timed(what: str, work: Callable[[], Any]) -> float:
    """How many seconds ``work`` takes."""
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    print(f"{seconds:9.2f} s  {what}", flush=True)
    return seconds


def main(quick: bool) -> None:
    """Measure, and write the table."""
    with Repo(str(ROOT)) as repo:
        commands = {stage.name: stage.cmd.split() for stage in repo.index.stages}
    rows, theirs, ours = [], 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        mnist = workspace(Path(folder), (5000, 1000) if quick else (None, None))
        run = partial(subprocess.run, cwd=folder, env=ENVIRONMENT, check=True)
        for names, cells in CELLS.items():
            seconds = {cell: timed(cell, partial(work, mnist)) for cell, work in cells.items()}
            rows += [f"| {cell} | {each:.1f} s | | |" for cell, each in seconds.items()]
            notebook = sum(seconds.values())
            # Those that are measured are not run again.
            stages = [name for name in names.split() if name in commands]
            pipeline = sum(timed(name, partial(run, commands.pop(name))) for name in stages)
            named = ", ".join(f"`{name}`" for name in stages)
            rows.append(f"| | {named} | | {pipeline:.1f} s | {notebook / pipeline:.1f} × |")
            theirs, ours = theirs + notebook, ours + pipeline
    n_images = f"{len(mnist.X):,} + {len(mnist.X_test):,}"
    lines = [
        f"# The notebook's way and this pipeline's, {n_images} images",
        "",
        ", ".join(f"{what} {which}" for what, which in machine().items()),
        "",
        "| cell | | notebook | pipeline | |",
        "|---|---|---:|---:|---:|",
        *rows,
        f"| | all | {theirs:.0f} s | {ours:.0f} s | **{theirs / ours:.1f} ×** |",
    ]
    text = "\n".join(lines) + "\n"
    path = ROOT / "benchmarks" / ("quick.md" if quick else "full.md")
    path.write_text(text, encoding="utf-8", newline="\n")
    print(text)


if __name__ == "__main__":
    parser = ArgumentParser("python -m benchmarks", description=__doc__)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--quick", action="store_true", help="on 6,000 images")
    size.add_argument("--full", action="store_true")
    main(parser.parse_args().quick)
