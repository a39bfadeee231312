"""What an edit costs: ``dvc repro`` after it, beside one that finds nothing to do.

``python -m benchmarks.warm`` takes ten minutes, and writes ``benchmarks/warm.md``. Needs what
``dvc repro`` makes, and leaves it as it is: it edits a copy of the commit and of DVC's cache.
"""

import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, TypeAlias

from joblib import cpu_count
from ruamel.yaml import YAML

yaml = YAML()
ROOT = Path(__file__).parent.parent
# `python` and `dvc` are those of the environment that runs the benchmark.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRONMENT = {**os.environ, "PATH": PATH}
# What is edited at once: parameters, with their values, and files, with a text and another one.
Edit: TypeAlias = Mapping[str, Any]


def each(what: str, *values: Any) -> list[Edit]:
    """Edits of one parameter or file, to each value in turn."""
    return [{what: value} for value in values]


# The rows of README.md, each with edits that DVC has not seen; of what takes long, one.
EDITS: dict[str, list[Edit]] = {
    "`binary.thresholds.precision` or any other threshold": [
        {
            "binary.thresholds.precision": 0.97,
            "binary.thresholds.decision.forest": 0.25,
            "binary.thresholds.first_digit": [-10.0, 10.0],
        },
        *each("binary.thresholds.precision", 0.81, 0.82, 0.83, 0.84),
    ],
    "`grid.n_neighbors`, `grid.weights` (up to `neighbors.k`)": each(
        "grid.n_neighbors", [2, 9], [3, 6], [4, 7], [5, 8], [6, 9]
    ),
    "`errors.pair`": each("errors.pair", [4, 9], [0, 6], [1, 7], [2, 8], [5, 8]),
    "`data.classes`": each(
        "data.classes", *([f"{kind} {n}" for n in range(10)] for kind in ("class", "kind", "sort"))
    ),
    "`multilabel.large_from`": each("multilabel.large_from", 6, 3, 4, 5, 8),
    "`denoise.high`": each("denoise.high", 80, 90, 110),
    "`forest.n_estimators`": each("forest.n_estimators", 101),
    "`augment.shifts`": each("augment.shifts", [[2, 0]], [[-2, 0]], [[0, 2]], [[0, -2]]),
    "`sgd_scaled.tol`": each("sgd_scaled.tol", 0.0011),
    "a line of `stages/models/forest.py`": each(
        "stages/models/forest.py", ("def build", "# Trees.\ndef build")
    ),
    "a chart in `.dvc/plots`, a line of `report.html`": [
        {
            ".dvc/plots/roc.json": ("ROC curves", "The curves"),
            "stages/report/pages/report/report.html": ("<h1>Classifying", "<h1>Now classifying"),
        },
        *each(".dvc/plots/roc.json", ("ROC curves", "ROC, curves"), ("ROC curves", "ROC")),
    ],
    "a bound in `stages/check_params.py`": each(
        "stages/check_params.py", *(("le=1000", f"le={bound}") for bound in (1001, 1002, 1003))
    ),
    "a comment in `params.yaml`, this README": [
        {"params.yaml": ("# Every", "# Each"), "README.md": ("# Digitline", "# The digits")},
        *each("params.yaml", ("# Every", "# Any"), ("# Every number", "# All numbers")),
    ],
}


def machine() -> str:
    """What the times depend on, and the date."""
    cpus = Path("/proc/cpuinfo")
    names = re.findall("model name.*: (.+)", cpus.read_text()) if cpus.exists() else []
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "processor": names[0] if names else platform.processor(),
        "cores": cpu_count(),
        "Python": platform.python_version(),
        # Which every stage refuses to do without.
        **YAML(typ="safe").load(ROOT / "stages" / "libraries.yaml"),
    }
    return ", ".join(f"{what} {which}" for what, which in found.items())


def run(folder: Path, *command: str) -> float:
    """The seconds that a command takes in ``folder``."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)
    return time.perf_counter() - start


def edit(folder: Path, edits: Edit) -> None:
    """Make ``edits`` in a clone, and undo all others; what DVC has written stays.

    Raises:
        ValueError: A file has not the text that is to be replaced.
    """
    run(folder, "git", "checkout", "--quiet", "--", ".", ":!dvc.lock", ":!reports")
    for what, new in edits.items():
        if (path := folder / what).is_file():
            before, after = path.read_text().split(new[0], 1)
            path.write_text(before + new[1] + after)
        else:
            params = yaml.load(folder / "params.yaml")
            *parents, last = what.split(".")
            reduce(getitem, parents, params)[last] = new
            yaml.dump(params, folder / "params.yaml")


def repro(folder: Path, all_edits: Sequence[Edit]) -> float:
    """The median time of ``dvc repro``, once after each edit; the last one is undone."""
    seconds = []
    for edits in all_edits:
        edit(folder, edits)
        seconds.append(run(folder, "dvc", "repro"))
    edit(folder, {})
    run(folder, "dvc", "repro")
    return statistics.median(seconds)


def main() -> None:
    """Measure, and write the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "digitline"
        run(ROOT, "git", "clone", "--quiet", str(ROOT), str(folder))
        shutil.copytree(ROOT / ".dvc" / "cache", folder / ".dvc" / "cache")
        run(folder, "dvc", "repro")
        seconds = {
            what: repro(folder, edits) for what, edits in ({"nothing": [{}] * 5} | EDITS).items()
        }
    text = f"""\
# What an edit costs

{machine()}

The median of up to 5 times `dvc repro`, on the full MNIST.

| edited | time | of finding nothing to do |
|---|---:|---:|
"""
    for what, time_of in seconds.items():
        text += f"| {what} | {time_of:.2f} s | {time_of / seconds['nothing']:.1f} × |\n"
    (ROOT / "benchmarks" / "warm.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
