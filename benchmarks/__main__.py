"""How much faster: each cell of the notebook that takes time, its way and the pipeline's.

``python -m benchmarks --full`` takes an hour or two, and writes ``benchmarks/full.md``.
``--stages`` times the pipeline alone, in a few minutes, and prints it; ``LOKY_MAX_CPU_COUNT``
limits the cores. Needs what ``dvc repro`` makes, and changes none of it.

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
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import skops.io
from dvc.repo import Repo
from joblib import cpu_count
from networkx import topological_sort
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
    "fit@digits_svc": {"In 40 | SVC": lambda m: SVC().fit(m.X, m.y)},
    "fit@digits_ovr_svc": {
        "In 46 | one-vs-rest SVC": lambda m: OneVsRestClassifier(SVC()).fit(m.X, m.y)
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
    "find_neighbors@train_in_train find_neighbors@test_in_train": {"Exercise 1 | kNN grid": grid},
    "augment find_neighbors@test_in_augmented search_grid": {
        "Exercise 2 | kNN on shifted images": augmented
    },
}
# Their images are copied.
NOT_TIMED = {"fetch", "check_data", "split"}


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


def workspace(folder: Path) -> Mnist:
    """A copy of the stages and of what the first ones have made, in ``folder``."""
    for tree in ("stages", ".dvc/plots", "data/train", "data/test"):
        shutil.copytree(ROOT / tree, folder / tree)
    for file in ("params.yaml", "data/classes.json", "data/metrics/data.json"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    sets = [
        (np.load(folder / f"data/{part}/images.npy"), np.load(folder / f"data/{part}/labels.npy"))
        for part in ("train", "test")
    ]
    arrays = [(images.reshape(len(images), -1).astype(float), labels) for images, labels in sets]
    return Mnist(*arrays[0], *arrays[1])


class Stage(NamedTuple):
    """What a stage has taken."""

    name: str
    seconds: float
    cpu_seconds: float
    megabytes: float

    @classmethod
    def run(cls, name: str, command: list[str], folder: Path) -> "Stage":
        """Run the stage in ``folder``.

        Raises:
            RuntimeError: It fails.
        """
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{name} ended with {process.returncode}")
        seconds, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
        # Linux counts kB, macOS bytes.
        unit = 1e6 if sys.platform == "darwin" else 1e3
        return cls(name, seconds, cpu, usage.ru_maxrss / unit)

    @property
    def row(self) -> str:
        """Its line of the table."""
        return (
            f"| `{self.name}` | {self.seconds:.1f} s | {self.cpu_seconds:.1f} s"
            f" | {self.cpu_seconds / self.seconds:.2f} | {self.megabytes:.0f} MB |"
        )


def same_bits(theirs: Any, ours: Any) -> bool:
    """Whether two SVCs, or all those of two one-vs-rest classifiers, have learned the same."""
    pairs = zip(*(getattr(svc, "estimators_", [svc]) for svc in (theirs, ours)), strict=True)
    learned = ("support_", "dual_coef_", "intercept_", "n_iter_")
    return all(np.array_equal(getattr(a, of), getattr(b, of)) for a, b in pairs for of in learned)


def main(stages_alone: bool) -> None:
    """Measure, and print or write the tables."""
    with Repo(str(ROOT)) as repo:
        # Its edges lead from a stage to those that it depends on.
        in_order = reversed(list(topological_sort(repo.index.graph)))
        commands = {each.name: each.cmd.split() for each in in_order}
    rows, bits, theirs = [], [], 0.0
    stages: list[Stage] = []
    # A process starts with the most memory that the one before it has had: so from a small one.
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1) as small:
        small.submit(os.getpid).result()
        folder = Path(name)
        mnist = workspace(folder)
        for names, cells in (CELLS | {" ".join(commands): {}}).items():
            notebook = 0.0
            for cell, work in {} if stages_alone else cells.items():
                start = time.perf_counter()
                learned = work(mnist)
                seconds = time.perf_counter() - start
                print(f"{seconds:9.2f} s  {cell}", flush=True)
                rows.append(f"| {cell} | {seconds:.1f} s | | |")
                notebook += seconds
            # Those that are measured are not run again.
            named = [name for name in names.split() if name in commands.keys() - NOT_TIMED]
            measured = []
            for name in named:
                measured.append(small.submit(Stage.run, name, commands.pop(name), folder).result())
                print(measured[-1].row, flush=True)
            pipeline = sum(each.seconds for each in measured)
            answered = ", ".join(f"`{name}`" for name in named)
            times = f"{notebook / pipeline:.1f} ×" if notebook else "not in the notebook"
            rows.append(f"| | {answered} | | {pipeline:.1f} s | {times} |")
            stages, theirs = stages + measured, theirs + notebook
            if notebook and "svc" in names:
                saved = folder / f"data/models/{named[0].removeprefix('fit@').replace('_', '/', 1)}"
                same = same_bits(learned, skops.io.load(saved / "model.skops"))
                bits.append(f"`{named[0]}` {'has' if same else 'has not'} scikit-learn's bits.")
    ours = sum(each.seconds for each in stages)
    of_stages = ["| stage | time | CPU time | cores busy | memory |", "|---|---:|---:|---:|---:|"]
    of_stages += [each.row for each in sorted(stages, key=lambda each: -each.seconds)]
    cores = f"{ours:.0f} s in all, {cpu_count()} cores"
    if stages_alone:
        print(cores, *of_stages, sep="\n")
        return
    lines = [
        "# The notebook's way and this pipeline's",
        "",
        f"{len(mnist.X):,} + {len(mnist.X_test):,} images, "
        + ", ".join(f"{what} {which}" for what, which in machine().items()),
        "",
        "| cell | | notebook | pipeline | |",
        "|---|---|---:|---:|---:|",
        *rows,
        f"| | all | {theirs:.0f} s | {ours:.0f} s | **{theirs / ours:.1f} ×** |",
        "",
        *bits,
        "",
        *of_stages,
    ]
    (ROOT / "benchmarks" / "full.md").write_text(
        "\n".join(lines) + "\n", encoding="utf-8", newline="\n"
    )


if __name__ == "__main__":
    parser = ArgumentParser("python -m benchmarks", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--full", action="store_true", help="the notebook's cells and the stages")
    what.add_argument("--stages", action="store_true", help="the stages alone")
    main(parser.parse_args().stages)
