"""What an edit costs: ``dvc repro`` after it, beside one that finds nothing to do.

``python -m benchmarks.warm`` takes ten minutes, and writes ``benchmarks/warm.md``. Needs what
``dvc repro`` makes, and leaves it as it is: it edits a copy of the commit and of DVC's cache.
"""

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from typing import Any, TypeAlias

from ruamel.yaml import YAML

from benchmarks.__main__ import ENVIRONMENT, ROOT, machine

yaml = YAML()
TIMES = 5
Edit: TypeAlias = Callable[[Path], None]


def values(key: str, *new: Any) -> list[Edit]:
    """Edits that set a parameter, to each value in turn."""

    def edit(value: Any, folder: Path) -> None:
        params = yaml.load(folder / "params.yaml")
        *parents, last = key.split(".")
        reduce(getitem, parents, params)[last] = value
        yaml.dump(params, folder / "params.yaml")

    return [partial(edit, value) for value in new]


def texts(file: str, before: str, *new: str) -> list[Edit]:
    """Edits that replace a text of a file, by each other one in turn."""

    def edit(after: str, folder: Path) -> None:
        run(folder, "git", "checkout", "--quiet", "--", file)
        (folder / file).write_text((folder / file).read_text().replace(before, after))

    return [partial(edit, after) for after in new]


# The rows of README.md, and values that DVC has not seen; of what takes long, one.
EDITS: dict[str, list[Edit]] = {
    "`binary.thresholds.precision` or any other threshold": values(
        "binary.thresholds.precision", 0.81, 0.82, 0.83, 0.84, 0.86
    ),
    "`grid.n_neighbors`, `grid.weights` (up to `neighbors.k`)": values(
        "grid.n_neighbors", [2, 3], [3, 6], [4, 7], [5, 8], [6, 9]
    ),
    "`errors.pair`": values("errors.pair", [0, 6], [1, 7], [2, 8], [4, 9], [5, 8]),
    "`data.classes`": values(
        "data.classes", *([f"{kind} {n}" for n in range(10)] for kind in ("class", "kind", "sort"))
    ),
    "`multilabel.large_from`": values("multilabel.large_from", 3, 4, 5, 6, 8),
    "`denoise.high`": values("denoise.high", 80, 90, 110),
    "`forest.n_estimators`": values("forest.n_estimators", 101),
    "`augment.shifts`": values("augment.shifts", [[2, 0], [-2, 0], [0, 2], [0, -2]]),
    "`sgd_scaled.tol`": values("sgd_scaled.tol", 0.0011),
    "a line of `stages/models/forest.py`": texts(
        "stages/models/forest.py", "def build", "# Trees.\ndef build"
    ),
    "a chart in `.dvc/plots`, a line of `report.html`": texts(
        ".dvc/plots/roc.json", "ROC curves", "The ROC curves", "ROC, curves", "The curves"
    ),
    "a bound in `stages/check_params.py`": texts(
        "stages/check_params.py", "le=1000", "le=1001", "le=1002", "le=1003"
    ),
    "a comment in `params.yaml`, this README": texts(
        "params.yaml", "# Every number", "# Each number", "# Any number", "# All numbers"
    ),
}


def run(folder: Path, *command: str) -> float:
    """The seconds that a command takes in ``folder``."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)
    return time.perf_counter() - start


def repro(folder: Path, edits: Sequence[Edit] = (lambda _: None,) * TIMES) -> float:
    """The median time of ``dvc repro`` in ``folder``, once after each edit."""
    seconds = []
    for edit in edits:
        edit(folder)
        seconds.append(run(folder, "dvc", "repro"))
    return statistics.median(seconds)


def pipeline(folder: Path) -> int:
    """The committed pipeline in ``folder``, its results in place; returns how many stages."""
    run(folder.parent, "git", "clone", "--quiet", str(ROOT), str(folder))
    shutil.copytree(ROOT / ".dvc" / "cache", folder / ".dvc" / "cache")
    run(folder, "dvc", "repro")
    return len(yaml.load(folder / "dvc.lock")["stages"])


def empty(folder: Path, n: int) -> None:
    """Make ``n`` stages in a row, each of which writes one word."""
    folder.mkdir()
    stages = {
        f"stage_{i}": {"cmd": f"echo {i} > {i}", "deps": [f"{i - 1}"] * (i > 0), "outs": [f"{i}"]}
        for i in range(n)
    }
    yaml.dump({"stages": stages}, folder / "dvc.yaml")
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    for option in ("core.analytics", "core.check_update"):
        run(folder, "dvc", "config", option, "false")
    run(folder, "dvc", "repro")


def main() -> None:
    """Measure, and write the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "digitline"
        n = pipeline(folder)
        empty(Path(temporary) / "empty", n)
        bare, nothing = repro(Path(temporary) / "empty"), repro(folder)
        rows = [
            (f"nothing, in {n} empty stages", bare, f"{bare / nothing:.1f}"),
            ("nothing", nothing, "1"),
        ]
        for what, edits in EDITS.items():
            seconds = repro(folder, edits)
            rows.append((what, seconds, f"{seconds / nothing:.1f}"))
            run(folder, "git", "checkout", "--quiet", "--", ".")
            run(folder, "dvc", "repro")
    lines = [
        "# What an edit costs",
        "",
        ", ".join(f"{name} {which}" for name, which in machine().items()),
        "",
        f"The median of up to {TIMES} times `dvc repro`, on the full MNIST.",
        "",
        "| edited | time | of finding nothing to do |",
        "|---|---:|---:|",
        *(f"| {what} | {seconds:.2f} s | {ratio} × |" for what, seconds, ratio in rows),
    ]
    text = "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "warm.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
