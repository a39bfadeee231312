"""How much faster: each cell of the notebook that takes time, its way and the pipeline's.

``python -m benchmarks --full`` takes an hour or two, and writes ``benchmarks/full.md``.
``--stages`` times the pipeline alone, in a few minutes, and prints it; ``LOKY_MAX_CPU_COUNT``
limits the cores. Needs what ``dvc repro`` makes, and changes none of it.

The notebook's way is scikit-learn with the arguments that the notebook gives it, on float64, in
this process. The pipeline's way is the command of each stage, imports, reading and writing
included.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dvc.repo import Repo
from joblib import cpu_count
from networkx import topological_sort
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

from benchmarks.warm import ENVIRONMENT, ROOT, machine

# Their images are copied.
NOT_TIMED = {"fetch", "check_data", "split"}


def notebook(X: Any, y: Any, X_test: Any) -> dict[str, dict[str, Callable[[], Any]]]:
    """The notebook's cells, by the stages that answer them; a stage stands where it comes first.

    Args:
        X: The training images, float64 (n, 784).
        y: Their digits, uint8 (n,).
        X_test: The test images, float64 (m, 784).
    """
    sgd = SGDClassifier(max_iter=1000, tol=1e-3, random_state=42)
    forest = RandomForestClassifier(random_state=42)
    fives, both = y == 5, np.c_[y >= 7, y % 2 == 1]
    shuffled = StratifiedKFold(n_splits=3, shuffle=True, random_state=42)
    scaled = cache(lambda: StandardScaler().fit_transform(X))

    def denoise() -> None:
        """The notebook cleans one digit, the pipeline all of the test set."""
        random = np.random.RandomState(42)
        noisy, test = (of + random.randint(0, 100, of.shape) for of in (X, X_test))
        KNeighborsClassifier().fit(noisy, X).predict(test[:1])

    def grid() -> None:
        candidates = {"weights": ["uniform", "distance"], "n_neighbors": [3, 4, 5]}
        GridSearchCV(KNeighborsClassifier(), candidates, cv=5).fit(X, y).predict(X_test)

    def augment() -> None:
        moved = [
            np.array([shift(image.reshape(28, 28), step, cval=0).ravel() for image in X])
            for step in ((0, 1), (0, -1), (1, 0), (-1, 0))
        ]
        classifier = KNeighborsClassifier(n_neighbors=4, weights="distance")
        classifier.fit(np.concatenate([X, *moved]), np.tile(y, 5)).predict(X_test)

    return {
        "label fit@binary_sgd fit@binary_sgd_shuffled": {
            "In 10 | SGD detector": lambda: sgd.fit(X, fives),
            "In 12 | its shuffled folds": lambda: cross_val_score(sgd, X, fives, cv=shuffled),
            "In 13 | its folds": lambda: cross_val_score(sgd, X, fives, cv=3),
            "In 16 | its predictions": lambda: cross_val_predict(sgd, X, fives, cv=3),
            "In 24 | its scores": lambda: cross_val_predict(
                sgd, X, fives, cv=3, method="decision_function"
            ),
        },
        "fit@binary_forest": {
            "In 36 | forest detector": lambda: cross_val_predict(
                forest, X, fives, cv=3, method="predict_proba"
            )
        },
        "fit@digits_svc": {"In 40 | SVC": lambda: SVC().fit(X, y)},
        "fit@digits_ovr_svc": {
            "In 46 | one-vs-rest SVC": lambda: OneVsRestClassifier(SVC()).fit(X, y)
        },
        "fit@digits_sgd": {
            "In 48 | ten-class SGD": lambda: sgd.fit(X, y),
            "In 50 | its folds": lambda: cross_val_score(sgd, X, y, cv=3),
        },
        "fit@digits_sgd_scaled": {
            "In 51 | its folds, scaled": lambda: cross_val_score(sgd, scaled(), y, cv=3),
            "In 52 | its predictions, scaled": lambda: cross_val_predict(sgd, scaled(), y, cv=3),
        },
        "find_neighbors@train_in_train evaluate_multilabel": {
            "In 61-64 | multilabel kNN": lambda: cross_val_predict(
                KNeighborsClassifier(), X, both, cv=3
            )
        },
        "denoise": {"In 67-70 | denoising kNN": denoise},
        "find_neighbors@test_in_train": {"Exercise 1 | kNN grid": grid},
        "augment find_neighbors@test_in_augmented search_grid": {
            "Exercise 2 | kNN on shifted images": augment
        },
    }


class Taken(NamedTuple):
    """What a process has taken."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def run(command: list[str], folder: Path) -> Taken:
    """Run a stage in ``folder``.

    Raises:
        CalledProcessError: It fails.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    # Linux counts kB, macOS bytes.
    megabytes = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Taken(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, megabytes)


def run_stages() -> dict[str, Taken]:
    """All stages, in their order, in a folder where the first ones have run."""
    with Repo(str(ROOT)) as repo:
        # Its edges lead from a stage to those that it depends on.
        in_order = list(topological_sort(repo.index.graph))[::-1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for tree in ("stages", ".dvc/plots", "data/train", "data/test"):
            shutil.copytree(ROOT / tree, folder / tree)
        for file in ("params.yaml", "data/classes.json", "data/metrics/data.json"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / file)
        timed = [stage for stage in in_order if stage.name not in NOT_TIMED]
        return {stage.name: run(stage.cmd.split(), folder) for stage in timed}


def main(stages_alone: bool) -> None:
    """Measure, and print or write the tables."""
    # First: a process starts with the most memory that the one before it has had.
    stages = run_stages()
    ours = sum(taken.seconds for taken in stages.values())
    of_stages = ["| stage | time | CPU time | cores busy | memory |", "|---|---:|---:|---:|---:|"]
    for name, (seconds, cpu, megabytes) in sorted(stages.items(), key=lambda item: -item[1][0]):
        busy, memory = f"{cpu / seconds:.2f}", f"{megabytes:.0f} MB"
        of_stages.append(f"| `{name}` | {seconds:.1f} s | {cpu:.1f} s | {busy} | {memory} |")
    print(f"{ours:.0f} s in all, {cpu_count()} cores", *of_stages, sep="\n", flush=True)
    if stages_alone:
        return
    train, test = (np.load(ROOT / f"data/{part}/images.npy") for part in ("train", "test"))
    X, X_test = (images.reshape(len(images), -1).astype(float) for images in (train, test))
    groups = notebook(X, np.load(ROOT / "data/train/labels.npy"), X_test)
    others = [name for name in stages if name not in " ".join(groups).split()]
    rows, theirs = [], 0.0
    for names, cells in (groups | {" ".join(others): {}}).items():
        group = 0.0
        for cell, work in cells.items():
            start = time.perf_counter()
            work()
            group += (seconds := time.perf_counter() - start)
            rows.append(f"| {cell} | {seconds:.1f} s | | |")
            print(rows[-1], flush=True)
        theirs += group
        answers = sum(stages[name].seconds for name in names.split())
        times = f"{group / answers:.1f} ×" if cells else "not in the notebook"
        answered = ", ".join(f"`{name}`" for name in names.split())
        rows.append(f"| | {answered} | | {answers:.1f} s | {times} |")
    lines = [
        "# The notebook's way and this pipeline's",
        "",
        f"{len(X):,} + {len(X_test):,} images, {machine()}",
        "",
        "| cell | | notebook | pipeline | |",
        "|---|---|---:|---:|---:|",
        *rows,
        f"| | all | {theirs:.0f} s | {ours:.0f} s | **{theirs / ours:.1f} ×** |",
        "",
        *of_stages,
    ]
    text = "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "full.md").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = ArgumentParser("python -m benchmarks", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--full", action="store_true", help="the notebook's cells and the stages")
    what.add_argument("--stages", action="store_true", help="the stages alone")
    main(parser.parse_args().stages)
