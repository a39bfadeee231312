"""How much faster: each cell of the notebook that takes time, its way and the pipeline's.

``python -m benchmarks --quick`` takes 5,000 images and a few minutes, ``--full`` all of them and
an hour or two. Needs what ``dvc repro split`` makes. Writes ``benchmarks/quick.md`` or
``full.md``, and beside it a JSON file with each measurement as it ends; started again, it goes on
after the last one: delete that file after a change of the code. pytest-benchmark, asv and pyperf
repeat short calls and keep nothing of a run that was interrupted, so none of them fits cells of up
to half an hour.

The notebook's way is scikit-learn with the arguments that the notebook gives it, on float64, in
this process. The pipeline's way is the command of each stage, imports, reading and writing
included.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tyro
from dvc.repo import Repo
from joblib import Parallel, cpu_count, delayed
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

from stages.common.params import read
from stages.models.sgd import OneVsRestSGD
from stages.neighbors.search import nearest

ROOT = Path(__file__).parent.parent
# `python` and `dvc` are those of the environment that runs the benchmark.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRONMENT = {**os.environ, "PATH": PATH}
QUICK = {"train": 5000, "test": 1000}
# Queries and images of each search, as the stages' command lines name them.
SEARCHES = {
    "train in train": ("train", "train"),
    "test in train": ("test", "train"),
    "test in augmented": ("test", "augmented"),
}

# Runs a command and prints its seconds of CPU and its peak of memory. In a process of its own,
# since Linux counts the memory of the parent at the fork.
USAGE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""

# In seconds; of a stage also those of CPU, and the peak of memory in megabytes.
Measure: TypeAlias = dict[str, float]


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


def shuffled_folds(mnist: Mnist) -> None:
    """In 12, as the notebook writes it out."""
    folds = StratifiedKFold(n_splits=3, shuffle=True, random_state=42)
    cross_val_score(sgd(), mnist.X, mnist.fives, cv=folds)


def multilabel(mnist: Mnist) -> None:
    """In 61-64."""
    labels = np.c_[mnist.y >= 7, mnist.y % 2 == 1]
    cross_val_predict(KNeighborsClassifier(), mnist.X, labels, cv=3)


def denoised(mnist: Mnist) -> None:
    """In 67-70; the notebook cleans one digit, the pipeline all of the test set."""
    random = np.random.RandomState(42)
    noisy = mnist.X + random.randint(0, 100, mnist.X.shape)
    test = mnist.X_test + random.randint(0, 100, mnist.X_test.shape)
    KNeighborsClassifier().fit(noisy, mnist.X).predict(test[:1])


def grid(mnist: Mnist) -> None:
    """Exercise 1."""
    candidates = {"weights": ["uniform", "distance"], "n_neighbors": [3, 4, 5]}
    GridSearchCV(KNeighborsClassifier(), candidates, cv=5).fit(mnist.X, mnist.y).predict(
        mnist.X_test
    )


def augmented(mnist: Mnist) -> None:
    """Exercise 2."""
    images = [mnist.X] + [
        np.array([shift(image.reshape(28, 28), step, cval=0).ravel() for image in mnist.X])
        for step in ((0, 1), (0, -1), (1, 0), (-1, 0))
    ]
    classifier = KNeighborsClassifier(n_neighbors=4, weights="distance")
    classifier.fit(np.concatenate(images), np.tile(mnist.y, 5)).predict(mnist.X_test)


DETECTOR = ["label", "fit@binary_sgd", "fit@binary_sgd_shuffled"]
# Cell, what it does, the notebook's way, and the stages that answer it. A stage that answers
# several cells is named with each, and counted once; cells of the same stages stand together.
CELLS: list[tuple[str, str, Callable[[Mnist], Any], list[str]]] = [
    ("In 10", "SGD detector", lambda m: sgd().fit(m.X, m.fives), DETECTOR),
    ("In 12", "its shuffled folds", shuffled_folds, DETECTOR),
    (
        "In 13",
        "its folds",
        lambda m: cross_val_score(sgd(), m.X, m.fives, cv=3),
        DETECTOR,
    ),
    (
        "In 16",
        "its predictions",
        lambda m: cross_val_predict(sgd(), m.X, m.fives, cv=3),
        DETECTOR,
    ),
    (
        "In 24",
        "its scores",
        lambda m: cross_val_predict(sgd(), m.X, m.fives, cv=3, method="decision_function"),
        DETECTOR,
    ),
    (
        "In 36",
        "forest detector",
        lambda m: cross_val_predict(
            RandomForestClassifier(random_state=42), m.X, m.fives, cv=3, method="predict_proba"
        ),
        ["fit@binary_forest"],
    ),
    ("In 40", "SVC", lambda m: SVC().fit(m.X, m.y).predict(m.X[:1]), ["fit@digits_svc"]),
    (
        "In 46",
        "one-vs-rest SVC",
        lambda m: OneVsRestClassifier(SVC()).fit(m.X, m.y).predict(m.X[:1]),
        ["fit@digits_ovr_svc"],
    ),
    ("In 48", "ten-class SGD", lambda m: sgd().fit(m.X, m.y), ["fit@digits_sgd"]),
    (
        "In 50",
        "its folds",
        lambda m: cross_val_score(sgd(), m.X, m.y, cv=3),
        ["fit@digits_sgd"],
    ),
    (
        "In 51",
        "its folds, scaled",
        lambda m: cross_val_score(sgd(), m.scaled, m.y, cv=3),
        ["fit@digits_sgd_scaled"],
    ),
    (
        "In 52",
        "its predictions, scaled",
        lambda m: cross_val_predict(sgd(), m.scaled, m.y, cv=3),
        ["fit@digits_sgd_scaled"],
    ),
    (
        "In 61-64",
        "multilabel kNN",
        multilabel,
        ["find_neighbors@train_in_train", "evaluate_multilabel"],
    ),
    ("In 67-70", "denoising kNN", denoised, ["denoise"]),
    (
        "Exercise 1",
        "kNN grid",
        grid,
        [
            "find_neighbors@train_in_train",
            "find_neighbors@test_in_train",
            "search_grid",
        ],
    ),
    (
        "Exercise 2",
        "kNN on shifted images",
        augmented,
        ["augment", "find_neighbors@test_in_augmented"],
    ),
    (
        "In 7-60",
        "metrics, curves, pictures",
        # So little there that it is not timed.
        lambda _: None,
        [
            "check_params",
            "gallery",
            "fit@binary_dummy",
            "evaluate_binary",
            "evaluate_digits",
            "analyse_errors",
        ],
    ),
]


def machine() -> dict[str, str]:
    """What the times depend on, and the date."""
    cpus = Path("/proc/cpuinfo")
    names = [line for line in cpus.read_text().splitlines() if "model name" in line]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": names[0].split(": ")[1] if names else platform.processor(),
        "cores": str(cpu_count()),
        "Python": platform.python_version(),
        # Which every stage refuses to do without.
        **YAML(typ="safe").load(ROOT / "stages" / "libraries.yaml"),
    }


def workspace(folder: Path, sizes: Mapping[str, int | None]) -> Mnist:
    """A copy of the stages in ``folder``, with the first images of each set."""
    shutil.copytree(ROOT / "stages", folder / "stages", dirs_exist_ok=True)
    shutil.copy(ROOT / "params.yaml", folder)
    arrays = []
    for part, size in sizes.items():
        for kind in ("images", "labels"):
            array = np.load(ROOT / "data" / part / f"{kind}.npy", mmap_mode="r")[:size]
            (folder / "data" / part).mkdir(parents=True, exist_ok=True)
            np.save(folder / "data" / part / f"{kind}.npy", array)
            arrays.append(np.asarray(array))
    return Mnist(*(a.reshape(len(a), -1).astype(float) if a.ndim > 1 else a for a in arrays))


def timed(work: Callable[[], Any]) -> Measure:
    """How long ``work`` takes."""
    start = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - start}


def run(command: str, folder: Path) -> Measure:
    """Run a stage's command in ``folder``."""
    start = time.perf_counter()
    output = subprocess.run(
        [sys.executable, "-c", USAGE, *command.split()],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    seconds = time.perf_counter() - start
    cpu, kilobytes = map(float, output.splitlines()[-1].split())
    return {"seconds": seconds, "cpu": cpu, "mb": kilobytes / 1024}


def product(queries: Any, images: Any) -> None:
    """A bare matrix product by NumPy, in single precision: most of what a search has to do."""
    rows, base = (np.asarray(a, np.float32).reshape(len(a), -1) for a in (queries, images))
    for start in range(0, len(rows), 2000):
        rows[start : start + 2000] @ base.T


def two_detectors(model: Callable[[], Any], pixels: Any, digits: Any) -> None:
    """Fit two detectors, of the 3 and of the 5, in a thread each."""
    fits = (delayed(model().fit)(pixels, digits == target) for target in (3, 5))
    Parallel(n_jobs=2, backend="threading")(fits)


def tables(done: dict[str, Measure], about: dict[str, str], sizes: str) -> str:
    """The measurements as Markdown."""
    lines = [
        f"# The notebook's way and this pipeline's, {sizes}",
        "",
        ", ".join(f"{what} {which}" for what, which in about.items()),
        "",
        "| cell | | notebook | pipeline | |",
        "|---|---|---:|---:|---:|",
    ]
    seconds = {name: measure["seconds"] for name, measure in done.items()}
    counted: dict[str, None] = {}
    total = [0.0, 0.0]
    for stages, group in groupby(CELLS, itemgetter(3)):
        cells = [(cell, what) for cell, what, *_ in group]
        theirs = sum(seconds[cell] for cell, _ in cells)
        ours = sum(seconds[stage] for stage in stages if stage not in counted)
        counted |= dict.fromkeys(stages)
        total = [total[0] + theirs, total[1] + ours]
        ratio = f"{theirs / ours:.1f} ×" if theirs > 0.005 else ""
        for cell, what in cells:
            answer = f"{ours:.1f} s | {ratio}" if (cell, what) == cells[-1] else " | "
            lines.append(f"| {cell} | {what} | {seconds[cell]:.1f} s | {answer} |")
    lines += [
        f"| | all | {total[0]:.0f} s | {total[1]:.0f} s | **{total[0] / total[1]:.1f} ×** |",
        "",
        "| stage | time | CPU time | cores busy | memory |",
        "|---|---:|---:|---:|---:|",
    ]
    for stage in counted:
        time_, cpu, mb = (done[stage][key] for key in ("seconds", "cpu", "mb"))
        lines.append(f"| {stage} | {time_:.1f} s | {cpu:.1f} s | {cpu / time_:.2f} | {mb:.0f} MB |")
    lines += [
        "",
        "| two SGD detectors, a thread each | scikit-learn | this | |",
        "|---|---:|---:|---:|",
    ]
    for pixels in ("raw", "scaled"):
        theirs, ours = seconds[f"SGD, {pixels}, scikit-learn"], seconds[f"SGD, {pixels}"]
        lines.append(f"| {pixels} pixels | {theirs:.1f} s | {ours:.1f} s | {theirs / ours:.1f} × |")
    lines += [
        "",
        "| exact neighbours | time | the matrix product alone | share of its rate |",
        "|---|---:|---:|---:|",
    ]
    for name in SEARCHES:
        time_, alone = seconds[name], seconds[f"{name}, product"]
        lines.append(f"| {name} | {time_:.1f} s | {alone:.1f} s | {alone / time_:.0%} |")
    return "\n".join(lines) + "\n"


def main(quick: bool = False, full: bool = False) -> None:
    """Measure what is not measured yet, and write the tables."""
    if quick == full:
        raise SystemExit("--quick or --full")
    name, sizes = ("quick", QUICK) if quick else ("full", dict.fromkeys(QUICK, None))
    folder = ROOT / "benchmarks"
    path = folder / f"{name}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    now = machine()
    # On another machine or with other libraries all is measured anew, on another day not.
    same = {**known.get("machine", {}), "date": now["date"]} == now
    done: dict[str, Measure] = known["measures"] if same else {}
    here = folder / f".{name}"
    mnist = workspace(here, sizes)

    def measure(what: str, work: Callable[[], Measure]) -> None:
        """Unless that was done before; recorded at once."""
        if what not in done:
            done[what] = {key: round(value, 3) for key, value in work().items()}
            path.write_text(json.dumps({"machine": now, "measures": done}, indent=2) + "\n")
        print(f"{done[what]['seconds']:9.2f} s  {what}", flush=True)

    with Repo(str(ROOT)) as repo:
        commands = {stage.name: stage.cmd for stage in repo.index.stages}
    for cell, _, notebook, stages in CELLS:
        measure(cell, partial(timed, partial(notebook, mnist)))
        for stage in stages:
            measure(stage, partial(run, commands[stage], here))
    images = np.load(here / "data" / "train" / "images.npy").reshape(len(mnist.y), -1)
    # It is compiled at its first use; each stage does that, too.
    OneVsRestSGD(1, 1e-3, 0).fit(images[:50], mnist.fives[:50])
    for pixels, scaler in (("raw", None), ("scaled", StandardScaler())):
        theirs = mnist.scaled if scaler else mnist.X
        fit = partial(two_detectors, sgd, theirs, mnist.y)
        measure(f"SGD, {pixels}, scikit-learn", partial(timed, fit))
        ours = partial(OneVsRestSGD, 1000, 1e-3, 42, scaler)
        measure(f"SGD, {pixels}", partial(timed, partial(two_detectors, ours, images, mnist.y)))
    k = read(here / "params.yaml", "neighbors.k")
    for which, parts in SEARCHES.items():
        queries, images = (
            np.load(here / "data" / part / "images.npy", mmap_mode="r") for part in parts
        )
        measure(f"{which}, product", partial(timed, partial(product, queries, images)))
        asked = images if parts[0] == parts[1] else queries
        measure(which, partial(timed, partial(nearest, asked, images, k)))
    text = tables(done, now, f"{len(mnist.X):,} + {len(mnist.X_test):,} images")
    (folder / f"{name}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    tyro.cli(main)
