"""What an edit costs: ``dvc repro`` after it, beside one that finds nothing to do.

``python -m benchmarks.warm`` takes 15 minutes, and writes ``benchmarks/warm.md``. Needs what
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
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, TypeAlias

from joblib import cpu_count
from ruamel.yaml import YAML

yaml = YAML()
TIMES = 3
ROOT = Path(__file__).parent.parent
# `python` and `dvc` are those of the environment that runs the benchmark.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRONMENT = {**os.environ, "PATH": PATH}
# What is edited at once: parameters, with their values, and files, with a text and another one.
Edit: TypeAlias = Mapping[str, Any]
# By the rows of README.md.
EDITS: dict[str, Edit] = {
    "`binary.thresholds.precision` or any other threshold": {
        "binary.thresholds.precision": 0.97,
        "binary.thresholds.decision.forest": 0.25,
        "binary.thresholds.first_digit": [-10.0, 10.0],
    },
    "`grid.n_neighbors`, `grid.weights` (up to `neighbors.k`)": {"grid.n_neighbors": [2, 9]},
    "`errors.pair`": {"errors.pair": [4, 9]},
    "`data.classes`": {"data.classes": [f"class {n}" for n in range(10)]},
    "`multilabel.large_from`": {"multilabel.large_from": 6},
    "`denoise.high`": {"denoise.high": 80},
    "`forest.n_estimators`": {"forest.n_estimators": 101},
    "`augment.shifts`": {"augment.shifts": [[2, 0], [-2, 0], [0, 2], [0, -2]]},
    "`sgd_scaled.tol`": {"sgd_scaled.tol": 0.0011},
    "a line of `stages/models/forest.py`": {
        "stages/models/forest.py": ("def build", "# Trees.\ndef build")
    },
    "a chart in `.dvc/plots`, a line of `report.html`": {
        ".dvc/plots/roc.json": ("ROC curves", "The curves"),
        "stages/report/pages/report/report.html": ("<h1>Classifying", "<h1>Now classifying"),
    },
    "a bound in `stages/check_params.py`": {"stages/check_params.py": ("le=1000", "le=2000")},
    "a comment in `params.yaml`, this README": {
        "params.yaml": ("# Every", "# Each"),
        "README.md": ("# Digitline", "# The digits"),
    },
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


def repro(folder: Path, edits: Edit) -> float:
    """The seconds of ``dvc repro`` after edits that DVC does not remember."""
    run(folder, "git", "checkout", "--quiet", "--", ".")
    run(folder, "dvc", "checkout")
    # So that DVC knows the content of what it has just put there.
    run(folder, "dvc", "repro")
    shutil.rmtree(folder / ".dvc" / "cache" / "runs", ignore_errors=True)
    edit(folder, edits)
    return run(folder, "dvc", "repro")


def main() -> None:
    """Measure, and write the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "digitline"
        run(ROOT, "git", "clone", "--quiet", str(ROOT), str(folder))
        shutil.copytree(ROOT / ".dvc" / "cache", folder / ".dvc" / "cache")
        run(folder, "dvc", "repro")
        seconds = {
            what: statistics.median(repro(folder, edits) for _ in range(TIMES))
            for what, edits in {"nothing": {}, **EDITS}.items()
        }
    text = f"""\
# What an edit costs

{machine()}

The median of {TIMES} times `dvc repro`, on the full MNIST.

| edited | time | of finding nothing to do |
|---|---:|---:|
"""
    for what, time_of in seconds.items():
        text += f"| {what} | {time_of:.2f} s | {time_of / seconds['nothing']:.1f} × |\n"
    (ROOT / "benchmarks" / "warm.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
